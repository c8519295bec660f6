"""A table of defects, each planted in a graph that was proven: what must be caught, and by what name; and
what lies below the tolerance by design.
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import ModelProto, NodeProto, helper, numpy_helper
from tests.export.conftest import CLASSES, Exported, seeded, tiny_card
from tests.exports import Exports
from torch import Tensor, nn

from regard.contract.card import Card
from regard.contract.preprocess import Pixels
from regard.errors import ExportError, InvalidInput
from regard.export import onnx_export
from regard.export.graph.metadata import SCOPES
from regard.export.onnx_export import export_onnx
from regard.export.proof.comparison import ParityError


class Resized(nn.Module):
    """Bilinear, to the size of another map."""

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


class Segmenter(nn.Module):
    """Of any size; `mix` is called three times, twice in a row, and `act` twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.act = nn.ReLU()
        self.mix = nn.Conv2d(8, 8, 3, padding=1)
        self.block = nn.Sequential(nn.Conv2d(8, 8, 1), nn.Tanh(), nn.Dropout())
        self.drop = nn.Dropout()
        self.classifier = nn.Conv2d(8, CLASSES, 1)
        self.up = Resized()

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.norm(self.stem(x)))
        y = self.mix(self.mix(y))
        y = self.act(y)
        y = self.drop(y + self.block(self.mix(y)))
        return self.up(self.classifier(y), x)


class MaskedAttention(nn.Module):
    """Softmax attention over the tokens that take part; over all alike where none does."""

    hidden = -1e4

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        scores = self.query(tokens) @ self.key(tokens).transpose(1, 2)  # (B, N, N)
        scores = scores.masked_fill(~mask[:, None, :], self.hidden)
        return tokens + scores.softmax(dim=-1) @ self.value(tokens)


class MaskedWithInfinity(MaskedAttention):
    """NaN where no token takes part."""

    hidden = -torch.inf


class Dark(nn.Module):
    """Speaks up where an image is almost black, which no photograph is."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Linear(1, CLASSES, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.weight((-x.mean(dim=(1, 2, 3)) - 1.7).relu()[:, None])


class Classifier(nn.Module):
    """Bright patches attend to each other: (B, 3, H, W) -> (B, CLASSES)."""

    def __init__(self, attention: type[MaskedAttention] = MaskedAttention) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 8, stride=8)
        self.norm = nn.LayerNorm(8)
        self.attend = attention(8)
        self.dark = Dark()
        self.classifier = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(self.patches(x).flatten(2).transpose(1, 2))
        mask = F.avg_pool2d(x, 8).mean(dim=1).flatten(1) > -1
        return self.classifier(self.attend(tokens, mask).mean(dim=1)) + self.dark(x)


Plant = Callable[[ModelProto], None]


# how to plant


def node_in(model: ModelProto, path: str, operator: str, index: int = 0) -> NodeProto:
    """The node of a module, by its operator."""
    found = [node for node in model.graph.node if node.op_type == operator and path == innermost(node)]
    return found[index]


def innermost(node: NodeProto) -> str:
    """Path of the module that a node is in, `network` left out."""
    scopes = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "['', '']")
    return ast.literal_eval(scopes)[-2].removeprefix("network").removeprefix(".")


def constant(path: str, change: Callable[[np.ndarray], np.ndarray]) -> Plant:
    """Change an initializer."""

    def plant(model: ModelProto) -> None:
        found = next(each for each in model.graph.initializer if each.name == path)
        value = numpy_helper.to_array(found)
        found.CopyFrom(numpy_helper.from_array(change(value.copy()).astype(value.dtype), path))

    return plant


def attribute(path: str, operator: str, name: str, value: object) -> Plant:
    """Change a node's attribute."""

    def plant(model: ModelProto) -> None:
        node = node_in(model, path, operator)
        for each in [each for each in node.attribute if each.name == name]:
            node.attribute.remove(each)
        node.attribute.append(helper.make_attribute(name, value))

    return plant


def after(
    path: str, operator: str, new: str, *constants: np.ndarray, index: int = 0, **attributes: object
) -> Plant:
    """Put a node behind another, for no module."""

    def plant(model: ModelProto) -> None:
        node = node_in(model, path, operator, index)
        insert_after(model, node, new, constants, attributes)

    return plant


def insert_after(
    model: ModelProto,
    node: NodeProto,
    new: str,
    constants: tuple[np.ndarray, ...],
    attributes: dict[str, object],
) -> None:
    name, inner = node.output[0], "planted"
    node.output[0] = inner
    names = [f"constant_{index}" for index in range(len(constants))]
    model.graph.initializer.extend(map(numpy_helper.from_array, constants, names))
    position = list(model.graph.node).index(node)
    planted = helper.make_node(new, [inner, *names], [name], name="planted", **attributes)
    planted.metadata_props.extend(node.metadata_props)
    model.graph.node.insert(position + 1, planted)


def removed(path: str, operator: str, index: int = 0) -> Plant:
    """Delete a node: its input goes on."""

    def plant(model: ModelProto) -> None:
        node = node_in(model, path, operator, index)
        bypass(model, node)
        model.graph.node.remove(node)

    return plant


