"""What the attention tests share: a module's numbers as arrays by name."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from torch import nn

Arrays = dict[str, npt.NDArray[np.float64]]


@pytest.fixture
def arrays() -> Callable[[nn.Module], Arrays]:
    """A module's state dict as float64 arrays; a 1x1 convolution's weight as its (out, in) matrix."""

    def convert(module: nn.Module) -> Arrays:
        result = {}
        for name, value in module.state_dict().items():
            array = value.numpy().astype(np.float64)
            result[name] = array[:, :, 0, 0] if array.shape[2:] == (1, 1) else array
        return result

    return convert
