"""VGG: torchvision's names, the paper's parameters, and the stages."""

import pytest
import torch

from regard.errors import UnknownName
from regard.models.backbones.by_name import BACKBONES, build_backbone, pool_to_stride_32
from regard.models.backbones.vgg import VGG


@pytest.mark.parametrize(("depth", "parameters"), [(16, 14_714_688), (19, 20_024_384)])
def test_parameters_of_the_convolutions(depth, parameters):
    with torch.device("meta"):
        assert sum(p.numel() for p in VGG(depth).parameters()) == parameters


def test_names_are_torchvisions():
    """Of vgg19 and vgg16_bn: indices of the sequence in which ReLU, BatchNorm and pooling count."""
    with torch.device("meta"):
        plain, normalized = VGG(19).state_dict(), VGG(16, batch_norm=True).state_dict()
    assert plain["features.34.weight"].shape == (512, 512, 3, 3)  # conv5_4
    assert "features.36.weight" not in plain
    assert normalized["features.40.weight"].shape == (512, 512, 3, 3)  # conv5_3
    assert normalized["features.41.running_mean"].shape == (512,)


def test_stages():
    network = VGG(19, width=4)
    maps = network.stages(torch.randn(1, 3, 35, 64))
    assert [each.shape[1] for each in maps] == network.channels == [4, 8, 16, 32, 32]
    assert [tuple(each.shape[2:]) for each in maps] == [(35, 64), (17, 32), (8, 16), (4, 8), (2, 4)]
    assert all((each >= 0).all() for each in maps)
    assert pool_to_stride_32(network)(maps[-1]).shape[2:] == (1, 2)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_has_stages(name):
    network = build_backbone(name, width=4)
    last = network.stages(torch.randn(2, 3, 32, 32))[-1]
    assert pool_to_stride_32(network)(last).shape == (2, network.channels[-1], 1, 1)


def test_refuses_bad_arguments():
    with pytest.raises(ValueError, match=r"depth.*\[16, 19\], got 17"):
        VGG(17)
    with pytest.raises(ValueError, match="width.*0"):
        VGG(16, width=0)
    with pytest.raises(ValueError, match="16 x 16 for VGG, got 15 x 40"):
        VGG(16, width=4).stages(torch.randn(1, 3, 15, 40))
    with pytest.raises(UnknownName, match="no backbone named 'vgg18'"):
        build_backbone("vgg18")
