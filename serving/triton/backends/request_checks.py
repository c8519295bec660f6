"""What a request must be before a graph is fed with it: by its configuration, and by the Card among the
configuration's parameters where there is one.

It is copied into each backend's folder, and runs inside the server's Python stub.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb_utils  # pyright: ignore[reportMissingImports]  # the server has it

Array = npt.NDArray[Any]
ROWS = {"image": 1, "frames": 2}  # where the height is among the dimensions of such an input


class Refused(Exception):
    """A request that gets an error in place of an answer; the others of its batch are answered.

    code: Triton's; None for INVALID_ARG.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = pb_utils.TritonError.INVALID_ARG if code is None else code


def failed(message: str, code: int) -> Any:
    """A response that is an error."""
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))


def check_request(request: Any, config: Mapping[str, Any]) -> None:
    """Refuse what nobody waits for any more, and outputs that there are not."""
    if request.is_cancelled():
        raise Refused("the request was cancelled", pb_utils.TritonError.CANCELLED)
    unknown = set(request.requested_output_names()) - {entry["name"] for entry in config["output"]}
    if unknown:
        raise Refused(f"unexpected inference output '{min(unknown)}' for model '{config['name']}'")


class ArrayChecks:
    """What the arrays of a request must be.

    Args:
        config: the "model_config" that the server gives the instance, parsed.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.model = config["name"]
        self.contracts = contracts_of(config)
        batches = [contract["max_batch"] for contract in self.contracts.values() if "max_batch" in contract]
        # where the configuration leaves the largest batch to the backend by a max_batch_size of 0
        self.most = min(batches) if batches and config["max_batch_size"] == 0 else None

    def __call__(self, inputs: Mapping[str, Array]) -> None:
        """Refuse arrays without elements, more entries than a batch has, and what the Card does not allow."""
        for name, array in inputs.items():
            if not array.size:
                raise Refused(f"input '{name}' of shape {list(array.shape)} has no elements")
            contract = self.contracts.get(name)
            if contract is None:
                continue
            if contract["kind"] == "tokens":
                check_tokens(name, array, contract)
            elif contract["dynamic_size"]:
                check_sides(array, contract)
        check_count(max(map(len, inputs.values())), self.most, self.model)


def check_sides(pixels: Array, contract: Mapping[str, Any]) -> None:
    """Refuse images whose height or width is not what a Card allows."""
    rows = ROWS[contract["kind"]]
    height, width = pixels.shape[rows : rows + 2]
    smallest, largest = contract["min_size"], contract["max_size"]
    if not smallest <= min(height, width) <= max(height, width) <= largest:
        raise Refused(
            f"the images are {height} x {width} (height x width), and the model takes {smallest} to "
            f"{largest} on a side; resize them first"
        )


def check_tokens(name: str, numbers: Array, contract: Mapping[str, Any]) -> None:
    """Refuse more words than a Card allows, words that it has not, and texts without any."""
    most = [count for count in (contract["sentences"], contract["longest"]) if count is not None]
    found = numbers.shape[1:]
    if any(count > limit for count, limit in zip(found, most, strict=True)):
        raise Refused(
            f"input '{name}' has {' x '.join(map(str, found))} words, and the model takes up to "
            f"{' x '.join(map(str, most))}; shorten the text"
        )
    words = len(contract["vocabulary"])
    low, high = int(numbers.min()), int(numbers.max())
    if not 0 <= low <= high < words:
        raise Refused(
            f"input '{name}' holds the number {low if low < 0 else high}, and the Card has words 0 to "
            f"{words - 1}; number the words by the Card's vocabulary"
        )
    if not numbers.reshape(len(numbers), -1).any(axis=1).all():
        raise Refused(f"input '{name}' holds a text of padding alone; send at least one word")


def check_count(entries: int, most: int | None, model: str) -> None:
    """Refuse more entries than `most` in a request, as the server does where it knows the largest batch."""
    if most is not None and entries > most:
        raise Refused(f"inference request batch-size must be <= {most} for '{model}', got {entries}")


def contracts_of(config: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What the Card among the parameters says of each input, by the name of its tensor; nothing where there
    is no Card.
    """
    try:
        inputs = json.loads(config["parameters"]["card"]["string_value"])["inputs"]
        return {tensor_of(contract): contract for contract in inputs}
    except (KeyError, TypeError, ValueError):  # none, or somebody else's parameter
        return {}


def tensor_of(contract: Mapping[str, Any]) -> str:
    """The name of an input's tensor, by what a Card says of it."""
    name: str = contract["name"] if contract["kind"] == "tokens" else contract["kind"]
    return name


def not_finite(outputs: Mapping[str, Array], names: Sequence[str]) -> str | None:
    """The first of the outputs of these names that holds NaN or infinity."""
    return next(
        (name for name in names if outputs[name].dtype.kind == "f" and not np.isfinite(outputs[name]).all()),
        None,
    )
