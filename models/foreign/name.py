"""The name of a network in another library, `library:NAME`, with its options.

timm:resnet50.a1_in1k
timm:vit_small_patch16_224?classes=10&img_size=96
timm:resnet50?block_args.attn_layer=cbam
torchvision:fcn_resnet50?classes=11
smp:Unet?encoder=resnet18&classes=11&decoder_channels=[128,64,32,16,8]

`classes` is the number of classes in all three, `encoder` smp's encoder_name; every other option is the
library's own keyword argument. `regard.models.options` says how they are written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from regard.errors import InvalidInput

# how it is called here: its module
LIBRARIES = {"timm": "timm", "torchvision": "torchvision", "smp": "segmentation_models_pytorch"}

OFF = "regard never downloads weights; give a file of them"
REFUSED = {
    "in_chans": "a served image has three channels",
    "in_channels": "a served image has three channels",
    "activation": "the served graph applies softmax or argmax itself",
    "aux_params": "a served network has one answer",
    "features_only": "a served network has one answer",
    "encoder_name": "say encoder=NAME",
    **dict.fromkeys(
        (
            "pretrained",
            "weights",
            "weights_backbone",
            "encoder_weights",
            "checkpoint_path",
            "progress",
            "cache_dir",
        ),
        OFF,
    ),
    **dict.fromkeys(
        ("pretrained_cfg", "pretrained_cfg_overlay"), "give a Card of your own for another preprocessing"
    ),
}


@dataclass(frozen=True)
class ForeignName:
    """What to build: the library as it is called here, the network's name in it, and options."""

    library: str
    network: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def builder(self) -> str:
        """The name without options, which a Card keeps apart."""
        return f"{self.library}:{self.network}"

    @property
    def served(self) -> str:
        """A name for the Card and the server."""
        encoder = self.options.get("encoder")
        parts = [self.library, self.network, *([str(encoder)] if encoder else [])]
        return "".join(
            letter if letter.isalnum() or letter in "_.-" else "_" for letter in "_".join(parts)
        ).lower()[:128]


def is_foreign(name: str) -> bool:
    """Whether a name is of one of the three libraries."""
    library, colon, _ = name.partition(":")
    return bool(colon) and library in LIBRARIES


def foreign_name(name: str, options: Mapping[str, Any]) -> ForeignName:
    """Read a name of one of LIBRARIES.

    Raises:
        InvalidInput: there is no network in it, or an option is refused.
    """
    library, _, network = name.partition(":")
    if not network:
        raise InvalidInput(f"{name!r} names no network; write {library}:NAME")
    for key in options:
        if key in REFUSED:
            raise InvalidInput(f"{name} takes no option {key}: {REFUSED[key]}")
    return ForeignName(library, network, dict(options))
