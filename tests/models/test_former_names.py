"""Weights saved while classifiers inherited from their backbone keep loading, and so do torchvision's."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from regard.errors import InvalidWeights
from regard.models.catalog import CATALOG, build
from regard.models.checkpoint import load_weights, read_state_dict, save_weights
from regard.models.former_names import former_name, under_present_names
from regard.models.weights_index import shipped

# some of the names that each kind had, and those that they have
FORMER = {
    "resnet18": {"conv1.weight": "backbone.conv1.weight", "fc.bias": "fc.bias"},
    "se_resnet50": {"layer2.0.attention.squeeze.bias": "backbone.layer2.0.attention.squeeze.bias"},
    "mobilenet_v2": {
        "features.17.conv.3.bias": "backbone.features.17.conv.3.bias",
        "features.18.0.weight": "widen.0.weight",
        "features.18.1.running_var": "widen.1.running_var",
        "classifier.1.weight": "classifier.1.weight",
    },
    "senet154": {
        "stem.0.weight": "backbone.stem.0.weight",
        "stages.2.conv1.weight": "backbone.blocks.2.conv1.weight",
        "fc.weight": "fc.weight",
    },
    "se_resnext50": {"stages.15.bn3.weight": "backbone.blocks.15.bn3.weight"},
    "attention56": {
        "stages.1.mask.hourglass.down.residual.0.weight": (
            "backbone.units.1.mask.hourglass.down.residual.0.weight"
        ),
        "last.0.bias": "backbone.last.0.bias",
    },
    "san10_pairwise": {"features.5.attention.query.weight": "backbone.features.5.attention.query.weight"},
    "gain_resnet18": {"layer4.1.bn2.weight": "backbone.layer4.1.bn2.weight"},
    "acol_resnet18": {"bn1.weight": "backbone.bn1.weight", "first.1.weight": "first.1.weight"},
    "mil_noisy_or_resnet18": {"conv1.weight": "backbone.conv1.weight", "head.0.bias": "head.0.bias"},
    "stn_affine": {
        "classifier.conv1.weight": "classifier.backbone.conv1.weight",
        "classifier.fc.weight": "classifier.fc.weight",
        "transformer.regression.bias": "transformer.regression.bias",
    },
    "fcn_resnet18": {"backbone.conv1.weight": "backbone.conv1.weight"},
    "two_level": {"domain.backbone.conv1.weight": "domain.backbone.conv1.weight"},
}


def small(name: str) -> nn.Module:
    return build(name, num_classes=3, **CATALOG[name].small).eval()


def as_formerly(network: nn.Module) -> dict[str, Tensor]:
    return {former_name(network, key): value for key, value in network.state_dict().items()}


@pytest.mark.parametrize("name", FORMER)
def test_weights_under_former_names_load(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, other = small(name), small(name)
    present = network.state_dict()
    state = as_formerly(network) if name not in ("fcn_resnet18", "two_level") else present
    assert len(state) == len(present)
    for former, now in FORMER[name].items():
        assert state[former] is not None
        assert torch.equal(state[former], present[now])
    torch.save(state, tmp_path / "old.pt")
    load_weights(other, read_state_dict(tmp_path / "old.pt"), source="old")
    side = CATALOG[name].small_size
    x = torch.randn(1, 3, side, side)
    with torch.inference_mode():
        assert torch.equal(network(x), other(x))


@pytest.mark.parametrize("name", [name for name in shipped() if "resnet18" in name])
def test_the_shipped_classifiers_have_former_names(name: str) -> None:
    """They are not rewritten, as their SHA-256 stands in their Cards; that they load is tested with them."""
    state = load_file(shipped()[name].with_suffix(".safetensors"))
    assert "layer1.0.conv1.weight" in state
    assert not any(key.startswith("backbone.") for key in state)


def test_present_names_are_left_alone(tmp_path: Path) -> None:
    network = small("resnet18")
    save_weights(network, tmp_path / "w.safetensors")
    state = read_state_dict(tmp_path / "w.safetensors")
    assert under_present_names(network, state) is state
    assert under_present_names(nn.Linear(2, 2), state) is state


def test_a_mixture_is_not_guessed_at() -> None:
    network = small("resnet18")
    state = as_formerly(network)
    state["backbone.conv1.weight"] = state.pop("conv1.weight")
    with pytest.raises(
        InvalidWeights, match=r"missing \(backbone.bn1.bias, .*unknown to the network \(bn1.bias"
    ):
        load_weights(network, state, source="mixed")


def test_what_former_names_lack_is_named_as_it_is_now() -> None:
    network = small("se_resnet18")
    state = as_formerly(small("resnet18"))
    with pytest.raises(
        InvalidWeights,
        match=r"^w does not fit .*: 32 keys missing \(backbone\.layer1\.0\.attention\.[^;]*$",
    ):
        load_weights(network, state, source="w")
