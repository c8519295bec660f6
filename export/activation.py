"""Which activation a network has applied to what it returns."""

from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

ACTIVATIONS = ("sigmoid", "softmax")


class LastActivation(TorchFunctionMode):
    """While entered, remembers the last sigmoid or softmax that was computed; attention computes many."""

    def __init__(self) -> None:
        super().__init__()
        self.name: str | None = None
        self.result: Tensor | None = None

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "").rstrip("_")  # sigmoid_ works in place
        if name in ACTIVATIONS and isinstance(result, Tensor):
            self.name, self.result = name, result
        return result

    def of(self, tensor: Tensor) -> str | None:
        """The activation whose result a tensor is, or a view of it; None where it is of none."""
        if (
            self.result is None
            or tensor.untyped_storage().data_ptr() != self.result.untyped_storage().data_ptr()
        ):
            return None
        return self.name
