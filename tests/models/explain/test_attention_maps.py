import pytest
import torch
from torch import Tensor, nn

from regard.errors import ExportError
from regard.models.attention.criss_cross import CrissCrossAttention
from regard.models.attention.se import SqueezeExcite
from regard.models.explain.attention_maps import attention_modules, captured


def test_each_pass_of_a_recurrence_has_its_map() -> None:
    network = nn.Sequential(CrissCrossAttention(8, recurrence=2)).eval()
    with captured(network) as maps:
        network(torch.rand(1, 8, 5, 6))
    assert {name: tuple(weights.shape) for name, weights in maps.items()} == {
        "attention_0_pass1": (1, 5, 6, 11),
        "attention_0_pass2": (1, 5, 6, 11),
    }


def test_capturing_leaves_the_network_as_it_was() -> None:
    network = nn.Sequential(SqueezeExcite(8, reduction=4))
    before = dict(vars(network[0]))
    with captured(network):
        assert "weights" in vars(network[0])
    assert vars(network[0]) == before


def test_a_parameter_or_submodule_called_weights_is_no_attention() -> None:
    class Other(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = nn.Linear(2, 2)

    assert attention_modules(nn.Sequential(Other())) == {}


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
