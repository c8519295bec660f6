"""Attention over several frames: non-local in three dimensions, and the interaction-aware pyramid in time."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.models.attention.test_interaction_aware import average
from torch import Tensor, nn

from regard.errors import InvalidInput
from regard.models.attention.interaction_aware import InteractionAware
from regard.models.catalog import build
from regard.models.networks.frames import stages_of_frames
from regard.models.networks.nonlocal_frames import FORMS


def video(*, frames: int = 3, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(2, frames, 3, 64, 96, generator=random, dtype=torch.float64)


def small(name: str) -> nn.Module:
    return build(name, classes=4, backbone="resnet18", width=8, frames=3)


def in_three_dimensions(form: str, block: nn.Module, x: Tensor) -> Tensor:
    """Wang et al., eqs. 1-6, of (B, C, T, H, W), with convolutions and BatchNorm of three dimensions."""
    state = block.state_dict()

    def convolved(name: str, value: Tensor) -> Tensor:
        return F.conv3d(value, state[f"{name}.weight"].unsqueeze(4), state.get(f"{name}.bias"))

    def pairs(q: Tensor, k: Tensor) -> Tensor:
        return torch.einsum("bctij,bcsuv->btijsuv", q, k)

    count = x[0, 0].numel()
    if form == "gaussian":
        f = pairs(x, x)
    elif form == "concat":
        theta, phi = (convolved(f"w_{name}", convolved(name, x)).squeeze(1) for name in ("theta", "phi"))
        f = (theta[:, :, :, :, None, None, None] + phi[:, None, None, None]).relu()
    else:
        f = pairs(convolved("theta", x), convolved("phi", x))
    weights = f.flatten(4).softmax(dim=4).view_as(f) if "gaussian" in form else f / count
    y = torch.einsum("btijsuv,bcsuv->bctij", weights, convolved("g", x))
    normed = F.batch_norm(
        convolved("project", y),
        *(state[f"bn.{name}"] for name in ("running_mean", "running_var", "weight", "bias")),
    )
    return normed + x


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("frames", [1, 3])
def test_frames_below_each_other_are_the_block_in_three_dimensions(randomized, draw, form, frames):
    block = randomized(FORMS[form](6))
    x = draw(2, 6, frames, 3, 4)
    found = block(x.flatten(2, 3)).unflatten(2, (frames, 3))
    assert (found - in_three_dimensions(form, block, x)).abs().max() < 1e-10
    if frames == 1:
        assert torch.equal(found[:, :, 0], block(x[:, :, 0]))  # three dimensions are two


@pytest.mark.parametrize("name", [*(f"nonlocal_3d_{form}" for form in FORMS), "interaction_frames"])
def test_frames_reach_each_other_and_their_order_does_not_matter(randomized, name):
    network, x = randomized(small(name)), video()
    scores = network(x)
    assert torch.allclose(network(x.flip(1)), scores, rtol=1e-9, atol=0)
    apart = torch.stack([network(x[:, i : i + 1]) for i in range(3)]).mean(dim=0)
    assert not torch.allclose(scores, apart, rtol=1e-3)  # the mean of frames, each by itself


def test_each_stage_lays_its_frames_below_each_other(randomized):
    backbone = randomized(small("nonlocal_3d_dot")).backbone
    x = video()
    alone = [backbone.stages(x[:, i]) for i in range(3)]
    for stage, found in enumerate(stages_of_frames(backbone, x)):
        assert (found - torch.cat([maps[stage] for maps in alone], dim=2)).abs().max() < 1e-9


@pytest.mark.parametrize("sizes", [[(4, 6), (8, 12)], [(2, 3), (5, 7), (3, 2)]])
def test_other_maps_come_to_the_scale_of_their_own_frame(draw, sizes):
    """Averaging the frames below each other is averaging each."""
    size = sizes[0]
    for seed, (rows, columns) in enumerate(sizes[1:]):
        x = draw(2, 4, 3, rows, columns, seed=seed)
        apart = torch.cat([F.adaptive_avg_pool2d(x[:, :, i], size) for i in range(3)], dim=2)
        together = F.adaptive_avg_pool2d(x.flatten(2, 3), (3 * size[0], size[1]))
        assert (together - apart).abs().max() < 1e-12


def test_attention_in_time_is_its_equations_over_the_positions_of_all_frames(randomized, arrays, draw):
    """One score for each position of each frame, from every map averaged frame by frame."""
    frames, (rows, columns) = 3, (2, 4)
    shapes = [(6, frames, rows, columns), (4, frames, 5, 7), (3, frames, 2, 9)]
    module = randomized(InteractionAware(6, 2, [4, 3]))
    maps = [draw(1, *shape, seed=seed) for seed, shape in enumerate(shapes)]
    found = module(*(each.flatten(2, 3) for each in maps))[0].unflatten(1, (frames, rows)).detach().numpy()
    p, fused = arrays(module), 0.0
    for layer, each in enumerate(maps):
        apart = [average(each[0, :, t].numpy(), rows, columns) for t in range(frames)]
        x = np.stack(apart, axis=1).reshape(len(apart[0]), -1).T  # (positions of all frames, channels)
        y = x @ p[f"score.{layer}.weight"].T + p[f"score.{layer}.bias"]
        fused = fused + y / np.sqrt((y**2).sum(axis=0))
    a = fused / np.sqrt((fused**2).sum(axis=0))
    x = maps[0][0].flatten(1).numpy().T
    expected = p["gamma"][0] * a @ (a.T @ x) + x
    assert np.abs(found - expected.T.reshape(found.shape)).max() < 1e-10


def test_attention_in_time_takes_any_number_of_frames_and_learns_by_both_losses(randomized):
    network = randomized(small("interaction_frames"))
    for frames in (1, 2, 5):
        assert network(video(frames=frames)).shape == (2, 4)
    maps = network.maps(video())
    weights = network.attention.weights(maps[-1], *maps[:-1])
    assert weights.shape[2:] == (3 * 2, 3)  # of all frames
    assert ((weights**2).sum(dim=(2, 3)) - 1).abs().max() < 1e-10  # of unit length over all of them
    targets, criterion = torch.tensor([0, 3]), nn.CrossEntropyLoss()
    loss = network.training_loss(video(), targets, criterion)
    assert loss > criterion(network(video()), targets)


def test_refuses_no_frames():
    with pytest.raises(InvalidInput, match=r"frames.*0"):
        build("nonlocal_3d_dot", backbone="resnet18", width=8, frames=0)
