"""The whole road from a network to a proven artifact, for every kind of input and answer."""

import numpy as np
import onnxruntime
import pytest
import torch
from tests.export.toys import card, toys
from tests.exports import Exports
from torch import Tensor, nn

from regard.contract.goldens import read_goldens
from regard.contract.inputs import ImageInput
from regard.contract.preprocess import Pixels
from regard.errors import ExportError, InvalidInput
from regard.export.artifact import Artifact, read_graph
from regard.export.graph.served_graph import ServedGraph, at_size_of, output_names
from regard.export.precision.fp16 import prepared
from regard.export.proof.goldens import golden_answers
from regard.export.proof.network_runner import NetworkRunner
from regard.export.tensorrt.source import source_of
from regard.serving.optimize.optimize import optimize

NAMES = [pytest.param(name, marks=pytest.mark.slow) if name == "translation" else name for name in toys()]


def artifact(name: str, exports: Exports, images: list[Pixels]) -> Artifact:
    network, card = toys()[name]
    return exports.of(network, card, images if card.pixels else [])


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_is_exported_and_proven(name: str, exports: Exports, images: list[Pixels]) -> None:
    found = artifact(name, exports, images)
    assert found.card.proven
    first, *others = found.card.certificates[0].comparisons
    assert first.traced != first.rollout
    assert not any(row.traced for row in others)
    goldens = read_goldens(found.folder / "goldens")
    network, _ = toys()[name]
    again = golden_answers(
        {golden.name: golden.inputs(found.card) for golden in goldens},
        found.card,
        NetworkRunner(network, found.card),
    )
    assert len(goldens) >= 6
    for golden in goldens:
        assert np.array_equal(again[golden.name], golden.reference)
        agrees = found.card.answer.agreement(golden.reference[None], golden.answer[None])
        assert agrees >= found.card.answer.min_agreement
    assert len({golden.answer.tobytes() for golden in goldens}) > 1


def test_a_session_begins_with_zeros_of_side_one_at_any_size(exports: Exports, images: list[Pixels]) -> None:
    """What Triton begins with, and what is left of another session, give the same answer."""
    found = artifact("session", exports, images)
    session = onnxruntime.InferenceSession(found.model, providers=["CPUExecutionProvider"])
    image = np.random.default_rng(0).integers(0, 256, (1, 23, 9, 3), np.uint8)
    begin = {"image": image, "start": np.ones((1, 1), np.float32)}
    zeros = {"features": np.zeros((1, 4, 1, 1), np.float32), "count": np.zeros((1, 1), np.float32)}
    stale = {"features": np.full((1, 4, 40, 31), np.nan, np.float32), "count": np.full((1, 1), 7, np.float32)}
    fresh, left = session.run(None, begin | zeros), session.run(None, begin | stale)
    for one, other in zip(fresh, left, strict=True):
        assert np.array_equal(one, other)
    _, features, count = fresh
    on = {"image": image, "start": np.zeros((1, 1), np.float32), "features": features, "count": count}
    _, following, counted = session.run(None, on)
    np.testing.assert_allclose(following, 1.5 * features, rtol=1e-5)
    assert counted == 0.25


def test_a_state_of_its_size_stays_as_it_is() -> None:
    first, given = torch.zeros(2, 3, 6, 8), torch.randn(2, 3, 3, 4)
    assert at_size_of(given, given) is given
    assert torch.equal(at_size_of(first, given), given.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert torch.equal(at_size_of(first, given[:, :, :1, :1]), given[:, :, :1, :1].expand_as(first))


class Looking(nn.Module):
    """A classifier that says where it looked."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))

    def explained(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return self(x), {"boxes": x.new_ones((len(x), 2, 4))}


def test_a_network_may_explain_itself() -> None:
    _, meant = toys()["frames"]
    image = ImageInput(height=4, width=4, resize="stretch")
    meant = card((image,), meant.answer)
    assert output_names(Looking().eval(), meant, explain="weights") == ["probabilities", "boxes"]
    graph = ServedGraph(Looking().eval(), meant, explain="weights")
    _, boxes = graph(torch.zeros(3, 4, 4, 3, dtype=torch.uint8))
    assert boxes.shape == (3, 2, 4)


def test_other_precisions_are_of_single_images(exports: Exports, images: list[Pixels]) -> None:
    found = artifact("story", exports, images)
    with pytest.raises(InvalidInput, match="another precision is for .* toy is for question_answering"):
        optimize(found.folder, "fp16")
    with pytest.raises(InvalidInput, match="toy takes story and question: engines are built of"):
        source_of(found, "float32")


def test_loops_stay_in_float32(exports: Exports, images: list[Pixels]) -> None:
    found = artifact("caption", exports, images)
    with pytest.raises(ExportError, match=r"branches or loops \(If, Loop, Scan\)"):
        prepared(read_graph(found.model))