def bypassed(path: str, operator: str) -> Plant:
    """Let a node's input go on in its place: what it computes is left unused."""

    def plant(model: ModelProto) -> None:
        bypass(model, node_in(model, path, operator))

    return plant


def bypass(model: ModelProto, node: NodeProto) -> None:
    kept = 2 if node.op_type == "Where" else 0
    for other in model.graph.node:
        for index, name in enumerate(other.input):
            if name == node.output[0]:
                other.input[index] = node.input[kept]


def other_weights_in_the_second_call(model: ModelProto) -> None:
    weight = next(each for each in model.graph.initializer if each.name == "network.mix.weight")
    model.graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(weight) * 1.1, "other"))
    node_in(model, "mix", "Conv", index=1).input[1] = "other"


def baked_size(model: ModelProto) -> None:
    """The size that was traced, in place of the image's."""
    sizes = node_in(model, "up", "Concat")
    baked = np.array([32]), np.array([48])
    for index, value in enumerate(baked):
        model.graph.initializer.append(numpy_helper.from_array(value, f"baked_{index}"))
        sizes.input[index] = f"baked_{index}"


def beside_the_first(model: ModelProto) -> None:
    """Every image gets the features of the first in its batch added."""
    node = node_in(model, "stem", "Conv")
    name = node.output[0]
    insert_after(model, node, "Add", (), {})
    planted = next(each for each in model.graph.node if each.name == "planted")
    first = helper.make_node("Gather", ["planted", "zero"], ["first"], axis=0)
    first.metadata_props.extend(node.metadata_props)
    model.graph.initializer.append(numpy_helper.from_array(np.array([0]), "zero"))
    planted.input.append("first")
    assert planted.output[0] == name
    model.graph.node.insert(list(model.graph.node).index(planted), first)


def all_rounded(model: ModelProto) -> None:
    for each in model.graph.initializer:
        if each.name.startswith("network."):
            constant(each.name, rounded)(model)


def subtracts(model: ModelProto) -> None:
    node_in(model, "", "Add").op_type = "Sub"


def without_block(model: ModelProto) -> None:
    removed("block.0", "Conv")(model)
    removed("block.1", "Tanh")(model)


def rounded(weights: np.ndarray) -> np.ndarray:
    return weights.astype(np.float16)


def one_nan(weights: np.ndarray) -> np.ndarray:
    weights.flat[0] = np.nan
    return weights


def others(weights: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).normal(weights.mean(), weights.std(), weights.shape)


# the table


@dataclass(frozen=True)
class Defect:
    """A defect of a graph, and the layer that must be named; None where it lies below the tolerance."""

    name: str
    plant: Plant
    layer: str | None


CHANNELS = np.array([2, 1, 0])
MIRROR = [np.array([value]) for value in (-1, np.iinfo(np.int64).min, 2, -1)]  # start, end, axis, step
CLASS_ORDER = np.array([1, 0, 2, 3, 4])
OF_SEGMENTER = (
    Defect("epsilon of a norm", attribute("norm", "InstanceNormalization", "epsilon", 1e-2), "norm"),
    Defect("swapped channels", after("normalize", "Add", "Gather", CHANNELS, axis=1), "the input"),
    Defect("wrong mean", constant("normalize.shift", lambda shift: shift + 0.01), "the input"),
    Defect(
        "align_corners",
        attribute("up", "Resize", "coordinate_transformation_mode", "align_corners"),
        "up",
    ),
    Defect("resize mode", attribute("up", "Resize", "mode", "nearest"), "up"),
    Defect("baked size", baked_size, "up"),
    Defect("baked batch", after("stem", "Conv", "Reshape", np.array([2, 8, 16, 24])), "stem"),
    Defect("removed ReLU", removed("act", "Relu"), "act"),
    Defect("removed ReLU of the second call", removed("act", "Relu", index=1), "act"),
    Defect("bypassed ReLU", bypassed("act", "Relu"), "act"),
    Defect("removed tanh", removed("block.1", "Tanh"), "block.1"),
    Defect("removed convolution", removed("block.0", "Conv"), "block.0"),
    Defect("removed second call", removed("mix", "Conv", index=1), "mix"),
    Defect("removed branch", removed("", "Add"), "mix"),  # its third call begins it
    Defect("a difference for a sum", subtracts, "classifier"),  # of no layer: the next is named
    Defect("removed block", without_block, "block"),
    Defect("other weights in the second call", other_weights_in_the_second_call, "mix"),
    Defect("features of a neighbour", beside_the_first, "stem"),
    Defect("other weights", constant("network.block.0.weight", others), "block.0"),
    Defect("NaN", constant("network.classifier.bias", one_nan), "classifier"),
    Defect("shifted labels", after("answer", "ArgMax", "Add", np.array(1)), "the answer"),
    Defect("mirrored labels", after("answer", "ArgMax", "Slice", *MIRROR), "the answer"),
    # below the tolerance
    Defect("rounded weights, one tensor", constant("network.mix.bias", rounded), None),
    Defect("tiny epsilon", attribute("norm", "InstanceNormalization", "epsilon", 1.01e-5), None),
)
OF_CLASSIFIER = (
    Defect("dropped mask", removed("attend", "Where"), "attend"),
    Defect("softmax axis of attention", attribute("attend", "Softmax", "axis", 1), "attend"),
    Defect("softmax axis of the answer", attribute("answer", "Softmax", "axis", 0), "the answer"),
    Defect("a branch for darkness", constant("network.dark.weight.weight", np.zeros_like), "dark.weight"),
    Defect("epsilon of a norm", attribute("norm", "LayerNormalization", "epsilon", 0.1), "norm"),
    Defect("permuted labels", constant("network.classifier.weight", lambda w: w[CLASS_ORDER]), "classifier"),
    Defect("permuted answers", after("answer", "Softmax", "Gather", CLASS_ORDER, axis=1), "the answer"),
    Defect("a constant", constant("network.classifier.weight", np.zeros_like), "classifier"),
    # the rounded patches are below the tolerance, and are not named
    Defect("rounded weights, all", all_rounded, "norm"),
    # below the tolerance: the variances are around 10
    Defect("epsilon of a norm, 100 times", attribute("norm", "LayerNormalization", "epsilon", 1e-3), None),
)


