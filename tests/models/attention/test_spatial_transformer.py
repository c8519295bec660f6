"""Spatial transformers against Jaderberg et al., NIPS 2015, eqs. 1-5, and the interpolation property of
thin-plate splines.
"""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from regard.models.attention.spatial_transformer import (
    NEAREST_HORIZON,
    TRANSFORMATIONS,
    Affine,
    Projective,
    SpatialTransformer,
    ThinPlateSpline,
    spatial_transformer,
)

PARAMETERS = {"affine": 6, "attention": 3, "projective": 8, "tps": 32}


class Constant(nn.Module):
    """A localisation network whose one feature is 1."""

    def forward(self, x):
        return x.new_ones(len(x), 1)


def fixed(transformation, theta):
    """A transformer that applies one warp to every image."""
    module = SpatialTransformer(Constant(), 1, transformation).double()
    with torch.no_grad():
        identity = torch.tensor(module.transformation.identity, dtype=torch.float64)
        module.regression.bias.copy_(torch.as_tensor(theta, dtype=torch.float64) - identity)
    return module


def axis(size):
    return [2 * i / (size - 1) - 1 if size > 1 else 0.0 for i in range(size)]


def naive_affine(theta, x, y):
    a, b, c, d, e, f = theta
    return a * x + b * y + c, d * x + e * y + f


def naive_attention(theta, x, y):
    s, tx, ty = theta
    return s * x + tx, s * y + ty


def naive_projective(theta, x, y):
    h = np.append(theta, 1.0).reshape(3, 3) @ np.array([x, y, 1.0])
    return h[0] / h[2], h[1] / h[2]


def naive_spline(theta, x, y):
    """The interpolating spline of the control points' positions, solved for directly."""
    control = [(cx, cy) for cy in (-1, -1 / 3, 1 / 3, 1) for cx in (-1, -1 / 3, 1 / 3, 1)]

    def u(p, q):
        r = math.dist(p, q)
        return r**2 * math.log(r**2) if r > 0 else 0.0

    system = np.zeros((19, 19))
    for i, p in enumerate(control):
        for j, q in enumerate(control):
            system[i, j] = u(p, q)
        system[i, 16:] = system[16:, i] = 1, *p
    values = np.zeros((19, 2))
    values[:16] = np.array(theta).reshape(2, 16).T
    coefficients = np.linalg.solve(system, values)
    terms = np.array([*(u((x, y), q) for q in control), 1, x, y])
    return tuple(terms @ coefficients)


NAIVE = {
    "affine": naive_affine,
    "attention": naive_attention,
    "projective": naive_projective,
    "tps": naive_spline,
}


def naive_transformer(image, theta, warp):
    """Eq. 5 of one image (C, H, W), its sums over all positions and its kernel as printed."""
    channels, rows, columns = image.shape
    out = np.zeros_like(image)
    for i, y in enumerate(axis(rows)):
        for j, x in enumerate(axis(columns)):
            u, v = warp(theta, x, y)
            u, v = (u + 1) / 2 * (columns - 1), (v + 1) / 2 * (rows - 1)
            for n in range(rows):
                for m in range(columns):
                    kernel = max(0.0, 1 - abs(u - m)) * max(0.0, 1 - abs(v - n))
                    for c in range(channels):
                        out[c, i, j] += image[c, n, m] * kernel
    return out


