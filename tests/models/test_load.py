import json
from pathlib import Path

import pytest
import torch
from tests.export.conftest import tiny_card
from torch import nn

from regard.contract.card import Card, Origin
from regard.errors import InvalidInput, InvalidWeights, RegardError, UnknownName
from regard.models.catalog import build
from regard.models.checkpoint import save_weights
from regard.models.load import network_of, own_callable, resolve
from regard.models.load import weights as weights_files

OPTIONS = {"num_classes": 5, "width": 16, "stem": "small"}
USER_MODULE = """
from torch import nn
import helpers_of_{name}

VALUE = 3

def build():
    return nn.Sequential(nn.Conv2d(3, 5, 1))

def wide(width, *, num_classes=5):
    return nn.Sequential(nn.Conv2d(3, width, 1), nn.Conv2d(width, num_classes, 1))

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
    monkeypatch.setattr(weights_files, "shipped", lambda: index)
    assert resolve("se_resnet18", weights="tiny")[1] == card
    assert resolve("se_resnet18")[1] == card
    with pytest.raises(UnknownName, match="no weights 'tinny'.*comes? with regard for se_resnet18: tiny"):
        resolve("se_resnet18", weights="tinny")
    other, second = trained(tmp_path, "se_resnet18_other")
    index[second.name] = other.with_suffix(".json")
    with pytest.raises(InvalidInput, match="say which weights.*other, tiny"):
        resolve("se_resnet18")


def test_untrained_on_purpose_is_the_same_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_files, "shipped", dict)
    (one, card), (other, _) = (resolve("se_resnet18", weights="random") for _ in range(2))
    assert torch.equal(one.fc.weight, other.fc.weight)
    assert len(card.answer.labels) == 1000
    assert card.origin.weights_sha256 is None
    _, segmenter = resolve("fcn_mobilenet_v2", weights="random")
    assert segmenter.input.dynamic_size
    assert len(segmenter.answer.labels) == 19
    with pytest.raises(InvalidInput, match="say which weights.*random.*none"):
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
        InvalidWeights,
        match=r"does not fit .*shapes differ .*\. Weights of other classes .* se_resnet18\?classes=N$",
    ):
        resolve("se_resnet18", weights=str(tmp_path / "alone.safetensors"))
    with pytest.raises(InvalidWeights, match="cannot read") as unreadable:
        resolve("se_resnet18", weights=str(tmp_path / "missing.safetensors"))
    assert "Weights of other classes" not in str(unreadable.value)


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
    monkeypatch.setattr(own_callable, "find_callable", lambda name: lambda: (nn.Conv2d(3, 5, 1), tiny_card()))
    assert resolve("any:thing")[1] == tiny_card()


OWN_CARD = """
from regard import Card, Classes, ImageInput, Origin
from torch import nn

def build(height={height}):
    return nn.Conv2d(3, 2, 1), Card(
        name="own",
        inputs=(
            ImageInput(
                height=height, width=28, {more}
            ),
        ),
        answer=Classes(labels=("cat", "dog")),
        origin=Origin(builder="own:build"),
    )
"""


@pytest.mark.parametrize(
    ("height", "more", "faults"),
    [
        (0, "resize='stretch'", "height: Input should be greater than 0"),
        (28, "resiez='stretch'", "resize: Field required; resiez: there is no such field"),
        (
            28,
            "resize='stretch', channels=1",
            "mean has 3 values for 1 channels, ImageNet's by def",
        ),
    ],
)
def test_a_card_that_breaks_a_rule_is_named_with_its_line(
    height: int, more: str, faults: str, user_module: str, tmp_path: Path
) -> None:
    (tmp_path / f"card_of_{user_module}.py").write_text(OWN_CARD.format(height=height, more=more))
    with pytest.raises(
        InvalidInput, match=rf"card_of_\w+\.py:9 `ImageInput\(`: this is not a valid ImageInput: {faults}"
    ) as caught:
        resolve(f"card_of_{user_module}:build")
    assert "\n" not in str(caught.value)


def test_normalization_that_is_left_out_is_said(user_module: str, tmp_path: Path) -> None:
    path = tmp_path / f"card_of_{user_module}.py"
    path.write_text(OWN_CARD.format(height=28, more="resize='stretch', std=(0.2, 0.2, 0.2)"))
    with pytest.warns(UserWarning, match=r"own leaves out mean, and ImageNet's.*mean=\(0\.485") as said:
        resolve(f"card_of_{user_module}:build")
    assert (said[0].filename, said[0].lineno) == (str(path), 5)


OWN_READER = """
from torch import nn
from regard.contract.answers import Classes
from regard.contract.card import Card, Origin
from regard.contract.inputs import TokensInput

def build():
    taken = TokensInput(vocabulary=("<pad>", "<unk>", "red"), longest=4)
    answer = Classes(labels=("yes", "no"))
    card = Card(name="own", inputs=(taken,), answer=answer, origin=Origin(builder="own"))
    return nn.EmbeddingBag(3, 2), card
