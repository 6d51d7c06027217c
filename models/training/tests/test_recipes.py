"""Every recipe end to end on generated people, by its one command."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch.nn import functional as F

from reid_training import checkpoint
from reid_training.cli import main
from reid_training.config import parse
from reid_training.data.batches import ViewBatches, to_input
from reid_training.data.pack import make_pack
from reid_training.errors import DataError
from reid_training.export import Facts, export_checked, open_session
from reid_training.exported import begin_with, read_exported
from reid_training.nets import make_net
from reid_training.recipes import embed
from reid_training.teacher_models import open_teacher
from reid_training.teachers import open_view, work_order
from reid_training.variants import fnv1a, write_int8


class FakeTeacher:
    """Mean colours of eight bands: an answer that depends on the picture and nothing else."""

    def __init__(self, path: Path) -> None:
        self.matrix = np.random.default_rng(len(str(path.name))).normal(size=(24, 256))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        bands = images.reshape(len(images), 8, -1, images.shape[2], 3).mean((2, 3)).reshape(len(images), -1)
        out = (bands - bands.mean(1, keepdims=True)) @ self.matrix
        return (out / np.linalg.norm(out, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reid_training.recipes.embed.open_teacher", FakeTeacher)


def embed_config(market: Path, **train: object) -> str:
    values = {"images": 768, "people": 4, "per_person": 4, "others": 16, "bank": 32, "warmup": 100, "bfloat16": False, **train}
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
    return f"""
