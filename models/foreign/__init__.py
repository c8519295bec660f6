"""Networks of other libraries by name, `timm:resnet50`, `torchvision:resnet18`,
`smp:Unet?encoder=resnet18&classes=3`, with their Card.
"""

from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from regard.contract.names import Task
from regard.contract.pixels_input import PixelsInput
from regard.errors import InvalidInput
from regard.models.foreign import smp_models, timm_models, torchvision_models
from regard.models.foreign.library import Foreign
from regard.models.foreign.name import ForeignName
from regard.models.padding import scores_of

Contract = TypeVar("Contract", bound=PixelsInput)
SMALLEST = (32, 64, 128, 256)  # sides tried for the smallest image of a network of dynamic size


def build_foreign(name: ForeignName, weights: Path | None, key: str | None = None) -> Foreign:
    """Build a network as its library does, untrained; `weights` is the file that the caller is going to load,
    from this key.

    Raises:
        UnknownName: the library has no such network.
        InvalidInput: the library is not installed, or refuses an option.
        InvalidWeights: the file cannot be read.
    """
    if name.library == "timm":
        return timm_models.TimmModel(name)
    if name.library == "torchvision":
        return torchvision_models.TorchvisionModel(name, weights, key)
    return smp_models.SmpModel(name)


def get_weights(name: ForeignName) -> str:
    """How a user gets a file of weights from the library itself, in words or Python."""
    recipes = {"timm": timm_models, "torchvision": torchvision_models, "smp": smp_models}
    return recipes[name.library].GET_WEIGHTS.format(name=name.network)


def probe(network: nn.Module, task: Task, contract: Contract, name: str) -> tuple[Contract, int]:
    """Run the network once at the contract's size: the contract, with the smallest size where it is dynamic,
    and the number of scores.

    Raises:
        InvalidInput: the network does not take images of this size, or answers no logits.
    """
    try:
        logits = _run(network, contract, contract.height, contract.width)
    except Exception as error:  # whatever the network's own code meets
        raise InvalidInput(
            f"{name} does not take images of {contract.height} x {contract.width}: {error}"
        ) from None
    if not isinstance(logits, Tensor) or logits.ndim != (2 if task == "classification" else 4):
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        wanted = "(1, classes)" if task == "classification" else "(1, classes, height, width)"
        raise InvalidInput(f"{name} answers {found} to one image; {task} needs logits of shape {wanted}")
    if contract.dynamic_size:
        smallest = next(
            side
            for side in (*SMALLEST, contract.height)
            if side >= contract.min_size and _runs(network, contract, side)
        )
        contract = contract.model_copy(update={"min_size": min(smallest, contract.height, contract.width)})
    return contract, logits.shape[1]


def _run(network: nn.Module, contract: PixelsInput, height: int, width: int) -> object:
    with torch.inference_mode():
        return scores_of(network, torch.zeros(1, contract.channels, height, width), contract.pad_to)


def _runs(network: nn.Module, contract: PixelsInput, side: int) -> bool:
    try:
        _run(network, contract, side, side)
    except Exception:  # whatever the network's own code meets
        return False
    return True
