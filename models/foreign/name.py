"""The name of a network in another library: `library:NAME?option=value&option=value`.

timm:resnet50.a1_in1k
timm:vit_small_patch16_224?classes=10&img_size=96
timm:resnet50?block_args.attn_layer=cbam             a dot goes into a dictionary
torchvision:fcn_resnet50?classes=11
smp:Unet?encoder=resnet18&classes=11&decoder_channels=[128,64,32,16,8]

`classes` is the number of classes in all three, `encoder` smp's encoder_name; every other option is the
library's own keyword argument. Its value is read as JSON where it is JSON
(numbers, true, false, null, lists), else as text.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from regard.errors import InvalidInput

# how it is called here: its module
LIBRARIES = {"timm": "timm", "torchvision": "torchvision", "smp": "segmentation_models_pytorch"}

OFF = "regard never downloads weights; name a file of weights"
REFUSED = {
    "num_classes": "say classes=N",
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
    **dict.fromkeys(("pretrained_cfg", "pretrained_cfg_overlay"), "give a Card for another preprocessing"),
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


def parse_name(name: str) -> ForeignName:
    """Read a name of one of LIBRARIES.

    Raises:
        InvalidInput: there is no network in it, or an option is malformed, given twice or refused.
    """
    library, _, rest = name.partition(":")
    network, _, query = rest.partition("?")
    if not network:
        raise InvalidInput(f"{name!r} names no network; write {library}:NAME")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError:
        raise InvalidInput(f"the options {query!r} of {name!r} are not option=value&option=value") from None
    options: dict[str, Any] = {}
    for key, text in pairs:
        if (top := key.split(".")[0]) in REFUSED:
            raise InvalidInput(f"{name!r} sets {top}: {REFUSED[top]}")
        _put(options, key, _value(text), name)
    return ForeignName(library, network, options)


def _put(options: dict[str, Any], key: str, value: object, name: str) -> None:
    *folders, last = key.split(".")
    for folder in folders:
        options = options.setdefault(folder, {})
        if not isinstance(options, dict):
            raise InvalidInput(f"{name!r} gives {folder} a value and options of its own")
    if last in options or not last:
        raise InvalidInput(
            f"{name!r} gives {key!r} twice" if last else f"{name!r} has an option without a name"
        )
    options[last] = value


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