@pytest.fixture(scope="module")
def segmenter(exports: Exports, images: list[Pixels]) -> Exported:
    return proven(exports, seeded(Segmenter()), tiny_card(), images)


@pytest.fixture(scope="module")
def classifier(exports: Exports, images: list[Pixels]) -> Exported:
    return proven(exports, seeded(Classifier()), tiny_card("classification"), images)


def proven(exports: Exports, network: nn.Module, card: Card, images: list[Pixels]) -> Exported:
    artifact = exports.of(network, card, images)
    return Exported(network, artifact.card, artifact)


@pytest.mark.parametrize("defect", OF_SEGMENTER, ids=lambda defect: defect.name)
def test_of_a_segmenter(
    defect: Defect, segmenter: Exported, images: list[Pixels], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examine(defect, segmenter, images, tmp_path, monkeypatch)


@pytest.mark.parametrize("defect", OF_CLASSIFIER, ids=lambda defect: defect.name)
def test_of_a_classifier(
    defect: Defect,
    classifier: Exported,
    images: list[Pixels],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    examine(defect, classifier, images, tmp_path, monkeypatch)


def examine(
    defect: Defect, proven: Exported, images: list[Pixels], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx.load(proven.artifact.model)
    before = model.SerializeToString(deterministic=True)
    defect.plant(model)
    assert model.SerializeToString(deterministic=True) != before
    monkeypatch.setattr(onnx_export, "trace", lambda *_, **__: model)
    try:
        export_onnx(proven.network, proven.card, folder / "out", images=images)
        named = None
    except ParityError as error:
        named = str(error).partition("First departing layer: ")[2].partition(" (")[0]
        print(error)
    assert named == defect.layer


# what the reference itself must not do


class OfTheBatch(Segmenter):
    """Normalizes by the batch's own statistics, in evaluation too."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(8, track_running_stats=False)


class AfterTheFirst(Segmenter):
    """Compares every image with the first of its batch."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x[:1] / 2)


class Constant(Classifier):
    """Sees the image by less than what passes as equal."""

    def forward(self, x: Tensor) -> Tensor:
        return 1 + super().forward(x) * 1e-4


class Zeros(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 0


class SameMap(Segmenter):
    """The same for every image, though not in every place."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.ones_like(x))


class Certain(Classifier):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).softmax(dim=1)


class Coarse(Segmenter):
    """Takes no image below 25 x 25."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + F.avg_pool2d(x, 25).mean(dim=(1, 2, 3), keepdim=True)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (OfTheBatch(), r"depends on its neighbours .*alone than among 6, first in norm \(BatchNorm2d\)"),
        (AfterTheFirst(), r"depends on its neighbours .*first in stem \(Conv2d\)"),
        (
            Classifier(MaskedWithInfinity),
            r"answers NaN or infinity \(scores\) to a black image, in a batch 6",
        ),
        (Zeros(), r"everything in the trials the same scores \(all of them 0\).*trained weights"),
        (Constant(), "everything in the trials the same scores .*a constant would pass"),
        (SameMap(), "everything in the trials the same scores .*a constant would pass"),
        (Certain(), "already returns probabilities"),
        (Coarse(), "itself stops at batch 1 of 24 x 24, which the Card allows; correct the Card's sizes"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_a_reference_that_proves_nothing_is_refused(
    network: nn.Module, message: str, images: list[Pixels], tmp_path: Path
) -> None:
    card = tiny_card("segmentation" if isinstance(network, Segmenter) else "classification")
    with pytest.raises((ExportError, InvalidInput), match=message):
        export_onnx(seeded(network), card, tmp_path / "out", images=images)
    assert not (tmp_path / "out").exists()
