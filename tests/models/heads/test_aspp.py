"""A-trous spatial pyramid pooling against Chen et al., 2017, section 3.3."""

import pytest
import torch

from regard.models.catalog import build
from regard.models.heads.aspp import ASPPHead


@pytest.mark.parametrize("size", [(9, 7), (2, 3), (1, 1)])
def test_head(randomized, draw, conv_bn_relu, size):
    head = randomized(ASPPHead(6, 4, dilations=(2, 3, 5)))
    x = draw(2, 6, *size)
    maps = [conv_bn_relu(x, head.branches[0])]
    maps += [
        conv_bn_relu(x, branch, dilation=d) for d, branch in zip([2, 3, 5], head.branches[1:], strict=True)
    ]
    maps.append(conv_bn_relu(x.mean(dim=(2, 3), keepdim=True), head.whole).expand_as(maps[0]))
    assert len(maps) == 5
    assert torch.allclose(head(x), conv_bn_relu(torch.cat(maps, dim=1), head.fuse), atol=1e-10)


def test_a_branch_looks_as_far_as_its_dilation(randomized, draw):
    head = randomized(ASPPHead(6, 4, dilations=(2, 3, 5)))
    x = draw(1, 6, 11, 11).requires_grad_()
    for dilation, branch in zip((2, 3, 5), head.branches[1:], strict=True):
        gradient = torch.autograd.grad(branch[0](x)[0, :, 5, 5].sum(), x)[0].abs().sum(dim=(0, 1))
        seen = {(5 + i * dilation, 5 + j * dilation) for i in (-1, 0, 1) for j in (-1, 0, 1)}
        assert {tuple(position) for position in gradient.nonzero().tolist()} == seen


@pytest.mark.parametrize(("stride", "dilations"), [(8, [12, 24, 36]), (16, [6, 12, 18])])
@pytest.mark.parametrize(("backbone", "options"), [("resnet18", {"width": 16}), ("mobilenet_v2", {})])
def test_dilations_of_the_paper(backbone, options, stride, dilations):
    network = build(f"deeplabv3_{backbone}", num_classes=3, output_stride=stride, **options)
    assert [branch[0].dilation[0] for branch in network.head.branches[1:]] == dilations
    assert network.head.fuse[0].out_channels == network.backbone.channels[-1] // 8


def test_refuses_bad_dilations():
    with pytest.raises(ValueError, match="dilations.*-1"):
        ASPPHead(6, 4, dilations=(1, -1))
