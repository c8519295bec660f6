"""OCNet's three heads: what is computed beside what, and how it is fused."""

import pytest
import torch
from torch import nn

from regard.models.attention.object_context import (
    ObjectContext,
    ObjectContextPooling,
    TiledObjectContextPooling,
)
from regard.models.catalog import build
from regard.models.heads.asp_oc import AspOCHead
from regard.models.heads.base_oc import BaseOCHead
from regard.models.heads.pyramid_oc import PyramidOCHead


def test_base_head(randomized, draw, conv_bn_relu):
    head = randomized(BaseOCHead(6, 8))
    assert isinstance(head.attention, ObjectContext)
    assert head.attention.value.out_channels == 4
    x = draw(2, 6, 5, 4)
    h = conv_bn_relu(x, head.reduce)
    both = torch.cat([ObjectContextPooling.forward(head.attention, h), h], dim=1)
    assert torch.allclose(head(x), conv_bn_relu(both, head.attention.fuse), atol=1e-10)


@pytest.mark.parametrize("size", [(13, 8), (4, 5), (1, 1)])
def test_pyramid_head(randomized, draw, conv_bn_relu, size):
    head = randomized(PyramidOCHead(6, 4))
    assert [getattr(context, "tiles", 1) for context in head.contexts] == [1, 2, 3, 6]
    x = draw(2, 6, *size)
    h = conv_bn_relu(x, head.reduce)
    maps = [conv_bn_relu(h, head.widen)]
    for tiles, context in zip([1, 2, 3, 6], head.contexts, strict=True):
        alike = TiledObjectContextPooling(4, tiles, value_channels=4).double().eval()
        alike.load_state_dict(context.state_dict())
        maps.append(alike(h))
    assert [m.shape[1] for m in maps] == [16, 4, 4, 4, 4]
    assert torch.allclose(head(x), conv_bn_relu(torch.cat(maps, dim=1), head.fuse), atol=1e-10)


def test_asp_head_has_five_branches(randomized, draw, conv_bn_relu):
    head = randomized(AspOCHead(6, 8, dilations=(2, 3, 4)))
    x = draw(2, 6, 7, 9)
    h = conv_bn_relu(x, head.reduce)
    conv, context, project = head.branches[0]
    assert isinstance(context, ObjectContextPooling)
    assert (context.pool.kernel_size, context.value.out_channels) == (2, 4)
    maps = [conv_bn_relu(context(conv_bn_relu(h, conv)), project), conv_bn_relu(h, head.branches[1])]
    maps += [conv_bn_relu(h, head.branches[1 + i], dilation=1 + i) for i in (1, 2, 3)]
    assert len(maps) == len(head.branches) == 5
    assert torch.allclose(head(x), conv_bn_relu(torch.cat(maps, dim=1), head.fuse), atol=1e-10)


@pytest.mark.parametrize(("stride", "dilations"), [(8, [12, 24, 36]), (16, [6, 12, 18]), (32, [3, 6, 9])])
def test_dilations_follow_the_output_stride(stride, dilations):
    head = build("asp_oc_resnet18", num_classes=3, width=16, output_stride=stride, inner=8).head
    assert [branch[0].dilation[0] for branch in head.branches[2:]] == dilations


@pytest.mark.parametrize("name", ["base_oc", "pyramid_oc"])
def test_dropout_of_the_authors(name):
    network = build(f"{name}_resnet18", num_classes=3, width=16)
    assert {module.p for module in network.modules() if isinstance(module, nn.Dropout2d)} == {0.05}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BaseOCHead(8, 5), "even, got 5"),
        (lambda: AspOCHead(8, 6), "multiple of 4.*6"),
        (lambda: AspOCHead(8, 8, dilations=(1, 0)), "dilations.*0"),
        (lambda: PyramidOCHead(8, 8, partitions=()), "partitions"),
        (lambda: PyramidOCHead(8, 8, partitions=(0,)), "tiles.*0"),
    ],
)
def test_refuses_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
