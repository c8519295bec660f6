"""BAM against Park et al., BMVC 2018, section 3, with the product of the gates that the authors' code has."""

import numpy as np
import pytest
import torch
from torch import nn

from regard.models.attention.bam import BAM
from regard.models.catalog import build


def norm(values, p, name):
    """BatchNorm in evaluation over the first axis."""
    scale = p[f"{name}.weight"] / np.sqrt(p[f"{name}.running_var"] + 1e-5)
    shape = (-1,) + (1,) * (values.ndim - 1)
    return (values - p[f"{name}.running_mean"].reshape(shape)) * scale.reshape(shape) + p[
        f"{name}.bias"
    ].reshape(shape)


def naive_channel_gate(x, p):
    """Mc of one image (C, H, W)."""
    means = np.array([sum(map(float, plane.flat)) / plane.size for plane in x])
    hidden = np.maximum(
        norm(p["channel_gate.0.weight"] @ means + p["channel_gate.0.bias"], p, "channel_gate.1"), 0
    )
    return p["channel_gate.3.weight"] @ hidden + p["channel_gate.3.bias"]


def naive_dilated(x, kernel, bias, dilation):
    """3x3 convolution with holes and zeros outside, of one image (C, H, W)."""
    _channels, rows, columns = x.shape
    out = np.empty((len(kernel), rows, columns))
    for o, i, j in np.ndindex(out.shape):
        total = float(bias[o])
        for u in (-1, 0, 1):
            for v in (-1, 0, 1):
                r, c = i + u * dilation, j + v * dilation
                if 0 <= r < rows and 0 <= c < columns:
                    total += float(kernel[o, :, u + 1, v + 1] @ x[:, r, c])
        out[o, i, j] = total
    return out


def naive_spatial_gate(x, p, dilation):
    """Ms of one image (C, H, W)."""
    x = np.einsum("oc,chw->ohw", p["spatial_gate.0.weight"], x) + p["spatial_gate.0.bias"][:, None, None]
    x = np.maximum(norm(x, p, "spatial_gate.1"), 0)
    for index in (3, 6):
        x = naive_dilated(x, p[f"spatial_gate.{index}.weight"], p[f"spatial_gate.{index}.bias"], dilation)
        x = np.maximum(norm(x, p, f"spatial_gate.{index + 1}"), 0)
    return np.einsum("oc,chw->ohw", p["spatial_gate.9.weight"], x)[0] + p["spatial_gate.9.bias"][0]


@pytest.mark.parametrize(("size", "dilation"), [((9, 7), 4), ((3, 6), 1), ((1, 1), 4)])
def test_equations(randomized, arrays, draw, size, dilation):
    module = randomized(BAM(8, reduction=2, dilation=dilation))
    x = draw(2, 8, *size)
    p = arrays(module)
    out = module(x).detach().numpy()
    for b in range(2):
        image = x[b].numpy()
        gates = naive_channel_gate(image, p)[:, None, None] * naive_spatial_gate(image, p, dilation)
        expected = image * (1 + 1 / (1 + np.exp(-gates)))
        assert np.abs(out[b] - expected).max() < 1e-10


def test_output_lies_between_the_input_and_twice_it(randomized, draw):
    module = randomized(BAM(32))
    x = draw(2, 32, 5, 6)
    weights = module.weights(x)
    assert weights.shape == x.shape
    assert ((weights > 1) & (weights < 2)).all()
    assert torch.equal(module(x), x * weights)


@pytest.mark.parametrize("gate", ["channel_gate", "spatial_gate"])
def test_a_zero_gate_gives_one_and_a_half(randomized, draw, gate):
    """Of a product, either factor; the paper's printed sum would need both."""
    module = randomized(BAM(32))
    last = getattr(module, gate)[-1]
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    x = draw(2, 32, 5, 6)
    assert torch.equal(module(x), 1.5 * x)


def test_the_gates_multiply(randomized, draw):
    """logit(weights - 1) = Mc (over channels) x Ms (over space): of rank one in every image, of rank two for
    a sum.
    """
    gates = (randomized(BAM(16)).weights(draw(2, 16, 4, 5)) - 1).logit()
    singular = torch.linalg.svdvals(gates.flatten(2))
    assert (singular[:, 1] < 1e-9 * singular[:, 0]).all()


def test_spatial_gate_sees_with_holes(randomized, draw):
    """Two 3x3 convolutions of dilation 4 reach 0, 4 and 8 positions away along each axis, and nothing
    between.
    """
    gate = randomized(BAM(16, reduction=2)).spatial_gate
    x = draw(1, 16, 19, 19).requires_grad_()
    support = torch.autograd.grad(gate(x)[0, 0, 9, 9], x)[0].abs().sum(dim=(0, 1)) > 0
    seen = {1, 5, 9, 13, 17}
    assert {tuple(p) for p in support.nonzero().tolist()} == {(i, j) for i in seen for j in seen}


def test_parameter_count_of_the_authors_network():
    with torch.device("meta"):
        network = build("bam_resnet50")
    assert sum(p.numel() for p in network.parameters()) == 25_915_099


def test_stands_after_the_first_three_stages():
    with torch.device("meta"):
        network = build("bam_resnet18", width=16)
    places = [name for name, module in network.named_modules() if isinstance(module, BAM)]
    assert places == [f"backbone.layer{stage}.1.context" for stage in (1, 2, 3)]


def test_one_image_is_enough_in_evaluation(randomized, draw):
    module = randomized(BAM(16))
    x = draw(3, 16, 4, 4)
    assert torch.allclose(module(x[:1]), module(x)[:1], atol=1e-12, rtol=0)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        module.train()(x[:1])


def test_narrow_maps_keep_a_hidden_channel():
    assert BAM(8).channel_gate[0].out_channels == 1
    assert BAM(24).spatial_gate[0].out_channels == 1
    assert BAM(2048).channel_gate[0].out_channels == 128


@pytest.mark.parametrize(("reduction", "dilation"), [(0, 4), (-1, 4), (16, 0)])
def test_refuses_bad_arguments(reduction, dilation):
    with pytest.raises(ValueError, match=f"at least 1, got {reduction} and {dilation}"):
        BAM(16, reduction, dilation)
