"""What the catalog says of a network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from regard.contract.names import Task


@dataclass(frozen=True)
class Network:
    """A catalog entry.

    Attributes:
        build: takes `num_classes` and the options of its builder as keywords.
        system: the name of the networks that differ from this one in `variant` alone: "se_resnet".
        variant: "18", "tiny", or the backbone where a head comes on several; empty for a system of one.
        backbone: what it is put on, where its system comes on several.
        size: side of the images it is meant for by default, in pixels.
        fixed_size: it takes square images of the one size it was built for, its option `image_size`, and
            refuses others.
        small: options that make a small network of it, for tests and first trials; it takes images of
            `small_size`.
        small_size: side of the images that suit `small`, in pixels.
    """

    build: Callable[..., nn.Module]
    task: Task
    paper: str
    year: int
    system: str
    variant: str = ""
    backbone: str | None = None
    size: int = 224
    fixed_size: bool = False
    small: Mapping[str, Any] = field(default_factory=dict)
    small_size: int = 32
