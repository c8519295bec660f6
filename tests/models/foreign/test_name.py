import pytest

from regard.errors import InvalidInput
from regard.models.foreign.name import ForeignName, foreign_name, is_foreign


def test_only_the_three_libraries() -> None:
    assert [
        is_foreign(name)
        for name in ("timm:x", "torchvision:x", "smp:X", "my_package.timm:build", "timm", "resnet18")
    ] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


def test_what_a_name_says() -> None:
    name = foreign_name("smp:Unet", {"encoder": "tu-resnet18", "classes": 3})
    assert name == ForeignName("smp", "Unet", {"encoder": "tu-resnet18", "classes": 3})
    assert name.builder == "smp:Unet"
    assert name.served == "smp_unet_tu-resnet18"
    assert foreign_name("timm:resnet50.a1_in1k", {}).served == "timm_resnet50.a1_in1k"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("timm:", {}, "names no network"),
        ("timm:x", {"pretrained": True}, "timm:x takes no option pretrained: regard never downloads weights"),
        ("smp:Unet", {"encoder_weights": "imagenet"}, "encoder_weights: regard never downloads weights"),
        ("timm:x", {"pretrained_cfg": {"a": 1}}, "give a Card of your own"),
        ("smp:Unet", {"encoder_name": "resnet18"}, "say encoder=NAME"),
        ("smp:Unet", {"activation": "sigmoid"}, "softmax or argmax itself"),
    ],
)
def test_what_is_refused(name: str, options: dict, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        foreign_name(name, options)
