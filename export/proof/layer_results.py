"""What every layer of a network gives."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from regard.models.scores import answer_in


@dataclass(frozen=True)
class LayerResult:
    """Of one call of a module.

    Attributes:
        path: the module's.
        values: the tensor it gave.
        passed_on: whether this is its input, as of dropout in evaluation.
    """

    path: str
    values: npt.NDArray[np.float32]
    passed_on: bool


def layer_results(network: nn.Module, run: Callable[[], object]) -> list[LayerResult]:
    """The result of every module's every call while the network is run, in the order they end; of those that
    return one tensor of floats, and of the network itself its scores.
    """
    results: list[LayerResult] = []
    given: dict[str, Tensor] = {}

    def before(path: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[object, ...]) -> None:
            if inputs and isinstance(inputs[0], Tensor):
                given[path] = inputs[0].clone()  # an in-place ReLU writes over it

        return hook

    def after(path: str) -> Any:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            source = given.pop(path, None)
            output = output if path else answer_in(output)
            if isinstance(output, Tensor) and output.is_floating_point():
                passed_on = source is not None and torch.equal(source, output)
                # a copy, as an in-place ReLU may follow
                results.append(LayerResult(path, output.numpy().copy(), passed_on))

        return hook

    handles = [
        handle
        for path, module in network.named_modules()
        for handle in (
            module.register_forward_pre_hook(before(path)),
            module.register_forward_hook(after(path)),
        )
    ]
    try:
        with torch.inference_mode():
            run()
    finally:
        for handle in handles:
            handle.remove()
    return results
