import pytest

from regard.errors import InvalidInput
from regard.models.foreign.name import ForeignName, is_foreign, parse_name


def test_only_the_three_libraries() -> None:
    assert [
        is_foreign(name)
        for name in ("timm:x", "torchvision:x", "smp:X?y=1", "my_package.timm:build", "timm", "resnet18")
    ] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


def test_options_are_json_where_they_are_json() -> None:
    name = parse_name(
        "smp:Unet?encoder=tu-resnet18&classes=3&decoder_channels=[8,4]&a.b.c=true&a.b.d=x&e=1.5"
    )
    assert name == ForeignName(
        "smp",
        "Unet",
        {
            "encoder": "tu-resnet18",
            "classes": 3,
            "decoder_channels": [8, 4],
            "a": {"b": {"c": True, "d": "x"}},
            "e": 1.5,
        },
    )
    assert name.builder == "smp:Unet"
    assert name.served == "smp_unet_tu-resnet18"
    assert parse_name("timm:resnet50.a1_in1k").served == "timm_resnet50.a1_in1k"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:", "names no network"),
        ("timm:x?classes", "are not option=value"),
        ("timm:x?classes=1&classes=2", "gives 'classes' twice"),
        ("timm:x?a=1&a.b=2", "gives a a value and options of its own"),
        ("timm:x?pretrained=true", "sets pretrained: regard never downloads weights"),
        ("smp:Unet?encoder_weights=imagenet", "sets encoder_weights: regard never downloads weights"),
        ("timm:x?num_classes=2", "say classes=N"),
        ("smp:Unet?encoder_name=resnet18", "say encoder=NAME"),
        ("smp:Unet?activation=sigmoid", "softmax or argmax itself"),
    ],
)
def test_what_is_refused(name: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parse_name(name)
