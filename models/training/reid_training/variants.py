"""Smaller files of an exported embedder: float16 weights, eight-bit weights, and int8 by quantise/dequantise nodes (QDQ)."""

from __future__ import annotations

import tempfile
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

#: Metadata key of an 8-bit file: hash of the file that it was quantized from.
SOURCE_KEY = "reid.quantized-from"
#: Crops by which the ranges of activations are found.
CALIBRATION = 512
#: Of so many convolutions one stays in float, those nearest to the input.
FLOAT_SHARE = 8


def write_variants(
    path: Path, pack: Pack, probes: Sequence[Probe], calibration: int = CALIBRATION
) -> dict[str, dict[str, float]]:
    """`<name>.fp16.onnx`, `<name>.w8.onnx` and `<name>.int8.onnx` beside the file, and `<name>.variants.json` with what each
    costs: mAP and rank-1 of every probe, mean cosine to the float32 embeddings, megabytes, milliseconds a crop on one thread."""
    half, packed, quarter = (path.with_suffix(f".{kind}.onnx") for kind in ("fp16", "w8", "int8"))
    write_half(path, half)
    write_packed(path, packed)
    rows = calibration_rows(pack, calibration)
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


def calibration_rows(pack: Pack, most: int = CALIBRATION) -> np.ndarray:
    """Rows of crops that 8-bit ranges are found on, as many of every source as of any other."""
    rng, each = np.random.default_rng(0), -(-most // len(pack.sources))
    of_source = (np.flatnonzero(pack.source == number) for number in range(len(pack.sources)))
    return np.sort(np.concatenate([rng.choice(rows, min(each, len(rows)), replace=False) for rows in of_source]))


def quantize(path: Path, pack: Pack) -> Path:
    """`<name>.int8.onnx` beside an exported embedder, and how near its embeddings are to the file's on further crops."""
    to = path.with_suffix(".int8.onnx")
    rows = calibration_rows(pack)
    write_int8(path, to, pack.images[rows])
    others = np.setdiff1d(calibration_rows(pack, 2 * CALIBRATION), rows)
    others = others if len(others) else rows  # a small pack has no further ones
    exact, small = (unit(onnx_embedder(file)(pack.images[others])) for file in (path, to))
    cosines = (exact * small).sum(1)
    say(
        f"{to}: cosine to the file's embeddings over {len(others)} other crops {cosines.mean():.4f} in the mean, "
        f"{np.percentile(cosines, 1):.3f} at one percent; {milliseconds(path):.1f} and {milliseconds(to):.1f} ms a crop"
    )
    return to


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
    """Static int8: weights by channel, activations by the ranges seen on `images` (uint8 [n, h, w, 3]).

    The layers after pooling stay in float: they are small, and the embedding's direction is what counts. So do the first
    convolutions: the channels of a depthwise network's stem differ much in range, and one step for all of them spoils
    everything behind (`reid-default`: cosine to the file's embeddings 0.907, and 0.996 without them, at the same speed)."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

    facts = open_session(path).get_modelmeta().custom_metadata_map
    height, width = int(facts["reid.height"]), int(facts["reid.width"])

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter(range(0, len(images), 16))

        def get_next(self) -> dict[str, np.ndarray] | None:
            start = next(self.batches, None)
            return None if start is None else {"input": to_input(images[start : start + 16], height, width).contiguous().numpy()}

    with tempfile.TemporaryDirectory() as folder, replacing(to) as draft:
        wide = widened(path, Path(folder))
        convolutions = [node.name for node in onnx.load(wide).graph.node if node.op_type == "Conv"]
        quantize_static(
            str(wide), str(draft), Reader(), quant_format=QuantFormat.QDQ, op_types_to_quantize=["Conv", "Add"],
            per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax, nodes_to_exclude=convolutions[: len(convolutions) // FLOAT_SHARE],
        )
        write_packed(draft, draft)
        copy_metadata(path, draft)


def widened(path: Path, folder: Path) -> Path:
    """The same model in `folder` with its weights as float32 constants, however they are stored."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folder / "widened.onnx")
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return folder / "widened.onnx"


def copy_metadata(source: Path, to: Path) -> None:
    """Gives a quantized ONNX file the metadata of the one that it was made from, which quantization drops, and says which that
    was: the plugin takes an 8-bit file only beside its source."""
    import onnx

    model = onnx.load(to)
    used = {node.domain for node in model.graph.node}
    domains = [opset for opset in model.opset_import if opset.domain in used]  # an older runtime refuses those it does not know
    del model.opset_import[:]
    model.opset_import.extend(domains)
    del model.metadata_props[:]
    model.metadata_props.extend(onnx.load(source).metadata_props)
    onnx.helper.set_model_props(
        model, {**{p.key: p.value for p in model.metadata_props}, SOURCE_KEY: f"{fnv1a(source.read_bytes()):016x}"}
    )
    onnx.save(model, to)


def fnv1a(data: bytes) -> int:
    """FNV-1a, 64 bit, by which the plugin knows model files."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


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