"""


def test_your_own_network_reads_texts(user_module: str, tmp_path: Path) -> None:
    (tmp_path / f"reader_of_{user_module}.py").write_text(OWN_READER)
    network, card = resolve(f"reader_of_{user_module}:build")
    assert card.task == "question_answering"
    assert network(torch.ones(1, 4, dtype=torch.int64)).shape == (1, 2)


def test_a_network_that_says_itself_what_it_takes() -> None:
    options = {"words": 12, "num_classes": 4, "sentences": 3, "width": 8}
    network, card = resolve("memn2n", weights="random", options=options)
    assert [taken.tensor for taken in card.inputs] == ["story", "question"]
    assert (card.task, card.origin.options["words"], card.answer.scores) == ("question_answering", 12, 4)
    again = network_of(card)
    assert all(map(torch.equal, again.state_dict().values(), network.state_dict().values()))


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


# options


@pytest.mark.parametrize("name", ["resnet18?attention=se&classes=5&width=16", "resnet18"])
def test_options_in_the_name_or_beside_it(name: str, tmp_path: Path) -> None:
    options = {} if "?" in name else {"attention": "se", "num_classes": 5, "width": 16}
    network, card = resolve(name, options=options, weights="random")
    assert network.state_dict().keys() == build("se_resnet18").state_dict().keys()
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 5)
    assert (card.name, card.origin.builder) == ("resnet18", "resnet18")
    assert card.origin.options == {"attention": "se", "classes": 5, "width": 16}
    save_weights(network, tmp_path / "w.safetensors")
    (tmp_path / "w.json").write_text(card.to_json())
    again, found = resolve("resnet18", weights=str(tmp_path / "w.safetensors"))  # the Card says the rest
    assert found.origin.options == card.origin.options
    assert torch.equal(again(torch.ones(1, 3, 32, 32)), network(torch.ones(1, 3, 32, 32)))


def test_a_card_and_options_that_contradict_it(tmp_path: Path) -> None:
    path, card = trained(tmp_path)
    assert resolve("se_resnet18", options={"classes": 5, "width": 16}, weights=str(path))[1] == card
    for option, said in (
        ({"classes": 6}, "classes=5"),
        ({"num_classes": 6}, "classes=5"),
        ({"width": 32}, "width=16"),
    ):
        with pytest.raises(InvalidInput, match=f"the Card of {card.name} says {said}, the options "):
            resolve("se_resnet18", options=option, weights=str(path))


def test_options_that_a_card_does_not_say_are_recorded_in_it(tmp_path: Path) -> None:
    path, card = trained(tmp_path)
    (tmp_path / "card.json").write_text(
        card.updated(origin=card.origin.model_dump() | {"options": {"stem": "small"}}).to_json()
    )
    _, found = resolve("se_resnet18?width=16", weights=str(path), card=tmp_path / "card.json")
    assert found.origin.options == {"classes": 5, "stem": "small", "width": 16}


def test_an_option_that_there_is_not() -> None:
    with pytest.raises(UnknownName, match="no option of se_resnet18 named 'widht'. Did you mean 'width'"):
        resolve("se_resnet18", options={"widht": 16}, weights="random")


@pytest.mark.parametrize("place", ["in the name", "beside it"])
def test_options_of_your_own_network(user_module: str, tmp_path: Path, place: str) -> None:
    (tmp_path / "card.json").write_text(tiny_card(labels=7).to_json())
    name = f"{user_module}:wide"
    if place == "in the name":
        network, card = resolve(f"{name}?width=8&classes=7", card=tmp_path / "card.json")
    else:
        network, card = resolve(name, options={"width": 8, "classes": 7}, card=tmp_path / "card.json")
    assert network(torch.zeros(1, 3, 2, 2)).shape == (1, 7, 2, 2)
    assert (card.origin.builder, card.origin.options) == (name, {"width": 8, "classes": 7})
    (tmp_path / "card.json").write_text(card.to_json())
    again, found = resolve(name, card=tmp_path / "card.json")  # the Card brings the options
    assert found == card
    assert again[0].weight.shape == network[0].weight.shape
    with pytest.raises(InvalidInput, match="the Card of tiny says width=8, the options width=16"):
        resolve(name, options={"width": 16}, card=tmp_path / "card.json")


def test_options_that_your_own_network_does_not_take(user_module: str) -> None:
    with pytest.raises(
        UnknownName, match=r"no option of user_models.*:wide named 'widht'.*Known: classes, width"
    ):
        resolve(f"{user_module}:wide?widht=3")
    with pytest.raises(InvalidInput, match="wide needs width"):
        resolve(f"{user_module}:wide")
    with pytest.raises(TypeError):  # a fault inside it is its own
        resolve(f"{user_module}:wide?width=x")


# from a Card


def test_the_network_of_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, card = trained(tmp_path)
    expected = resolve("se_resnet18", weights=str(path))[0].state_dict()
    found = network_of(card, path)
    assert not found.training
    assert all(torch.equal(value, expected[key]) for key, value in found.state_dict().items())
    monkeypatch.setattr(weights_files, "shipped", lambda: {"any": path.with_suffix(".json")})
    assert torch.equal(network_of(card).fc.weight, expected["fc.weight"])  # found by its SHA-256
    monkeypatch.setattr(weights_files, "shipped", dict)
    with pytest.raises(InvalidInput, match="the weights of se_resnet18_tiny do not come with regard"):
        network_of(card)
    save_weights(build("se_resnet18", **OPTIONS), path)
    with pytest.raises(InvalidWeights, match="describes weights of SHA-256"):
        network_of(card, path)


def test_the_untrained_network_of_a_card(tmp_path: Path) -> None:
    network, card = resolve("resnet18?width=8&stem=small", weights="random")
    assert torch.equal(network_of(card).fc.weight, network.fc.weight)
    with pytest.raises(InvalidWeights, match="describes an untrained network, not w.pt"):
        network_of(card, Path("w.pt"))


def test_the_network_of_a_card_that_names_your_own(user_module: str) -> None:
    origin = Origin(builder=f"{user_module}:wide", options={"width": 8})
    assert network_of(tiny_card().updated(origin=origin.model_dump()))[0].weight.shape == (8, 3, 1, 1)


def test_a_card_that_is_no_card(tmp_path: Path, user_module: str) -> None:
    (tmp_path / "card.json").write_text(json.dumps({"name": "x"}))
    with pytest.raises(InvalidInput, match="not a valid Card"):
        resolve(f"{user_module}:build", card=tmp_path / "card.json")
