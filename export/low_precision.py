"""Where a network leaves float32."""

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from regard.models.own_code import Place, place_here

LOW = (torch.float16, torch.bfloat16)


class LowPrecision(TorchFunctionMode):
    """While entered, remembers the first operation that gave numbers of 16 bits.

    Attributes:
        dtype: of its result; None where there was none.
        autocast: whether autocast chose it.
        place: the line of it, as far as it is known.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dtype: torch.dtype | None = None
        self.autocast = False
        self.place: Place | None = None

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if self.dtype is None and isinstance(result, Tensor) and result.dtype in LOW:
            self.dtype, self.place = result.dtype, place_here()
            self.autocast = torch.is_autocast_enabled(result.device.type)
        return result

    def __str__(self) -> str:
        by = "autocast makes it compute" if self.autocast else "it computes"
        where = "" if self.place is None else f" at {self.place}"
        end = "take the autocast out of forward" if self.autocast else "let forward keep to float32"
        return (
            f"{by} in {str(self.dtype).removeprefix('torch.')}{where}: {end}; what is exported computes in "
            "float32, and a variant of it in float16 is made from that"
        )
