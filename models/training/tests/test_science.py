"""Metrics, losses, networks, export, checkpoints, configuration."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from reid_training import checkpoint, parallel
from reid_training.config import parse, read_raw
from reid_training.data.batches import PeopleSampler
from reid_training.data.pack import make_pack
from reid_training.data.sources import Source
from reid_training.errors import CheckpointError, ConfigError, UserError
from reid_training.export import Facts, export_checked, fold_norms
from reid_training.losses import all_triplets_loss, cosine_loss, neighbour_loss, relation_loss, weighted_triplet_loss
from reid_training.metrics import Labelled, across_cameras, pair_scores, retrieve
from reid_training.nets import make_net
from reid_training.plots import draw_histograms, draw_history, draw_plane
from reid_training.recipes.pair import BatchPairs
from reid_training.recipes.triplet import TripletTable, triplet_terms
from reid_training.variants import fnv1a

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.toml"))


def labelled(vectors: list, people: list[int], cameras: list[int]) -> Labelled:
    return Labelled(np.array(vectors, np.float32), np.array(people), np.array(cameras))


def test_market_protocol_by_hand() -> None:
    """Same camera dropped, junk ignored, distractor kept: the true matches are at ranks 2 and 3."""
    query = labelled([[1, 0]], [1], [1])
    gallery = labelled(
        [[1, 0], [1, 0.05], [1, 0.1], [1, 0.2], [1, 0.4], [0, 1]], [1, -1, 0, 1, 1, 2], [1, 2, 3, 2, 3, 2]
    )
    result = retrieve(query, gallery)
    assert result.mean_ap == pytest.approx(100 * (1 / 2 + 2 / 3) / 2)
    assert (result.rank1, result.rank5, result.queries) == (0, 100, 1)
    assert retrieve(query, gallery, euclidean=True).mean_ap == pytest.approx(result.mean_ap)


def test_queries_without_a_match_do_not_count() -> None:
    result = retrieve(labelled([[1, 0]], [5], [1]), labelled([[1, 0]], [6], [2]))
    assert (result.queries, result.mean_ap) == (0, 0)


def test_perfect_embeddings_score_hundred() -> None:
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(1, 11), 4)
    items = Labelled(np.eye(11)[people] + rng.normal(0, 0.01, (40, 11)), people, np.tile([1, 1, 2, 2], 10))
    result = across_cameras(items)
    assert (result.mean_ap, result.rank1) == (100, 100)
    positive, negative = pair_scores(items, most=50)
    assert positive.min() > negative.max()


def test_losses_are_zero_for_the_teacher_itself() -> None:
    target = F.normalize(torch.randn(12, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    assert cosine_loss(target, target) == pytest.approx(0, abs=1e-6)
    assert neighbour_loss(target, target, target, 0.1) == pytest.approx(0, abs=1e-6)
    turned = target @ torch.linalg.qr(torch.randn(16, 16))[0]
    assert relation_loss(turned, target, 0.1) == pytest.approx(0, abs=1e-5)
    assert relation_loss(target.flip(0), target, 0.1) > 0.1


def test_triplet_loss_falls_when_people_part_and_is_zero_without_pairs() -> None:
    people = torch.tensor([0, 0, 1, 1])
    apart = F.normalize(torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1]]), dim=1)
    mixed = F.normalize(torch.tensor([[1.0, 0], [0, 1], [1, 0.1], [0.1, 1]]), dim=1)
    assert weighted_triplet_loss(apart, people) < weighted_triplet_loss(mixed, people)
    assert weighted_triplet_loss(apart, torch.arange(4)) == 0
    assert all_triplets_loss(mixed, people, 0.3) > all_triplets_loss(apart, people, 0.3) == 0
    assert all_triplets_loss(apart, torch.arange(4), 0.3) == 0


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_negatives_of_a_batch_by_brute_force(distance: str) -> None:
    """Each of the eight pictures is an anchor; its partner is the positive, the six pictures of others may be negatives."""
    vectors = F.normalize(torch.randn(8, 5, generator=torch.Generator().manual_seed(3)), dim=1)
    apart = 1 - vectors @ vectors.T if distance == "cosine" else torch.cdist(vectors, vectors)
    late, semi_hard = [], []
    for i in range(8):
        near = apart[i, (i + 4) % 8]
        others = [apart[i, j] for j in range(8) if j % 4 != i % 4]
        late += [near - far + 0.3 for far in others if near - far + 0.3 > 0]
        farther = [far for far in others if far > near]
        semi_hard.append(max(0.0, float(near - (min(farther) if farther else max(others)) + 0.3)))
    for negatives, wanted in (("all", sum(late) / len(late)), ("semi-hard", sum(semi_hard) / 8)):
        terms = triplet_terms(3 * vectors, TripletTable(distance=distance, negatives=negatives))
        assert float(terms["loss"]) == pytest.approx(float(wanted), abs=1e-5), negatives
    same = torch.ones(8, 5, requires_grad=True)
    for negatives in ("all", "semi-hard"):
        triplet_terms(same, TripletTable(distance=distance, negatives=negatives))["loss"].backward()
        assert same.grad.isfinite().all()


def test_pairs_of_a_batch_are_half_of_one_person_across_cameras(market: Path, tmp_path: Path) -> None:
    pack = make_pack([Source("m", (market.name,), "market")], market.parent, tmp_path)
    sampler, rng = PeopleSampler(pack, np.ones(len(pack), bool)), np.random.default_rng(0)
    pairs = BatchPairs(pack, sampler)
    alone = next(rows for rows in sampler.rows_of if len(rows) == 1)
    rows = np.concatenate([*(rows[::2] for rows in sampler.rows_of if len(rows) > 1), alone, alone])
    (one, two), labels = pairs.draw(rng, rows, 25)
    same = pack.identity[rows[one]] == pack.identity[rows[two]]
    assert list(labels) == [1] * 12 + [0] * 13 and np.array_equal(same, labels > 0.5)
    assert len({frozenset(pair) for pair in zip(one.tolist(), two.tolist(), strict=True)}) == 25
    (one, two), labels = pairs.draw(rng, rows, 2 * len(rows) ** 2)
    one, two = one[labels > 0.5], two[labels > 0.5]
    single = rows[one] == alone[0]
    assert single.any() and (single | (pack.camera[rows[one]] != pack.camera[rows[two]])).all()


def test_compact_has_about_166_thousand_parameters() -> None:
    assert 160_000 < sum(p.numel() for p in make_net("compact", 128).parameters()) < 172_000


def test_unknown_net_is_named() -> None:
    with pytest.raises(ConfigError, match="resnet_of_dreams"):
        make_net("resnet_of_dreams", 8)


@pytest.mark.parametrize("name,dim", [("slimres", 512), ("compact", 128)])
def test_export_agrees_with_pytorch_and_carries_the_agreed_metadata(name: str, dim: int, tmp_path: Path) -> None:
    import onnxruntime

    net = make_net(name, dim).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    path = tmp_path / "net.onnx"
    assert export_checked(net, Facts(name, 128, 64, license="test"), path) <= 1e-4
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    wanted = {"reid.task": "embed", "reid.layout": "NCHW", "reid.color": "RGB", "reid.height": "128", "reid.width": "64"}
    assert wanted.items() <= facts.items()
    assert facts["reid.dimension"] == str(dim) and float(facts["reid.scale"]) == pytest.approx(1 / 255)
    assert facts["reid.mean"] == "0.485,0.456,0.406" and facts["reid.std"] == "0.229,0.224,0.225"
    out = session.run(None, {"input": np.random.rand(3, 3, 128, 64).astype(np.float32)})[0]
    assert out.shape == (3, dim) and np.allclose(np.linalg.norm(out, axis=1), 1, atol=1e-5)


def test_folding_norms_changes_nothing() -> None:
    net = make_net("slimres", 16).eval()
    x = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        assert torch.allclose(net(x), fold_norms(net)(x), atol=1e-4)


def test_an_export_that_disagrees_is_refused_and_the_old_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"old")
    monkeypatch.setattr("reid_training.export.difference", lambda *_: float("nan"))
    with pytest.raises(UserError, match="differ by nan"):
        export_checked(make_net("compact", 8), Facts("x", 128, 64), path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    history = [{"map": np.float64(0.5), "loss": np.float32(0.25), "seen": np.int64(7)}]
    assert checkpoint.save(path, "one", {"epoch": 3, "history": history})
    state = checkpoint.load(path, "one")
    assert state["epoch"] == 3 and state["history"] == history
    with pytest.raises(CheckpointError, match="belongs to recipe 'one'"):
        checkpoint.load(path, "two")
    path.write_bytes(b"half")
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint.load(path, "one")


class Trap:
    """What a file of somebody else may hold: code that runs when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, (str(self.mark),))


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    path, mark = tmp_path / "c.pt", tmp_path / "ran"
    torch.save({"recipe": "one", "epoch": Trap(mark)}, path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint.load(path, "one")
    assert not mark.exists()


def test_processes_exchange_tensors_where_their_backend_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.device] = []

    def exchange(tensor: torch.Tensor, *_: object, **__: object) -> None:
        seen.append(tensor.device)

    # No GPU is needed: tensors of the device "meta" stand for those of one.
    monkeypatch.setattr(parallel, "world", lambda: 2)
    monkeypatch.setattr(parallel.dist, "broadcast", exchange)
    monkeypatch.setattr(parallel.dist, "all_reduce", exchange)
    for backend, device in (("nccl", "cuda"), ("gloo", "cpu")):
        monkeypatch.setattr(parallel.dist, "get_backend", lambda name=backend: name)
        assert parallel.place() == torch.device(device)
    monkeypatch.setattr(parallel, "place", lambda: torch.device("meta"))
    for ask in (lambda: parallel.from_first(1.0), lambda: parallel.any_asks(True)):
        with pytest.raises(Exception, match="meta"):  # reading the answer of such a tensor
            ask()
    assert seen == [torch.device("meta")] * 2


