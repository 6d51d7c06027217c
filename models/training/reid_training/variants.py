"""Smaller files of an exported embedder: float16 weights, eight-bit weights, and int8 by quantise/dequantise nodes (QDQ)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reid_training.data.batches import to_input
from reid_training.data.pack import Pack
from reid_training.evaluation import Probe, onnx_embedder
from reid_training.export import open_session
from reid_training.files import replacing, write_json
from reid_training.metrics import unit
from reid_training.progress import say


def write_variants(path: Path, pack: Pack, probes: Sequence[Probe], calibration: int = 512) -> dict[str, dict[str, float]]:
    """`<name>.fp16.onnx`, `<name>.w8.onnx` and `<name>.int8.onnx` beside the file, and `<name>.variants.json` with what each
    costs: mAP and rank-1 of every probe, mean cosine to the float32 embeddings, megabytes, milliseconds a crop on one thread."""
    half, packed, quarter = (path.with_suffix(f".{kind}.onnx") for kind in ("fp16", "w8", "int8"))
    write_half(path, half)
    write_packed(path, packed)
    rows = np.sort(np.random.default_rng(0).choice(len(pack), min(calibration, len(pack)), replace=False))
    write_int8(path, quarter, pack.images[rows])
    sample = pack.images[rows[:128]]
    exact = unit(onnx_embedder(path)(sample))
    figures = {}
    for file in (path, half, packed, quarter):
        embed = onnx_embedder(file)
        line = {"MB": round(file.stat().st_size / 1e6, 2), "ms a crop": round(milliseconds(file), 2)}
        line["cosine to float32"] = round(float((unit(embed(sample)) * exact).sum(1).mean()), 5)
        for probe in probes:
            result, _ = probe.score(embed)
            line |= {f"{probe.name} mAP": round(result.mean_ap, 2), f"{probe.name} R1": round(result.rank1, 2)}
        figures[file.name] = line
        say(f"{file.name}: {line}")
    write_json(path.with_suffix(".variants.json"), figures)
    return figures


def write_half(path: Path, to: Path) -> None:
    """Weights stored as float16 and widened when the model is loaded: half of the file, the same arithmetic."""
    from onnx import TensorProto, helper, numpy_helper

    def half(tensor: TensorProto) -> tuple[list[Any], list[Any]]:
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{name}.half"))
        return [helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT)], []

    _store_smaller(path, to, lambda dims: np.prod(dims) >= 64, half)


def write_packed(path: Path, to: Path) -> None:
    """Weights stored in eight bits, a step for each output, and widened when the model is loaded: a quarter of the file, the
    same arithmetic and speed. How the projects' own files are stored."""
    from onnx import TensorProto, helper, numpy_helper

    def packed(tensor: TensorProto) -> tuple[list[Any], list[Any]]:
        name, weights = tensor.name, numpy_helper.to_array(tensor)
        small, step = eight_bits(weights, 0 if weights.ndim > 2 else weights.ndim - 1)
        tensor.CopyFrom(numpy_helper.from_array(small, f"{name}.int8"))
        wide = helper.make_node("Cast", [f"{name}.int8"], [f"{name}.wide"], to=TensorProto.FLOAT)
        scaled = helper.make_node("Mul", [f"{name}.wide", f"{name}.step"], [name])
        return [wide, scaled], [numpy_helper.from_array(step, f"{name}.step")]

    _store_smaller(path, to, lambda dims: len(dims) >= 2 and np.prod(dims) >= 256, packed)


def _store_smaller(
    path: Path, to: Path, wanted: Callable[[Sequence[int]], bool], shrink: Callable[[Any], tuple[list[Any], list[Any]]]
) -> None:
    """Replaces every float tensor of `wanted` dimensions by what `shrink` makes of it: it changes the tensor and returns the
    nodes that give the old one back, and further tensors that they need."""
    import onnx

    model = onnx.load(path)
    nodes, more = [], []
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and wanted(tensor.dims):
            widen, beside = shrink(tensor)
            nodes += widen
            more += beside
    model.graph.initializer.extend(more)
    kept = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *kept])
    onnx.checker.check_model(model)
    with replacing(to) as draft:
        onnx.save(model, draft)


def eight_bits(weights: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """int8 of the same shape, and float32 steps that fit beside it, one along `axis`: of several the one that errs least."""
    rest = tuple(a for a in range(weights.ndim) if a != axis)
    largest = np.maximum(np.abs(weights).max(rest, keepdims=True), 1e-12)
    best = (np.full_like(largest, np.inf), largest)
    for part in np.linspace(0.6, 1.0, 17):
        step = largest * part / 127
        error = ((np.clip(np.round(weights / step), -127, 127) * step - weights) ** 2).sum(rest, keepdims=True)
        best = (np.minimum(error, best[0]), np.where(error < best[0], step, best[1]))
    step = best[1].astype(np.float32)
    return np.clip(np.round(weights / step), -127, 127).astype(np.int8), step


def write_int8(path: Path, to: Path, images: np.ndarray) -> None:
    """Static int8: weights a channel, activations by the ranges seen on `images` (uint8 [n, h, w, 3]). The layers after
    pooling stay in float: they are small, and the embedding's direction is what counts."""
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

    facts = open_session(path).get_modelmeta().custom_metadata_map
    height, width = int(facts["reid.height"]), int(facts["reid.width"])

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter(range(0, len(images), 16))

        def get_next(self) -> dict[str, np.ndarray] | None:
            start = next(self.batches, None)
            return None if start is None else {"input": to_input(images[start : start + 16], height, width).contiguous().numpy()}

    with replacing(to) as draft:
        quantize_static(
            str(path), str(draft), Reader(), quant_format=QuantFormat.QDQ, op_types_to_quantize=["Conv", "Add"],
            per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        copy_metadata(path, draft)


def copy_metadata(source: Path, to: Path) -> None:
    """Gives an ONNX file the metadata of another, which quantisation drops."""
    import onnx

    model = onnx.load(to)
    del model.metadata_props[:]
    model.metadata_props.extend(onnx.load(source).metadata_props)
    onnx.save(model, to)


def milliseconds(path: Path, runs: int = 30) -> float:
    """Least time of one crop on one thread."""
    session = open_session(path)
    shape = [1, *session.get_inputs()[0].shape[1:]]
    x = np.zeros(shape, np.float32)
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        session.run(None, {session.get_inputs()[0].name: x})
        times.append(time.perf_counter() - start)
    return 1000 * min(times)
