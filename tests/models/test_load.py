import json
from pathlib import Path

import pytest
import torch
from tests.export.conftest import tiny_card
from torch import nn

from regard.contract.card import Card, Origin
from regard.errors import InvalidInput, InvalidWeights, RegardError, UnknownName
from regard.models import load
from regard.models.catalog import build
from regard.models.checkpoint import save_weights
from regard.models.load import resolve

OPTIONS = {"num_classes": 5, "width": 16, "stem": "small"}
USER_MODULE = """
from torch import nn
import helpers_of_{name}

VALUE = 3

def build():
    return nn.Sequential(nn.Conv2d(3, 5, 1))

def nothing():
    return None
"""


def trained(folder: Path, name: str = "se_resnet18_tiny") -> tuple[Path, Card]:
    """Weights with their Card beside them, as a training run leaves them."""
    path = folder / f"{name}.safetensors"
    digest = save_weights(build("se_resnet18", **OPTIONS), path)
    card = tiny_card("classification", name=name).updated(
        origin=Origin(builder="se_resnet18", options=OPTIONS, weights_sha256=digest).model_dump()
    )
    path.with_suffix(".json").write_text(card.to_json())
    return path, card


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the working directory that imports another from there."""
    # imported once in a process: a new name for every test
    name = f"user_models_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(USER_MODULE.format(name=name))
    (tmp_path / f"helpers_of_{name}.py").touch()
    monkeypatch.chdir(tmp_path)
    return name


def test_a_file_brings_its_card_and_the_builders_options(tmp_path: Path) -> None:
    path, card = trained(tmp_path)
    network, found = resolve("se_resnet18", weights=str(path))
    assert found == card
    assert not network.training
    assert network(torch.zeros(1, 3, 28, 28)).shape == (1, 5)


def test_shipped_weights_by_tag_or_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, card = trained(tmp_path)
    index = {card.name: path.with_suffix(".json")}
    monkeypatch.setattr(load, "shipped", lambda: index)
    assert resolve("se_resnet18", weights="tiny")[1] == card
    assert resolve("se_resnet18")[1] == card
    with pytest.raises(UnknownName, match="no weights 'tinny'.*comes? with regard for se_resnet18: tiny"):
        resolve("se_resnet18", weights="tinny")
    other, second = trained(tmp_path, "se_resnet18_other")
    index[second.name] = other.with_suffix(".json")
    with pytest.raises(InvalidInput, match="say which weights.*other, tiny"):
        resolve("se_resnet18")


def test_untrained_on_purpose_is_the_same_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "shipped", dict)
    (one, card), (other, _) = (resolve("se_resnet18", weights="random") for _ in range(2))
    assert torch.equal(one.fc.weight, other.fc.weight)
    assert len(card.output.labels) == 1000
    assert card.origin.weights_sha256 is None
    _, segmenter = resolve("fcn_mobilenet_v2", weights="random")
    assert segmenter.input.dynamic_size
    assert len(segmenter.output.labels) == 19
    with pytest.raises(InvalidInput, match="--weights.*random.*none"):
        resolve("se_resnet18")


def test_an_unknown_name_has_neighbours() -> None:
    with pytest.raises(UnknownName, match="Did you mean.*se_resnet18"):
        resolve("se_resnet81", weights="random")


@pytest.mark.parametrize("cause", ["missing", "truncated", "pickle", "other network"])
def test_weights_that_cannot_be_taken(cause: str, tmp_path: Path) -> None:
    path, _ = trained(tmp_path)
    if cause == "missing":
        path.unlink()
    elif cause == "truncated":
        path.write_bytes(path.read_bytes()[:-1000])
    elif cause == "pickle":
        torch.save(nn.Linear(2, 2), path.with_suffix(".pt"))
        path = path.with_suffix(".pt")
    else:
        save_weights(build("resnet18", **OPTIONS), path)
    with pytest.raises(InvalidWeights):
        resolve("se_resnet18", weights=str(path))


def test_weights_of_other_classes_want_their_card(tmp_path: Path) -> None:
    save_weights(build("se_resnet18", **OPTIONS), tmp_path / "alone.safetensors")
    with pytest.raises(
        InvalidWeights, match=r"does not fit .*shapes differ .*\. Weights of other classes .* --card"
    ):
        resolve("se_resnet18", weights=str(tmp_path / "alone.safetensors"))
    with pytest.raises(InvalidWeights, match="cannot read") as unreadable:
        resolve("se_resnet18", weights=str(tmp_path / "missing.safetensors"))
    assert "--card" not in str(unreadable.value)


def test_a_card_of_other_weights(tmp_path: Path) -> None:
    path, _ = trained(tmp_path)
    save_weights(build("se_resnet18", **OPTIONS), path)
    with pytest.raises(InvalidWeights, match="SHA-256.*weights_sha256 to null"):
        resolve("se_resnet18", weights=str(path))


def test_a_card_of_another_network(tmp_path: Path) -> None:
    path, _ = trained(tmp_path)
    with pytest.raises(InvalidInput, match="belongs to se_resnet18, not to resnet18"):
        resolve("resnet18", weights=str(path))


def test_your_own_network_with_a_card(user_module: str, tmp_path: Path) -> None:
    card = tiny_card()
    (tmp_path / "card.json").write_text(card.to_json())
    network, found = resolve(f"{user_module}:build", card=tmp_path / "card.json")
    assert found == card
    assert not network.training
    path = tmp_path / "own.safetensors"
    digest = save_weights(nn.Sequential(nn.Conv2d(3, 5, 1)), path)
    (tmp_path / "own.json").write_text(card.to_json())
    _, found = resolve(f"{user_module}:build", weights=str(path))
    assert found.origin.weights_sha256 == digest


def test_your_own_network_returns_its_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "_find_callable", lambda name: lambda: (nn.Conv2d(3, 5, 1), tiny_card()))
    assert resolve("any:thing")[1] == tiny_card()


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("build", "without a Card"),
        ("biuld", "Did you mean 'build'"),
        ("VALUE", "no callable in user_models"),
        ("nothing", "must return a torch.nn.Module.*NoneType"),
    ],
)
def test_your_own_network_is_not_there(user_module: str, attribute: str, message: str) -> None:
    with pytest.raises(RegardError, match=message):
        resolve(f"{user_module}:{attribute}")


def test_no_such_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownName, match="no module 'no_such_package.models'.*'no_such_package'"):
        resolve("no_such_package.models:build")


def test_a_missing_import_of_the_users_is_the_users_own_error(user_module: str, tmp_path: Path) -> None:
    (tmp_path / f"helpers_of_{user_module}.py").unlink()
    with pytest.raises(ModuleNotFoundError, match="helpers_of"):
        resolve(f"{user_module}:build")


def test_a_card_that_is_no_card(tmp_path: Path, user_module: str) -> None:
    (tmp_path / "card.json").write_text(json.dumps({"name": "x"}))
    with pytest.raises(InvalidInput, match="not a valid Card"):
        resolve(f"{user_module}:build", card=tmp_path / "card.json")
