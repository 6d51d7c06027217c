"""Who teaches an embedder: an embedder that was exported here, run by ONNX Runtime, or Intel's
`person-reidentification-retail-0277` or `-0286` (Apache-2.0, Open Model Zoo; OSNet with linear context transform), run by
OpenVINO: input [1, 3, 256, 128] BGR 0..255, output 256 numbers. Answers are normalised to unit length."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from reid_training.errors import DataError
from reid_training.evaluation import Embedder, onnx_embedder
from reid_training.metrics import unit

TEACHER_HEIGHT, TEACHER_WIDTH, TEACHER_DIM = 256, 128, 256


def open_teacher(path: Path, threads: int = 1) -> Embedder:
    """uint8 [n, h, w, 3] RGB → float32 [n, d] of unit length. Raises `DataError` for a file that is missing."""
    if not path.exists():
        raise DataError(f"teacher {path} does not exist; check --teachers")
    if path.suffix != ".onnx":
        return IntelTeacher(path, threads=threads).embed
    embed = onnx_embedder(path, threads=threads)
    return lambda images: unit(embed(images))


class IntelTeacher:
    """One of Intel's embedders on one thread. `fast` lets OpenVINO compute in bfloat16 where the processor can:
    measured cosine to float32 0.9997, at less than half of the time."""

    def __init__(self, path: Path, batch: int = 8, threads: int = 1, fast: bool = True) -> None:
        import openvino

        core = openvino.Core()
        model = core.read_model(path)
        model.reshape([batch, 3, TEACHER_HEIGHT, TEACHER_WIDTH])
        options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "bf16" if fast else "f32"}
        self.request = core.compile_model(model, "CPU", options).create_infer_request()
        self.batch = batch

    def embed(self, images: np.ndarray) -> np.ndarray:
        """uint8 [n, h, w, 3] RGB of any size → float32 [n, 256] of unit length."""
        out = np.empty((len(images), TEACHER_DIM), np.float32)
        block = np.zeros((self.batch, 3, TEACHER_HEIGHT, TEACHER_WIDTH), np.float32)
        for start in range(0, len(images), self.batch):
            part = images[start : start + self.batch]
            for i, image in enumerate(part):
                big = cv2.resize(image, (TEACHER_WIDTH, TEACHER_HEIGHT), interpolation=cv2.INTER_LINEAR)
                block[i] = big[..., ::-1].transpose(2, 0, 1)
            self.request.infer({0: block})
            answer = self.request.get_output_tensor(0).data.reshape(self.batch, -1)
            out[start : start + len(part)] = answer[: len(part)]
        return unit(out)
