"""What regard asks of another library's network, and how these libraries are imported.

PyPI's torchvision is built for the CUDA builds of PyTorch: beside another one its compiled operators cannot
be loaded, and its import stops at `operator torchvision::nms does not exist`. Networks and transforms need
none of them, so the two operators that the import asks for are declared, without an implementation, where the
real ones cannot be had. timm and smp import torchvision, so all go through here.
"""

import importlib
import importlib.util
from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from regard.contract.image_input import ImageInput
from regard.contract.names import Task
from regard.errors import InvalidInput
from regard.models.foreign.name import LIBRARIES, ForeignName

OPERATORS = ("nms", "qnms")
SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


class Foreign(ABC):
    """A network of another library: built untrained, loaded by the caller, then adapted.

    Attributes:
        name: what was asked for.
        task: of the network.
        network: as the library builds it; its state dict has the library's own names.
    """

    name: ForeignName
    task: Task
    network: nn.Module

    @abstractmethod
    def adapted(self) -> nn.Module:
        """The loaded network, in evaluation mode, as regard takes it: (B, 3, H, W) to logits (B, K), or
        (B, K, H, W).
        """

    @abstractmethod
    def contract(self) -> ImageInput:
        """The library's own evaluation preprocessing.

        Raises:
            InvalidInput: a Card cannot say it.
        """

    def labels(self, count: int) -> tuple[str, ...]:
        """Names of the classes, where they are known; numbers otherwise."""
        return tuple(f"class {index}" for index in range(count))


def import_library(library: str) -> Any:
    """Import one of LIBRARIES.

    Raises:
        InvalidInput: it, or what it needs, is not installed.
    """
    try:
        _declare_missing_operators()
        return importlib.import_module(LIBRARIES[library])
    except ModuleNotFoundError as error:
        raise InvalidInput(
            f"{LIBRARIES[library]} cannot be imported, there is no {error.name}: pip install "
            "'regard[foreign]'"
        ) from None


def unrepresentable(name: ForeignName, what: str) -> InvalidInput:
    """The error for a preprocessing that a Card cannot say."""
    return InvalidInput(
        f"{name.builder} {what}, which a Card cannot say; give a Card of your own with the nearest that "
        "suits you"
    )


@cache
def _declare_missing_operators() -> None:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return
    for path in Path(spec.submodule_search_locations[0]).glob("_C*.so"):
        try:
            torch.ops.load_library(str(path))  # torchvision's import loads it again, which does nothing
        except OSError:
            continue  # linked to a CUDA that this PyTorch has not
    for operator in OPERATORS:
        if not hasattr(torch.ops.torchvision, operator):
            torch.library.define(f"torchvision::{operator}", SCHEMA)
