"""`reidctl eval` and this package measure alike, as what `make build` has built shows."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import person
from test_readme import ROOT, environment, is_built

from reid_training.evaluation import evaluate_model
from reid_training.export import Facts, export_checked
from reid_training.nets import make_net


@pytest.mark.skipif(not is_built("reidctl"), reason="target/release/reidctl is not there: make build")
def test_retrieval_figures_are_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for folder in ("query", "bounding_box_test"):
        (tmp_path / "market" / folder).mkdir(parents=True)
        for number in range(1, 13):
            for camera in (1, 2):
                for i in range(1 if folder == "query" else 3):
                    # PNG: the two read JPEG a little differently
                    name = f"{number:04d}_c{camera}s1_{i:06d}_00.png"
                    cv2.imwrite(str(tmp_path / "market" / folder / name), person(number, rng, 128, 64))
    torch.manual_seed(5)
    model = tmp_path / "random.onnx"
    export_checked(make_net("compact", 128).eval(), Facts("random", 128, 64, "none", "none"), model)
    market = tmp_path / "market"
    here = evaluate_model(model, market / "query", market / "bounding_box_test", tmp_path / "cache", None)
    script = f'eval "$("{ROOT}/scripts/env.sh")"; reidctl eval --data market --model random.onnx'
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300, env=environment())
    assert done.returncode == 0, done.stderr
    found = {name: float(value) for name, value in re.findall(r"(mAP|rank-\d+) ([\d.]+)", done.stdout)}
    assert 20 < here["mAP"] < 95, "a test that can tell"
    for name in ("mAP", "rank-1", "rank-5", "rank-10"):
        assert found[name] == pytest.approx(here[name], abs=0.1), name
