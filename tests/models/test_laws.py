"""What holds for every attention mechanism, and every network of the catalog that takes an image and gives
scores: a new entry is tested by being listed. Those with an interface of their own: test_family_laws.py.
"""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from regard.models import attention
from regard.models.attention import ATTENTION, find_attention
from regard.models.catalog import CATALOG, build
from regard.models.checkpoint import load_weights, read_state_dict, save_weights
from regard.models.families import ENTRIES
from regard.models.losses.criterion import cross_entropy
from regard.models.placement import Mechanism, Placement
from regard.models.training.loop import training_loss

CHANNELS = 32


def maps(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def assert_finite_gradients(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, f"{name} has no gradient"
        assert torch.isfinite(parameter.grad).all(), f"{name} has a gradient that is not finite"


@pytest.fixture(params=ATTENTION.values(), ids=ATTENTION.keys())
def mechanism(request: pytest.FixtureRequest, awakened: Callable[[nn.Module], nn.Module]) -> nn.Module:
    return awakened(request.param.build(CHANNELS))


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 9), (6, 1), (1, 1)])
def test_attention_keeps_the_shape(mechanism: nn.Module, size: tuple[int, int]) -> None:
    x = maps(2, CHANNELS, *size)
    kept = x.clone()
    out = mechanism.eval()(x)
    assert out.shape == x.shape
    assert out.dtype == x.dtype
    assert torch.isfinite(out).all()
    assert torch.equal(x, kept), "the input was changed in place"


def test_attention_has_finite_gradients(mechanism: nn.Module) -> None:
    x = maps(2, CHANNELS, 7, 5).requires_grad_()
    mechanism.train()(x).pow(2).sum().backward()
    assert_finite_gradients(mechanism)
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_attention_treats_images_apart(mechanism: nn.Module) -> None:
    module = mechanism.double().eval()
    x = maps(3, CHANNELS, 5, 4).double()
    together = module(x)
    for i in range(3):
        assert torch.allclose(together[i : i + 1], module(x[i : i + 1]), atol=1e-12)


def test_attention_is_deterministic(mechanism: nn.Module) -> None:
    x = maps(2, CHANNELS, 5, 4)
    assert torch.equal(mechanism.eval()(x), mechanism(x))


def test_attention_reads_any_memory_layout(mechanism: nn.Module) -> None:
    module = mechanism.double().eval()
    x = maps(2, CHANNELS, 5, 4).double()
    assert torch.allclose(module(x), module(x.contiguous(memory_format=torch.channels_last)), atol=1e-12)


def test_attention_shows_its_weights(mechanism: nn.Module) -> None:
    weights = mechanism.eval().weights(maps(2, CHANNELS, 5, 4))
    assert len(weights) == 2
    assert torch.isfinite(weights).all()


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_survives_a_round_trip(
    name: str, tmp_path: Path, awakened: Callable[[nn.Module], nn.Module]
) -> None:
    saved = awakened(ATTENTION[name].build(CHANNELS)).eval()
    save_weights(saved, tmp_path / "w.safetensors")
    loaded = ATTENTION[name].build(CHANNELS).eval()
    load_weights(loaded, read_state_dict(tmp_path / "w.safetensors"), source="w")
    x = maps(1, CHANNELS, 5, 4)
    assert torch.equal(saved(x), loaded(x))


@pytest.mark.parametrize("mechanism", ATTENTION.values(), ids=ATTENTION.keys())
def test_attention_says_where_it_comes_from(mechanism: Mechanism) -> None:
    assert isinstance(mechanism.placement, Placement)
    assert len(mechanism.paper) > 10
    assert 2014 <= mechanism.year <= 2030


def test_every_file_of_the_folder_is_a_mechanism_of_the_list() -> None:
    """What is no mechanism is a part, a placement, a backbone or a head, and lies elsewhere."""
    folder = Path(attention.__file__).parent
    with torch.device("meta"):
        built = {type(mechanism.build(CHANNELS)).__module__ for mechanism in ATTENTION.values()}
    assert built == {f"{attention.__name__}.{path.stem}" for path in folder.glob("*.py")} - {
        f"{attention.__name__}.__init__"
    }


def test_find_attention() -> None:
    assert find_attention("se") is ATTENTION["se"]
    assert find_attention(ATTENTION["pam"]) is ATTENTION["pam"]
    assert find_attention(None) is None


CLASSES = 5


def small(name: str) -> nn.Module:
    """A small network of the catalog."""
    return build(name, num_classes=CLASSES, **CATALOG[name].small)


def photographs(name: str, *, count: int = 2) -> Tensor:
    """A batch that suits a small network of the catalog."""
    side = CATALOG[name].small_size
    return maps(count, 3, side, side)


@pytest.fixture(scope="module", params=[name for name in CATALOG if name not in ENTRIES])
def network(request: pytest.FixtureRequest) -> tuple[str, nn.Module]:
    torch.manual_seed(0)
    return request.param, small(request.param)


def test_network_gives_logits(network: tuple[str, nn.Module]) -> None:
    name, module = network
    sizes = (
        [] if CATALOG[name].fixed_size else [(CATALOG[name].small_size + 1, CATALOG[name].small_size + 15)]
    )
    with torch.inference_mode():
        for size in [(CATALOG[name].small_size, CATALOG[name].small_size), *sizes]:
            scores = module.eval()(maps(2, 3, *size))
            assert scores.shape == (
                (2, CLASSES) if CATALOG[name].task == "classification" else (2, CLASSES, *size)
            )
            assert torch.isfinite(scores).all()


def test_network_refuses_sizes_it_was_not_built_for(network: tuple[str, nn.Module]) -> None:
    name, module = network
    if CATALOG[name].fixed_size:
        other = CATALOG[name].small_size + 16
        with pytest.raises(ValueError, match=str(other)):
            module.eval()(maps(1, 3, other, other))


def test_network_has_finite_gradients(network: tuple[str, nn.Module]) -> None:
    name, module = network[0], copy.deepcopy(network[1]).train()
    x = photographs(name)
    targets = (
        torch.arange(2)
        if CATALOG[name].task == "classification"
        else torch.arange(2)[:, None, None].expand(2, *x.shape[2:])
    )
    training_loss(module, x, targets, cross_entropy()).backward()
    assert_finite_gradients(module)


def test_network_treats_images_apart(network: tuple[str, nn.Module]) -> None:
    name, module = network[0], network[1].eval()
    x = photographs(name)
    with torch.inference_mode():
        together, apart = module(x), torch.cat([module(x[:1]), module(x[1:])])
    assert (together - apart).abs().max() <= 1e-4 * together.abs().max()


def test_network_survives_a_round_trip(network: tuple[str, nn.Module], tmp_path: Path) -> None:
    name, module = network
    save_weights(module, tmp_path / "w.safetensors")
    loaded = small(name)
    for value in loaded.state_dict().values():
        value.fill_(7)  # what is not loaded shows
    load_weights(loaded, read_state_dict(tmp_path / "w.safetensors"), source="w")
    expected, state = module.state_dict(), loaded.state_dict()
    assert state.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(value, state[key]), key
