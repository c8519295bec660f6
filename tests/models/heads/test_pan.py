"""PAN's modules against Li et al., BMVC 2018, sections 3.1-3.2, and its pyramid against
segmentation-models-pytorch.
"""

from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from regard.models.heads.pan import FeaturePyramidAttention, GlobalAttentionUpsample

SMP = find_spec("segmentation_models_pytorch")


def resized(x, size):
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def halved(x):
    """Maximum of each 2 x 2 positions, of those there are at the last row and column."""
    rows, columns = x.shape[2:]
    lines = [
        torch.stack([x[:, :, i : i + 2, j : j + 2].amax(dim=(2, 3)) for j in range(0, columns, 2)], 2)
        for i in range(0, rows, 2)
    ]
    return torch.stack(lines, 2)


@pytest.mark.parametrize("size", [(16, 24), (13, 9), (5, 2), (1, 1)])
def test_feature_pyramid_attention(randomized, draw, conv_bn_relu, size):
    module = randomized(FeaturePyramidAttention(6, 4))
    x = draw(2, 6, *size)
    p1 = conv_bn_relu(halved(x), module.down[0])
    p2 = conv_bn_relu(halved(p1), module.down[1])
    p3 = conv_bn_relu(halved(p2), module.down[2])
    g = conv_bn_relu(p2, module.same[1]) + resized(conv_bn_relu(p3, module.same[2]), p2.shape[2:])
    g = resized(conv_bn_relu(p1, module.same[0]) + resized(g, p1.shape[2:]), size)
    assert torch.allclose(module.weights(x), g, atol=1e-10)
    whole = conv_bn_relu(x.mean(dim=(2, 3), keepdim=True), module.whole)
    assert torch.allclose(module(x), g * conv_bn_relu(x, module.features) + whole, atol=1e-10)


def test_kernels_are_seven_five_and_three():
    module = FeaturePyramidAttention(6, 4)
    for convolutions in (module.down, module.same):
        assert [block[0].kernel_size for block in convolutions] == [(7, 7), (5, 5), (3, 3)]


def test_a_closed_gate_leaves_the_whole_map_alone(randomized, draw):
    module = randomized(FeaturePyramidAttention(6, 4))
    x = draw(2, 6, 9, 8)
    open_ = module(x)
    for block in module.same:
        nn.init.zeros_(block[1].weight)
        nn.init.constant_(block[1].bias, -1)
    assert (module.weights(x) == 0).all()
    closed = module(x)
    assert torch.equal(closed, closed[:, :, :1, :1].expand_as(closed))
    assert not torch.equal(open_, open_[:, :, :1, :1].expand_as(open_))


def test_global_attention_upsample(randomized, draw, conv_bn_relu):
    module = randomized(GlobalAttentionUpsample(3, 4))
    high, low = draw(2, 4, 3, 5), draw(2, 3, 6, 9, seed=1)
    gate = conv_bn_relu(high.mean(dim=(2, 3), keepdim=True), module.gate)
    # relu(a) - relu(-a) = a: the oracle ends in ReLU, this branch does not
    shifted = nn.Sequential(module.low[0], module.low[1])
    positive = conv_bn_relu(low, shifted)
    with torch.no_grad():
        module.low[1].weight.neg_()
        module.low[1].bias.neg_()
    negative = conv_bn_relu(low, shifted)
    with torch.no_grad():
        module.low[1].weight.neg_()
        module.low[1].bias.neg_()
    assert torch.allclose(module(high, low), (positive - negative) * gate + resized(high, (6, 9)), atol=1e-10)


def test_a_constant_high_map_scales_the_channels_of_the_low_one(randomized, draw):
    module = randomized(GlobalAttentionUpsample(3, 4))
    high, low = draw(1, 4, 1, 1).expand(1, 4, 3, 5), draw(1, 3, 6, 9, seed=1)
    change = module(high, low) - high[:, :, :1, :1]
    assert torch.allclose(change, module.low(low) * module.weights(high), atol=1e-10)
    assert module.weights(high).shape == (1, 4, 1, 1)
    assert (module.weights(high) >= 0).all()


@pytest.mark.skipif(SMP is None, reason="segmentation-models-pytorch is not installed")
def test_feature_pyramid_attention_of_segmentation_models(randomized, draw):
    """The same on maps that 8 divides, once its convolutions' biases are 0 and its upsampling does not align
    corners.
    """
    # this file alone: the package is slow
    spec = spec_from_file_location("smp_pan", Path(SMP.origin).parent / "decoders/pan/decoder.py")
    library = module_from_spec(spec)
    spec.loader.exec_module(library)
    ours, theirs = randomized(FeaturePyramidAttention(6, 4)), library.FPABlock(6, 4).double().eval()
    theirs.align_corners = False
    first, second = theirs.down3[1], theirs.down3[2]
    pairs = [
        (theirs.branch1[1], ours.whole),
        (theirs.mid[0], ours.features),
        (theirs.conv1, ours.same[0]),
        (theirs.conv2, ours.same[1]),
    ]
    pairs += [
        (theirs.down1[1], ours.down[0]),
        (theirs.down2[1], ours.down[1]),
        (first, ours.down[2]),
        (second, ours.same[2]),
    ]
    for block, (convolution, norm, _) in pairs:
        nn.init.zeros_(block.conv.bias)
        block.conv.load_state_dict(convolution.state_dict(), strict=False)
        block.bn.load_state_dict(norm.state_dict())
    x = draw(2, 6, 16, 24)
    assert torch.allclose(ours(x), theirs(x), atol=1e-10)
