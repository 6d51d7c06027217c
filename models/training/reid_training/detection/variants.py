"""Smaller files of an exported detector, float16 weights, eight-bit weights and int8 (QDQ), and what they cost."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reid_training.files import replacing
from reid_training.progress import say
from reid_training.variants import copy_metadata, widened, write_half, write_packed

from . import evaluate
from .teachers import ort_session

#: Pictures that the ranges of int8 activations are taken from.
CALIBRATION = 200


def write_int8(path: Path, to: Path, pictures: Sequence[np.ndarray], side: int) -> None:
    """Static int8: weights by channel, activations by the ranges seen on `pictures` (`[h, w, 3]` uint8 BGR).

    The last convolutions and the decoding stay in float: scores and distances share a tensor there, and one scale for both
    would leave no score at all.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(pictures)

        def get_next(self) -> dict[str, np.ndarray] | None:
            picture = next(self.left, None)
            return None if picture is None else {"images": evaluate.tensor(evaluate.letterbox(picture, side)[0])}

    with tempfile.TemporaryDirectory() as folder, replacing(to) as draft:
        ready = Path(folder) / "ready.onnx"
        quant_pre_process(str(widened(path, Path(folder))), str(ready), skip_symbolic_shape=True)
        graph = onnx.load(ready).graph
        keep = [n.name for n in graph.node if n.op_type == "Conv" and n.name.startswith("/head/outs")]
        quantize_static(
            str(ready),
            str(draft),
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Add", "Concat", "MaxPool", "Resize"],
            nodes_to_exclude=keep
            + [n.name for n in graph.node if n.op_type in {"Add", "Concat"} and "blocks" not in n.name and n.name.count("/") < 3],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        copy_metadata(path, draft)


def quantize(path: Path, pictures: Sequence[np.ndarray], side: int) -> Path:
    """`<name>.int8.onnx` beside an exported detector."""
    to = path.with_suffix(".int8.onnx")
    write_int8(path, to, pictures[:CALIBRATION], side)
    say(f"{to}: {milliseconds(path, side):.1f} and {milliseconds(to, side):.1f} ms a picture of {side}")
    return to


def milliseconds(path: Path, side: int, runs: int = 30) -> float:
    """Least time of one picture on one thread."""
    session = ort_session(path, 1)
    pixels = np.random.default_rng(0).random((1, 3, side, side), np.float32)
    name, times = session.get_inputs()[0].name, []
    for _ in range(runs):
        start = time.perf_counter()
        session.run(None, {name: pixels})
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def write(path: Path, pictures: Sequence[np.ndarray], items: Sequence[evaluate.Item], side: int) -> str:
    """`<name>.fp16.onnx`, `<name>.w8.onnx` and `<name>.int8.onnx` beside the file; a table of their size, time and accuracy on
    `items`."""
    half, packed, eight = (path.with_suffix(f".{kind}.onnx") for kind in ("fp16", "w8", "int8"))
    write_half(path, half)
    write_packed(path, packed)
    write_int8(path, eight, pictures[:CALIBRATION], side)
    lines = ["| file | MB | ms a picture | AP50 | AP50-95 | best F1 at |", "|---|---|---|---|---|---|"]
    for file in (path, half, packed, eight):
        result = evaluate.measure(items, evaluate.run_detector(evaluate.onnx_detector(file, side), items))
        lines.append(
            f"| {file.name} | {file.stat().st_size / 1e6:.2f} | {milliseconds(file, side):.1f} "
            f"| {100 * result.ap50:.1f} | {100 * result.ap:.1f} | {100 * result.best_f1:.1f} at {result.best_threshold:.2f} |"
        )
    return "\n".join(lines)