def test_full_disk_keeps_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "c.pt"
    checkpoint.save(path, "one", {"epoch": 1})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    assert not checkpoint.save(path, "one", {"epoch": 2})
    monkeypatch.undo()
    assert checkpoint.load(path, "one")["epoch"] == 1 and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("path", [p for p in CONFIGS if "detector" not in p.name], ids=lambda p: p.stem)
def test_every_configuration_is_valid(path: Path) -> None:
    config = parse(read_raw(path))
    assert config.recipe == path.stem


def test_typing_errors_in_a_configuration_are_named(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('recipe = "x"\ntask = "embed"\n[[source]]\nname = "m"\npath = ["m"]\nhold_uot = 3\n')
    with pytest.raises(ConfigError, match="'hold_uot'"):
        parse(read_raw(path))
    path.write_text('recipe = "x"\ntask = "sing"\n')
    with pytest.raises(ConfigError, match="'sing'"):
        read_raw(path)
    with pytest.raises(ConfigError, match="does not exist"):
        read_raw(tmp_path / "none.toml")


def test_plots_are_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    draw_history([{"seen": 1, "loss": 2.0, "val mAP": 3.0}, {"seen": 2, "loss": 1.0}], tmp_path / "a.png")
    draw_histograms({"x": (rng.random(50), rng.random(50))}, tmp_path / "b.png")
    draw_plane(rng.random((30, 2)), np.arange(30) % 3, "t", tmp_path / "c.png")
    assert all((tmp_path / name).stat().st_size > 1000 for name in ("a.png", "b.png", "c.png"))


def test_the_hash_of_model_files_is_the_plugins() -> None:
    assert fnv1a(b"") == 0xCBF29CE484222325
    assert fnv1a(b"foobar") == 0x85944171F73967E8
