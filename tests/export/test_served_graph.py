import pytest
import torch
from tests.export.conftest import TinyClassifier, TinySegmenter, seeded, tiny_card
from torch import Tensor, nn

from regard.contract.preprocess import Pixels
from regard.errors import ExportError
from regard.export.attention_maps import attention_modules, captured
from regard.export.runners import normalized
from regard.export.served_graph import ServedGraph, output_names
from regard.models.attention.criss_cross import CrissCrossAttention


def test_classification_answers_probabilities(noise: Pixels) -> None:
    network, card = seeded(TinyClassifier()), tiny_card("classification")
    (probabilities,) = ServedGraph(network, card)(torch.from_numpy(noise))
    torch.testing.assert_close(probabilities, network(normalized(noise, card)).softmax(dim=1))


def test_segmentation_answers_labels(noise: Pixels) -> None:
    network, card = seeded(TinySegmenter()), tiny_card()
    (labels,) = ServedGraph(network, card)(torch.from_numpy(noise))
    assert labels.dtype == torch.uint8
    assert torch.equal(labels, network(normalized(noise, card)).argmax(dim=1).to(torch.uint8))


def test_explain_adds_the_weights_that_the_forward_pass_used(noise: Pixels) -> None:
    network, card = seeded(TinySegmenter()), tiny_card()
    assert output_names(network, card, explain="weights") == ["label_map", "attention_gate"]
    _, weights = ServedGraph(network, card, explain="weights")(torch.from_numpy(noise))
    torch.testing.assert_close(weights, network.gate.weights(network.stem(normalized(noise, card))))


def test_each_pass_of_a_recurrence_has_its_map() -> None:
    network = nn.Sequential(CrissCrossAttention(8, recurrence=2)).eval()
    with captured(network) as maps:
        network(torch.rand(1, 8, 5, 6))
    assert {name: tuple(weights.shape) for name, weights in maps.items()} == {
        "attention_0_pass1": (1, 5, 6, 11),
        "attention_0_pass2": (1, 5, 6, 11),
    }


def test_capturing_leaves_the_network_as_it_was() -> None:
    network = seeded(TinySegmenter())
    before = dict(vars(network.gate))
    with captured(network):
        assert "weights" in vars(network.gate)
    assert vars(network.gate) == before


def test_a_parameter_or_submodule_called_weights_is_no_attention() -> None:
    class Other(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = nn.Linear(2, 2)

    assert attention_modules(nn.Sequential(Other())) == {}


def test_nothing_to_explain_is_an_error() -> None:
    with pytest.raises(ExportError, match="nothing to explain.*weights"):
        output_names(seeded(TinyClassifier()), tiny_card("classification"), explain="weights")


def test_weights_must_be_one_tensor() -> None:
    class Pair(nn.Module):
        def weights(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

        def forward(self, x: Tensor) -> Tensor:
            return self.weights(x)[0]

    network = nn.Sequential(Pair())
    with pytest.raises(ExportError, match=r"0\.weights must return one tensor"), captured(network):
        network(torch.zeros(1))


def test_two_paths_with_one_name_are_refused() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a_b = CrissCrossAttention(8, recurrence=1)
            self.a = nn.ModuleDict({"b": CrissCrossAttention(8, recurrence=1)})

        def forward(self, x: Tensor) -> Tensor:
            return self.a["b"](self.a_b(x))

    network = Both()
    with pytest.raises(ExportError, match="attention_a_b"), captured(network):
        network(torch.rand(1, 8, 3, 3))