@pytest.mark.parametrize("name", TRANSFORMATIONS)
@pytest.mark.parametrize("size", [(5, 7), (4, 4), (1, 6)])
def test_equations(randomized, draw, name, size):
    """Warps drawn around the identity; some positions fall outside and read zero."""
    module = randomized(spatial_transformer(3, name, width=2))
    x = draw(2, 3, *size)
    with torch.no_grad():
        module.regression.weight.mul_(0.3)
        module.regression.bias.mul_(0.3)
        theta, out = module.theta(x), module(x)
    assert theta.shape == (2, PARAMETERS[name])
    assert (theta[0] - theta[1]).abs().max() > 1e-3
    for b in range(2):
        expected = naive_transformer(x[b].numpy(), theta[b].tolist(), NAIVE[name])
        assert np.abs(out[b].numpy() - expected).max() < 1e-10


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_starts_as_the_identity(draw, name):
    for size in [(5, 9), (17, 33), (1, 1), (2, 3)]:  # one less is a power of two: bit for bit
        x = draw(2, 3, *size)
        assert torch.equal(spatial_transformer(3, name).double()(x), x)
        assert torch.equal(spatial_transformer(3, name)(x.float()), x.float())
    x = draw(2, 3, 28, 40)
    assert (spatial_transformer(3, name).double()(x) - x).abs().max() < 1e-12


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_weights_of_the_identity_are_the_positions_themselves(draw, name):
    grid = spatial_transformer(3, name).double().weights(draw(2, 3, 5, 4))
    expected = torch.tensor([[[x, y] for x in axis(4)] for y in axis(5)], dtype=torch.float64)
    assert (grid - expected).abs().max() < 1e-15
    assert grid.shape == (2, 5, 4, 2)


@pytest.mark.parametrize(("turns", "matrix"), [(1, (0, -1, 1, 0)), (2, (-1, 0, 0, -1)), (3, (0, 1, -1, 0))])
@pytest.mark.parametrize("side", [5, 9])
def test_quarter_turns_are_exact(draw, turns, matrix, side):
    x = draw(2, 3, side, side)
    a, b, c, d = matrix
    assert torch.equal(fixed("affine", (a, b, 0, c, d, 0))(x), torch.rot90(x, turns, dims=(2, 3)))
    assert torch.equal(fixed("projective", (a, b, 0, c, d, 0, 0, 0))(x), torch.rot90(x, turns, dims=(2, 3)))


def test_translation_by_whole_positions_is_exact_and_zero_outside(draw):
    x = draw(1, 2, 5, 9)
    out = fixed("attention", (1, 2 * 3 / 8, 2 * -1 / 4))(x)  # three columns on, one row back
    assert torch.equal(out[:, :, 1:, :6], x[:, :, :4, 3:])
    assert out[:, :, 0].abs().max() == 0
    assert out[:, :, :, 6:].abs().max() == 0


def test_attention_crops(draw):
    """s = 1/2 reads the middle half: every second position of the output is one of the input's."""
    x = draw(1, 2, 9, 9)
    assert torch.equal(fixed("attention", (0.5, 0, 0))(x)[:, :, ::2, ::2], x[:, :, 2:7, 2:7])


def test_families_contain_each_other(draw):
    x = draw(1, 2, 6, 7)
    s, tx, ty = 0.7, 0.2, -0.1
    affine = (0.8, 0.3, 0.1, -0.2, 1.1, -0.3)
    assert torch.allclose(
        fixed("attention", (s, tx, ty))(x), fixed("affine", (s, 0, tx, 0, s, ty))(x), atol=1e-12
    )
    assert torch.allclose(fixed("projective", (*affine, 0, 0))(x), fixed("affine", affine)(x), atol=1e-12)
    control = ThinPlateSpline().control
    moved = torch.tensor(affine, dtype=torch.float64).view(2, 3) @ torch.cat(
        [control, torch.ones(1, 16, dtype=torch.float64)]
    )
    assert torch.allclose(fixed("tps", moved.flatten())(x), fixed("affine", affine)(x), atol=1e-11)


def test_spline_passes_through_its_control_points(draw):
    """A 4x4 output lies on the control points, and reads where theta says; between them no other 4x4 map
    could tell.
    """
    theta = ThinPlateSpline().control.flatten() + 0.3 * draw(32)
    grid = fixed("tps", theta).weights(draw(1, 1, 4, 4))
    assert torch.allclose(grid[0].permute(2, 0, 1).flatten(), theta, atol=1e-12)


def test_spline_moves_most_where_it_is_pulled():
    theta = ThinPlateSpline().control.flatten()
    theta[5] += 0.2  # x of the control point at (-1/3, -1/3)
    x = torch.zeros(1, 1, 13, 13, dtype=torch.float64)
    shift = (fixed("tps", theta).weights(x) - fixed("affine", Affine.identity).weights(x))[0]
    assert shift[:, :, 1].abs().max() < 1e-12
    assert shift[4, 4, 0].item() == pytest.approx(0.2)
    assert shift[:, :, 0].argmax().item() == 4 * 13 + 4


