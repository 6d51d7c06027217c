"""Scores the file of `reidpublish format=mot` with TrackEval, which reads both files itself.

    pip install trackeval==1.3.0
    python tests/reference/mot_lines.py truth.txt result.txt FRAMES

The truth has lines of the MOT challenge (frame, id, x, y, w, h, 1, 1, 1). Prints one JSON line."""

import json
import pathlib
import shutil
import sys
import tempfile

import trackeval


def main(truth, result, frames):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        sequence = folder / "gt" / "scene"
        lines = folder / "trackers" / "reid" / "data"
        (sequence / "gt").mkdir(parents=True)
        lines.mkdir(parents=True)
        shutil.copy(truth, sequence / "gt" / "gt.txt")
        shutil.copy(result, lines / "scene.txt")
        (sequence / "seqinfo.ini").write_text(f"[Sequence]\nname=scene\nseqLength={frames}\n")
        dataset = trackeval.datasets.MotChallenge2DBox(
            dict(
                GT_FOLDER=str(folder / "gt"),
                TRACKERS_FOLDER=str(folder / "trackers"),
                SEQ_INFO={"scene": None},
                SKIP_SPLIT_FOL=True,
                DO_PREPROC=False,
                BENCHMARK="MOT17",
                PRINT_CONFIG=False,
            )
        )
        quiet = {"PRINT_CONFIG": False}
        metrics = [trackeval.metrics.Identity(quiet), trackeval.metrics.CLEAR(quiet), trackeval.metrics.HOTA()]
        evaluator = trackeval.Evaluator(
            dict(
                USE_PARALLEL=False,
                BREAK_ON_ERROR=True,
                PRINT_RESULTS=False,
                PRINT_CONFIG=False,
                TIME_PROGRESS=False,
                OUTPUT_SUMMARY=False,
                OUTPUT_DETAILED=False,
                PLOT_CURVES=False,
                OUTPUT_EMPTY_CLASSES=False,
            )
        )
        results, _ = evaluator.evaluate([dataset], metrics)
        scores = results["MotChallenge2DBox"]["reid"]["scene"]["pedestrian"]
    print(
        json.dumps(
            dict(
                IDF1=float(scores["Identity"]["IDF1"]),
                MOTA=float(scores["CLEAR"]["MOTA"]),
                IDSW=int(scores["CLEAR"]["IDSW"]),
                HOTA=float(scores["HOTA"]["HOTA"].mean()),
                lines=int(scores["Count"]["Dets"]),
            )
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:4])