recipe = "tiny"
task = "embed"
seed = 1
[[source]]
name = "market"
path = ["{market.name}"]
hold_out = 3
[net]
name = "slimres"
dim = 512
options = {{ stem = 8, widths = [8, 16, 16], depths = [1, 1, 1] }}
[teach]
files = {{ a = "a.xml", bb = "bb.xml" }}
weights = {{ a = 1.0, bb = 0.5 }}
views = [1, 0]
[train]
{lines}
"""


def command(config: Path, data: Path, tmp: Path, *more: str, name: str = "train") -> list[str]:
    places = ["--data", str(data), "--out", str(tmp / "out"), "--cache", str(tmp / "cache")]
    return [name, str(config), *places, "--device", "cpu", *more]


def test_the_first_convolutions_of_an_8_bit_file_stay_in_float(tmp_path: Path) -> None:
    exact, small = tmp_path / "lite.onnx", tmp_path / "lite.int8.onnx"
    export_checked(make_net("efficientnet-lite0", 16).eval(), Facts("lite", 64, 32, seen=0, license="none", data="none"), exact)
    write_int8(exact, small, np.random.default_rng(0).integers(0, 256, (16, 64, 32, 3), np.uint8))
    graph = onnx.load(small).graph
    made_by = {output: node.op_type for node in graph.node for output in node.output}
    quantized = [made_by.get(node.input[1]) == "DequantizeLinear" for node in graph.node if node.op_type == "Conv"]
    assert quantized == [False] * 6 + [True] * (len(quantized) - 6) and len(quantized) == 49
    large = [t for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT and np.prod(t.dims) >= 2_048]
    assert not [t.name for t in large], "what stays in float is stored in eight bits, too"


def test_distillation_trains_resumes_and_exports(
    market: Path, tmp_path: Path, teacher: None, capsys: pytest.CaptureFixture
) -> None:
    config = tmp_path / "tiny.toml"
    config.write_text(embed_config(market))
    arguments = command(config, market.parent, tmp_path, "--teachers", str(tmp_path))
    assert main([*arguments, "--minutes", "0.0001"]) == 1
    assert "--resume continues" in capsys.readouterr().err
    first = checkpoint.load(tmp_path / "out/checkpoint.pt", "tiny")
    assert 0 < first["seen"] < 768
    assert main([*arguments, "--resume"]) == 0
    last = checkpoint.load(tmp_path / "out/checkpoint.pt", "tiny")
    assert last["seen"] >= 768 and last["history"][-1]["market mAP"] > 0
    assert (tmp_path / "out/tiny.onnx").exists()
    assert main(["plot", str(tmp_path / "out/history.json"), "--to", str(tmp_path / "curves.png")]) == 0
    assert main(command(config, market.parent, tmp_path, "--to", str(tmp_path / "again.onnx"), "--variants", name="export")) == 0
    assert (tmp_path / "again.onnx").exists() and (tmp_path / "again.int8.onnx").exists()
    figures = json.loads((tmp_path / "again.variants.json").read_text())
    assert set(figures) == {"again.onnx", "again.fp16.onnx", "again.w8.onnx", "again.int8.onnx"}
    assert figures["again.w8.onnx"]["cosine to float32"] > 0.999
    assert figures["again.w8.onnx"]["MB"] < figures["again.fp16.onnx"]["MB"]
    packed = tmp_path / "again.w8.onnx"
    assert main(command(config, market.parent, tmp_path, "--model", str(packed), name="quantize")) == 0
    facts = open_session(tmp_path / "again.w8.int8.onnx").get_modelmeta().custom_metadata_map
    assert facts["reid.quantized-from"] == f"{fnv1a(packed.read_bytes()):016x}" and facts["reid.height"] == "128"
    assert main(command(config, market.parent, tmp_path, "--model", str(tmp_path / "none.onnx"), name="quantize")) == 1
    sets = ["--query", str(market), "--gallery", str(market), "--cache", str(tmp_path / "cache")]
    assert main(["evaluate", str(tmp_path / "again.onnx"), *sets]) == 0
    assert '"mAP"' in capsys.readouterr().out


def test_a_run_ends_by_the_clock_with_a_fallen_rate(
    market: Path, tmp_path: Path, teacher: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    config = tmp_path / "tiny.toml"
    config.write_text(embed_config(market, images=1_000_000, sizes=[[0.0, 64, 32], [0.9, 128, 64]]))
    rates, sizes = [], []
    monkeypatch.setattr("reid_training.cli.ending_at", lambda *_: Counting())
    plain = embed.step

    def spying(run: embed.Run, *rest: object) -> dict[str, float]:
        rates.append(run.rate())
        sizes.append(run.size())
        return plain(run, *rest)

    class Counting:
        """A clock that goes forward by steps: full rate until the tenth, over at the twentieth, which is not taken."""

        def fallen(self) -> float:
            return min(1.0, max(0.0, (len(rates) - 9) / 10))

    monkeypatch.setattr(embed, "step", spying)
    arguments = command(config, market.parent, tmp_path, "--teachers", str(tmp_path))
    assert main([*arguments, "--until", "23:59"]) == 0
    assert len(rates) == 19 and rates[9] == 1.0 > rates[10] > rates[-1] > 0
    assert sizes[9] == (64, 32) and sizes[10] == (128, 64)
    stable, last = (checkpoint.load(tmp_path / "out" / name, "tiny") for name in ("stable.pt", "checkpoint.pt"))
    assert (stable["fallen"], last["fallen"]) == (0.0, 1.0) and stable["seen"] / last["seen"] == pytest.approx(10 / 19)
    facts = open_session(tmp_path / "out/tiny.onnx").get_modelmeta().custom_metadata_map
    assert facts["reid.height"] == "128" and facts["reid.seen"] == str(last["seen"])
    monkeypatch.setattr("reid_training.cli.ending_at", lambda *_: None)
    assert main([*arguments, "--resume", "--minutes", "0.0001"]) == 1  # no clock: at full rate again
    assert checkpoint.load(tmp_path / "out/checkpoint.pt", "tiny")["fallen"] == 0.0
    monkeypatch.undo()
    capsys.readouterr()
    epochs = Path(__file__).parent.parent / "configs/reid-pair-resnet50.toml"
    assert main(["train", str(epochs), "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--until", "23:59"]) == 1
    assert "--until" in capsys.readouterr().err


def test_frozen_blocks_keep_their_weights_when_a_run_goes_on(
    market: Path, tmp_path: Path, teacher: None, capsys: pytest.CaptureFixture
) -> None:
    config = tmp_path / "tiny.toml"
    plain = embed_config(market, images=32)
    lite = plain.replace('name = "slimres"', 'name = "efficientnet-lite0"')
    lite = "\n".join(line for line in lite.splitlines() if not line.startswith("options"))
    config.write_text(lite)
    arguments = command(config, market.parent, tmp_path, "--teachers", str(tmp_path))
    assert main(arguments) == 0
    before = checkpoint.load(tmp_path / "out/checkpoint.pt", "tiny")["net"]
    config.write_text(lite.replace("images = 32", "images = 64\nfrozen = 3"))
    assert main([*arguments, "--resume"]) == 0
    assert "optimiser starts anew" in capsys.readouterr().out
    after = checkpoint.load(tmp_path / "out/checkpoint.pt", "tiny")["net"]
    moved = {name.split(".layers")[0] for name in before if not torch.equal(before[name], after[name])}
    assert "blocks.3" in moved and "embed.weight" in moved
    assert not moved & {"blocks.0", "blocks.1", "blocks.2"} and not any(name.startswith("stem") for name in moved)
    config.write_text(plain.replace("bank = 32", "bank = 32\nfrozen = 3"))
    assert main(command(config, market.parent, tmp_path / "other", "--teachers", str(tmp_path))) == 1
    assert "frozen is for EfficientNet" in capsys.readouterr().err


def test_an_embedder_learns_from_teachers_alone(
    market: Path, tmp_path: Path, teacher: None, capsys: pytest.CaptureFixture
) -> None:
    config = tmp_path / "tiny.toml"
    nobody = embed_config(market, images=64, people=0, identity=0.0, triplet=0.0).replace("hold_out = 3", "labels = false")
    config.write_text(nobody)
    arguments = command(config, market.parent, tmp_path, "--teachers", str(tmp_path))
    assert main(arguments) == 0
    assert " 0 people" in capsys.readouterr().out and (tmp_path / "out/tiny.onnx").exists()
    assert checkpoint.load(tmp_path / "out/checkpoint.pt", "tiny")["seen"] == 64
    config.write_text(nobody.replace("people = 0", "people = 4"))
    assert main([*arguments, "--resume"]) == 1
    assert "fewer than two known people" in capsys.readouterr().err


def test_interrupted_teaching_continues_with_the_same_answers(
    market: Path, tmp_path: Path, teacher: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = parse({"recipe": "t", "task": "embed", "seed": 1, "source": [{"name": "m", "path": [market.name]}],
                    "teach": {"files": {"a": "a.xml"}, "weights": {"a": 1.0}, "views": [1]}})
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    embed.teach(config, market.parent, tmp_path / "one", tmp_path)
    monkeypatch.setattr("reid_training.teachers.CHUNK", 10)
    calls = []

    class Dying(FakeTeacher):
        def __call__(self, images: np.ndarray) -> np.ndarray:
            if len(images) > 1:  # one picture asks for the length of an answer
                calls.append(len(images))
                if len(calls) == 3:
                    raise KeyboardInterrupt
            return super().__call__(images)

    monkeypatch.setattr("reid_training.recipes.embed.open_teacher", Dying)
    with pytest.raises(KeyboardInterrupt):
        embed.teach(config, market.parent, tmp_path / "two", tmp_path)
    pack = make_pack(config.sources, market.parent, tmp_path / "two")
    half = open_view(pack, 1, ["a"])
    assert half is not None and list(half.rows) == list(work_order(len(pack))[:20])
    embed.teach(config, market.parent, tmp_path / "two", tmp_path)
    whole = open_view(make_pack(config.sources, market.parent, tmp_path / "one"), 1, ["a"])
    again = open_view(pack, 1, ["a"])
    assert whole is not None and again is not None and len(again.rows) == len(pack)
    assert np.array_equal(whole.targets[0], again.targets[0]) and np.array_equal(whole.images, again.images)


def test_an_exported_embedder_teaches_another(
    market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    config = tmp_path / "tiny.toml"
    config.write_text(embed_config(market, images=96))
    with monkeypatch.context() as patched:
        patched.setattr("reid_training.recipes.embed.open_teacher", FakeTeacher)
        assert main(command(config, market.parent, tmp_path, "--teachers", str(tmp_path))) == 0
    text = config.read_text().replace('a = "a.xml", bb = "bb.xml"', 'own = "tiny.onnx"').replace("a = 1.0, bb = 0.5", "own = 1.0")
    config.write_text(text)
    taught = tmp_path / "taught"
    arguments = command(config, market.parent, taught, "--teachers", str(tmp_path))
    assert main(arguments) == 1
    assert "tiny.onnx does not exist; check --teachers" in capsys.readouterr().err
    assert main([*arguments[:-1], str(tmp_path / "out")]) == 0
    pack = make_pack(parse(tomllib.loads(text)).sources, market.parent, taught / "cache")
    view = open_view(pack, 1, ["own"])
    answers = open_teacher(tmp_path / "out/tiny.onnx")(view.images[:])
    assert answers.shape == (len(pack), 512)
    assert np.abs(view.targets[0][:] - answers).max() < 1e-3


def test_mixed_people_teach_no_identity(market: Path, tmp_path: Path, teacher: None) -> None:
    config = parse({"recipe": "t", "task": "embed", "seed": 1, "source": [{"name": "m", "path": [market.name]}],
                    "teach": {"files": {"a": "a.xml"}, "weights": {"a": 1.0}, "views": [3]}})
    pack = make_pack(config.sources, market.parent, tmp_path)
    embed.teach(config, market.parent, tmp_path, tmp_path)
    rows = np.ones(len(pack), bool)
    with pytest.raises(DataError, match="teach"):
        ViewBatches(pack, rows, [3], {"a": 1.0})
    plain = parse({"recipe": "t", "task": "embed", "seed": 1, "source": [{"name": "m", "path": [market.name]}],
                   "teach": {"files": {"a": "a.xml"}, "weights": {"a": 1.0}, "views": [1]}})
    embed.teach(plain, market.parent, tmp_path, tmp_path)
    batches = ViewBatches(pack, rows, [1, 3], {"a": 1.0})
    numbers = np.arange(len(pack))
    drawn = batches.fetch(np.random.default_rng(1), numbers, np.zeros(len(pack), np.int64), len(pack) // 2)
    known = drawn.classes.numpy() == 0
    assert known[: len(pack) // 2].all()
    assert 0 < known[len(pack) // 2 :].sum() < len(pack) - len(pack) // 2


def test_nan_loss_stops_and_keeps_the_last_good_checkpoint(
    market: Path, tmp_path: Path, teacher: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "tiny.toml"
    config.write_text(embed_config(market))
    arguments = command(config, market.parent, tmp_path, "--teachers", str(tmp_path))
    assert main([*arguments, "--minutes", "0.0001"]) == 1
    good = (tmp_path / "out/checkpoint.pt").read_bytes()
    monkeypatch.setattr(embed, "cosine_loss", lambda *_: torch.tensor(float("nan"), requires_grad=True))
    assert main([*arguments, "--resume"]) == 1
    assert (tmp_path / "out/checkpoint.pt").read_bytes() == good


def test_same_seed_same_weights(market: Path, tmp_path: Path, teacher: None) -> None:
    states = []
    for run in ("a", "b"):
        (tmp_path / run).mkdir()
        config = tmp_path / run / "tiny.toml"
        config.write_text(embed_config(market, images=96))
        assert main(command(config, market.parent, tmp_path / run, "--teachers", str(tmp_path))) == 0
        states.append(checkpoint.load(tmp_path / run / "out/checkpoint.pt", "tiny")["net"])
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def assert_same_file(one: Path, two: Path) -> None:
    """Two exported files give the same answers and say the same of themselves."""
    sessions = [open_session(path) for path in (one, two)]
    assert len({json.dumps(session.get_modelmeta().custom_metadata_map, sort_keys=True) for session in sessions}) == 1
    shapes = {given.name: [2, *given.shape[1:]] for given in sessions[0].get_inputs()}
    x = {name: np.random.default_rng(0).normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    answers = [session.run(None, x)[0] for session in sessions]
    assert np.array_equal(*answers)


OWN = """
recipe = "own"
task = "triplet"
seed = 1
[net]
name = "compact"
dim = 32
options = { widths = [8, 8, 16, 16, 16, 16] }
[train]
epochs = 2
batch = 8
triplets = 32
distance = "%s"
"""


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_triplets_on_an_own_folder(tree: Path, tmp_path: Path, distance: str) -> None:
    config = tmp_path / "own.toml"
    config.write_text(OWN % distance)
    assert main(command(config, tree, tmp_path)) == 0
    assert (tmp_path / "out/own.onnx").exists() and (tmp_path / "out/histograms.png").exists()
    history = json.loads((tmp_path / "out/checkpoint-history.json").read_text())
    assert len(history) == 2 and "validation mAP" in history[-1]
    assert main(command(config, tree, tmp_path, "--to", str(tmp_path / "again.onnx"), "--variants", name="export")) == 0
    assert_same_file(tmp_path / "out/own.onnx", tmp_path / "again.onnx")
    figures = json.loads((tmp_path / "again.variants.json").read_text())
    assert set(figures) == {f"again{kind}.onnx" for kind in ("", ".fp16", ".w8", ".int8")}
    after = json.loads((tmp_path / "out/figures.json").read_text())
    assert figures["again.onnx"]["validation mAP"] == pytest.approx(after["validation mAP"], abs=0.02)


@pytest.mark.parametrize("negatives", ["semi-hard", "all"])
def test_triplets_begin_with_the_weights_of_another_recipe(
    tree: Path, tmp_path: Path, negatives: str, capsys: pytest.CaptureFixture
) -> None:
    config, arguments = tmp_path / "own.toml", command(tmp_path / "own.toml", tree, tmp_path)
    config.write_text(OWN.replace('recipe = "own"', 'recipe = "first"') % "cosine")
    assert main([*arguments, "--out", str(tmp_path / "first")]) == 0
    own = OWN.replace("dim = 32", 'dim = 32\nstart = "first"') % "euclidean" + f'negatives = "{negatives}"\n'
    config.write_text(own)
    assert main(arguments) == 0
    after, before = (json.loads((tmp_path / name / "figures.json").read_text()) for name in ("first", "out"))
    assert before["before"] == {key: after[key] for key in before["before"]}
    facts = open_session(tmp_path / "out/own.onnx").get_modelmeta().custom_metadata_map
    assert facts["reid.seen"] == "64"  # two epochs of 32 triplets, each picture an anchor
    assert main(["export", str(config), "--out", str(tmp_path / "out"), "--to", str(tmp_path / "again.onnx")]) == 0
    assert_same_file(tmp_path / "out/own.onnx", tmp_path / "again.onnx")
    config.write_text(own.replace("dim = 32", "dim = 16"))
    assert main(["export", str(config), "--out", str(tmp_path / "out")]) == 1
    assert "another network" in capsys.readouterr().err
    config.write_text(own)
    assert main([*arguments, "--start", "random"]) == 0
    assert json.loads((tmp_path / "out/figures.json").read_text())["before"] != before["before"]
    capsys.readouterr()
    checkpoint.save(tmp_path / "odd.pt", "odd", {"seen": 1})
    (tmp_path / "torn.pt").write_bytes(b"no checkpoint")
    for text, wrong, more in (
        ("configs/second.toml first", own.replace("first", "second"), []),
        ("no checkpoint at", own, ["--start", str(tmp_path / "none.pt")]),
        ("another network", own.replace("dim = 32", "dim = 16"), []),
        ("another network", own, ["--start", str(tmp_path / "odd.pt")]),
        ("cannot be read", own, ["--start", str(tmp_path / "torn.pt")]),
        ("negatives", own.replace(negatives, "easy"), []),
    ):
        config.write_text(wrong)
        assert main([*arguments, *more]) == 1
        assert text in capsys.readouterr().err, text


@pytest.mark.parametrize("kind", ["", ".w8", ".fp16"])
def test_training_goes_on_from_an_exported_file(
    market: Path, tmp_path: Path, teacher: None, kind: str, capsys: pytest.CaptureFixture
) -> None:
    config, file = tmp_path / "tiny.toml", tmp_path / f"out/tiny{kind}.onnx"
    config.write_text(embed_config(market))
    arguments = command(config, market.parent, tmp_path, "--teachers", str(tmp_path))
    assert main(arguments) == 0
    assert main([*command(config, market.parent, tmp_path, name="export"), "--variants"]) == 0
    weights, facts = read_exported(file)
    assert facts["reid.seen"] == "768"
    pack = make_pack(parse(tomllib.loads(config.read_text())).sources, market.parent, tmp_path / "cache")
    x = to_input(pack.images[:], 128, 64)
    net = make_net("slimres", 512, stem=8, widths=[8, 16, 16], depths=[1, 1, 1])
    begin_with(net, weights, x, file.name)
    with torch.no_grad():
        answers = F.normalize(net.eval()(x), dim=1)
        net.neck = torch.nn.Identity()  # not folded: it stands in the file with the statistics of its own training
        still, learning = (F.normalize(net.train(mode)(x), dim=1) for mode in (False, True))
    given = open_session(file).run(None, {"input": x.numpy()})[0]
    assert np.abs(answers.numpy() - given).max() < 1e-5, "it answers as the file does"
    assert (still * learning).sum(1).min() > 0.999, "and nearly so while it learns"
    again = command(config, market.parent, tmp_path, "--start", str(file))
    assert main(again) == 0
    assert checkpoint.load(tmp_path / "out/checkpoint.pt", "tiny")["history"][-1]["seen"] == 2 * 768
    assert read_exported(tmp_path / "out/tiny.onnx")[1]["reid.seen"] == str(2 * 768)
    capsys.readouterr()
    config.write_text(embed_config(market).replace("stem = 8", "stem = 16"))
    assert main(again) == 1
    assert "another network" in capsys.readouterr().err


def test_files_that_were_not_exported_here_are_no_start(
    market: Path, tmp_path: Path, teacher: None, capsys: pytest.CaptureFixture
) -> None:
    config, odd = tmp_path / "tiny.toml", tmp_path / "odd.onnx"
    config.write_text(embed_config(market))
    arguments = command(config, market.parent, tmp_path, "--teachers", str(tmp_path), "--start", str(odd))
    odd.write_bytes(b"no model")
    assert main(arguments) == 1
    assert "cannot be read as ONNX" in capsys.readouterr().err
    odd.write_bytes(b"")
    assert main(arguments) == 1
    assert "was not exported here for this recipe" in capsys.readouterr().err


def test_own_people_begin_with_the_compact_embedder_that_ships(tree: Path, tmp_path: Path) -> None:
    here = Path(__file__).parent.parent
    arguments = command(here / "configs/own-people.toml", tree, tmp_path)
    config = tmp_path / "short.toml"
    config.write_text((here / "configs/own-people.toml").read_text().replace("epochs = 30", "epochs = 1"))
    arguments[1] = str(config)
    assert main([*arguments, "--start", str(here.parent / "reid-compact.onnx")]) == 0
    figures = json.loads((tmp_path / "out/figures.json").read_text())
    assert figures["before"]["validation mAP"] > 70, "it knows people before it has seen these"
    terms = open_session(tmp_path / "out/own-people.onnx").get_modelmeta().custom_metadata_map["reid.license"]
    assert terms.startswith("yours") and "research use only" in terms, "whose weights they began as is said"


def test_the_readme_recipe_for_own_people_tells_them_apart(tree: Path, tmp_path: Path) -> None:
    """configs/own-people.toml as it stands: better than at the start, and a file with the agreed metadata."""
    config = Path(__file__).parent.parent / "configs/own-people.toml"
    assert main(command(config, tree, tmp_path)) == 0
    figures = json.loads((tmp_path / "out/figures.json").read_text())
    assert figures["validation mAP"] > 70
    assert (tmp_path / "out/own-people.onnx").stat().st_size < 1_000_000


def test_pairs_by_both_optimisers(market: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    config = tmp_path / "pair.toml"
    config.write_text(
        'recipe = "pairs"\ntask = "pair"\nseed = 1\n[net]\nname = "compact"\ndim = 16\n'
        "[train]\noptimizers = { sgd = 0.01, nadam = 1e-3 }\nepochs = 1\nsteps = 2\npeople = 4\nper_person = 4\npairs = 32\n"
        "validation_pairs = 16\nheight = 128\nwidth = 96\n"
    )
    assert main(command(config, market, tmp_path)) == 0
    assert set(json.loads((tmp_path / "out/figures.json").read_text())) == {"sgd", "nadam"}
    session = open_session(tmp_path / "out/pairs.onnx")
    facts = session.get_modelmeta().custom_metadata_map
    assert facts["reid.task"] == "pair" and facts["reid.width"] == "96" and facts["reid.seen"] == "32"
    assert (tmp_path / "out/curves.png").exists()
    a, b = (np.random.default_rng(n).normal(size=(3, 3, 128, 96)).astype(np.float32) for n in range(2))
    one, other = session.run(None, {"a": a, "b": b})[0], session.run(None, {"a": b, "b": a})[0]
    assert one.shape == (3,) and (one > 0).all() and (one < 1).all() and np.allclose(one, other, atol=1e-5)
    assert main(command(config, market, tmp_path, "--to", str(tmp_path / "again.onnx"), name="export")) == 0
    assert_same_file(tmp_path / "out/pairs.onnx", tmp_path / "again.onnx")
    assert main(command(config, market, tmp_path, "--variants", name="export")) == 1
    assert "not of pair models" in capsys.readouterr().err
    assert main(["export", str(config), "--out", str(tmp_path / "nothing")]) == 1
    assert "no checkpoint of sgd, nadam" in capsys.readouterr().err


def test_the_compact_embedder_is_exported_anew_with_variants(market: Path, tmp_path: Path, teacher: None) -> None:
    config = tmp_path / "tiny.toml"
    config.write_text(embed_config(market, images=96).replace('task = "embed"', 'task = "compact"'))
    assert main(command(config, market.parent, tmp_path, "--teachers", str(tmp_path))) == 0
    assert main(command(config, market.parent, tmp_path, "--to", str(tmp_path / "again.onnx"), "--variants", name="export")) == 0
    assert_same_file(tmp_path / "out/tiny.onnx", tmp_path / "again.onnx")
    assert "market mAP" in json.loads((tmp_path / "again.variants.json").read_text())["again.int8.onnx"]


def test_compact_fills_its_table(tree: Path, tmp_path: Path) -> None:
    config = tmp_path / "compact.toml"
    config.write_text(
        'recipe = "small"\ntask = "compact"\nseed = 1\n[net]\nname = "compact"\ndim = 16\n'
        f'[[classify]]\nsource = {{ name = "people", path = ["{tree.name}"], format = "tree" }}\n'
        "group = '(\\w+)/(\\d+)'\nblock = 2\nepochs = 1\nclasses = 4\nper_class = 4\n"
    )
    assert main(command(config, tree.parent, tmp_path)) == 0
    table = json.loads((tmp_path / "out/accuracy.json").read_text())["people"]
    assert (tmp_path / "out/people-confusion.png").exists()
    assert table["test"] == 10 and "triplet + SVM accuracy" in table and "cross-entropy accuracy" in table


def test_wrong_folders_and_files_end_without_a_traceback(market: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    config = tmp_path / "tiny.toml"
    config.write_text(embed_config(market))
    sets = ["--query", str(market), "--gallery", str(market), "--cache", str(tmp_path)]
    cases = {
        "does not exist": command(config, tmp_path / "nowhere", tmp_path),
        "not found": command(config, tmp_path, tmp_path),
        "--teachers": command(config, market.parent, tmp_path),
        "configuration": command(tmp_path / "none.toml", market, tmp_path),
        "model": ["evaluate", str(tmp_path / "no.onnx"), *sets],
        "no history": ["plot", str(config), "--to", str(tmp_path / "x.png")],
        "take one folder or tar, not 2": command(config, market, tmp_path, "--data", str(market)),
        "give --data": ["train", str(config), "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")],
        "no checkpoint at": command(config, market.parent, tmp_path, name="export"),
    }
    for text, arguments in cases.items():
        assert main(arguments) == 1
        assert text in capsys.readouterr().err, text


def test_checkpoint_of_another_recipe_is_refused_by_the_command(
    market: Path, tmp_path: Path, teacher: None, capsys: pytest.CaptureFixture
) -> None:
    config = tmp_path / "tiny.toml"
    config.write_text(embed_config(market))
    (tmp_path / "out").mkdir()
    checkpoint.save(tmp_path / "out/checkpoint.pt", "other", {})
    assert main(command(config, market.parent, tmp_path, "--teachers", str(tmp_path), "--resume")) == 1
    assert "belongs to recipe 'other'" in capsys.readouterr().err
