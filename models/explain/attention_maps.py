"""Attention maps of a network, taken from the very computation that uses them.

A mechanism computes its weights in a method `weights(x)`, which its `forward` calls. While `captured` is
active that method is wrapped on each instance, so that every call also hands its result over; PyTorch and the
exporter see the same tensors.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from regard.errors import ExportError


def attention_modules(network: nn.Module) -> dict[str, nn.Module]:
    """Every submodule that has a `weights(x)` method, by its path."""
    return {
        path: module
        for path, module in network.named_modules()
        if inspect.isfunction(getattr(type(module), "weights", None))
    }


@contextmanager
def captured(network: nn.Module) -> Iterator[dict[str, Tensor]]:
    """While active, collect the weights of each attention module by output name.

    The name is `attention_<path, dots as underscores>`; a module that runs several times in one pass, like
    CCNet's recurrence, gets `..._pass1`, `..._pass2`. The mapping is complete when the block ends.

    Raises:
        ExportError: weights that are not one tensor, or two modules whose paths give one name.
    """
    calls: dict[str, list[Tensor]] = {path: [] for path in attention_modules(network)}
    maps: dict[str, Tensor] = {}
    for path, module in attention_modules(network).items():
        setattr(module, "weights", _recording(module, path, calls[path]))  # noqa: B010  shadows the method on this instance only
    try:
        yield maps
    finally:
        for module in attention_modules(network).values():
            delattr(module, "weights")
    for path, tensors in calls.items():
        name = "_".join(["attention", *filter(None, path.split("."))])
        for index, tensor in enumerate(tensors, start=1):
            unique = name if len(tensors) == 1 else f"{name}_pass{index}"
            if unique in maps:
                raise ExportError(
                    f"two attention modules would both be called {unique}; rename the submodule {path}"
                )
            maps[unique] = tensor


def _recording(module: nn.Module, path: str, tensors: list[Tensor]) -> Callable[..., Tensor]:
    weights: Callable[..., Tensor] = getattr(module, "weights")  # noqa: B009  typed as a tensor or module otherwise

    def record(*args: Any, **options: Any) -> Tensor:
        result = weights(*args, **options)
        if not isinstance(result, Tensor):
            raise ExportError(
                f"{path}.weights must return one tensor to be explained, got {type(result).__name__}"
            )
        tensors.append(result)
        return result

    return record