def test_projection_reads_nothing_behind_its_horizon(draw):
    """With h3 = 1 + 2 x what lies left of x = -1/2 is behind the viewer."""
    module = fixed("projective", (1, 0, 0, 0, 1, 0, 2, 0))
    out = module(draw(1, 2, 5, 9))
    assert torch.isfinite(module.weights(out)).all()
    assert out[:, :, :, :2].abs().max() == 0
    assert out[:, :, :, 4:].abs().min() > 0
    assert NEAREST_HORIZON > 0
    theta = torch.tensor([[1.0, 0, 0, 0, 1, 0, 2, 0]], requires_grad=True)
    Projective().grid(theta, torch.linspace(-1, 1, 9)[None, None], torch.zeros(1, 1, 1)).sum().backward()
    assert torch.isfinite(theta.grad).all()


def marks(angles, side=12):
    """A ray from the centre in each direction, as images (B, 1, side, side); angle 0 points right."""
    axes = torch.linspace(-1, 1, side)
    y, x = torch.meshgrid(axes, axes, indexing="ij")
    cosine, sine = angles.cos()[:, None, None], angles.sin()[:, None, None]
    along, across = cosine * x + sine * y, cosine * y - sine * x
    ray = (-((across / 0.15) ** 2)).exp() * (20 * (0.7 - along)).sigmoid() * (20 * (along + 0.1)).sigmoid()
    return ray[:, None]


def test_learns_to_turn_back():
    """Trained for 200 steps to show every ray pointing right, theta turns by the ray's own angle, which it
    was never told.
    """
    torch.manual_seed(0)
    module = spatial_transformer(1)
    optimizer = torch.optim.Adam(module.parameters(), 3e-3)
    straight = marks(torch.zeros(1)).expand(16, -1, -1, -1)

    def angles(count):
        return (2 * torch.rand(count) - 1) * math.pi / 3

    for _ in range(200):
        loss = F.mse_loss(module(marks(angles(16))), straight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    turned = angles(128)
    with torch.inference_mode():
        theta = module.theta(marks(turned))
    found = torch.atan2(theta[:, 3], theta[:, 0])
    assert torch.corrcoef(torch.stack([turned, found]))[0, 1] > 0.98
    assert (found - turned).abs().mean() < 0.15


@pytest.mark.parametrize("name", TRANSFORMATIONS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_positions_keep_their_precision_in_half(draw, name, dtype):
    """Eight or eleven bits would put a position of a large map beside itself."""
    module = spatial_transformer(2, name).to(dtype)
    x = draw(1, 2, 9, 129).to(dtype)
    assert module.weights(x).dtype == torch.float32
    assert torch.equal(module(x), x)


def test_the_spline_is_not_rounded_by_autocast(draw):
    theta = (ThinPlateSpline().control.flatten() + 0.3 * draw(2, 32)).float()
    x, y = torch.linspace(-1, 1, 9)[None, None], torch.linspace(-1, 1, 7)[None, :, None]
    plain = ThinPlateSpline().grid(theta, x, y)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ThinPlateSpline().grid(theta, x, y), plain)


def test_gradients_reach_the_localisation_network(draw):
    module = spatial_transformer(2)
    nn.init.normal_(module.regression.weight, std=0.1)
    module(draw(2, 2, 8, 8).float()).square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in module.parameters())


def test_built_on_the_meta_device_the_spline_still_has_its_constants():
    with torch.device("meta"):
        module = spatial_transformer(2, "tps")
    assert module.transformation.solution.device.type == "cpu"
    assert module.transformation.identity == ThinPlateSpline().identity


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"transformation": "rigid"}, "affine.*attention.*projective.*tps.*'rigid'"),
        ({"width": 0}, "width.*0"),
    ],
)
def test_refuses_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        spatial_transformer(3, **arguments)
