"""Weights on disk: read without ever running what is in the file, fitted exactly, written whole or not at
all.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from regard.contract.digest import sha256
from regard.contract.whole_file import whole_file
from regard.errors import InvalidWeights
from regard.models.pickled import read_pickled
from regard.models.placed_names import distinct, placed
from regard.models.state_dict import find_state_dict


def read_state_dict(
    path: Path, key: str | None = None, *, report: Callable[[str], None] = lambda note: None
) -> dict[str, Tensor]:
    """Read the state dict in a .safetensors file, or in a PyTorch file that holds nothing that runs.

    Args:
        path: the file, of any name.
        key: which one, where the file holds several, see `find_state_dict`.
        report: told where in the file it was.

    Raises:
        InvalidWeights: missing, truncated, with no state dict in it or several, or holding what would run.
    """
    try:
        content = load(path.read_bytes()) if path.suffix == ".safetensors" else read_pickled(path)
    except OSError as error:
        raise InvalidWeights(f"cannot read the weights {path}: {error.strerror or error}") from None
    except SafetensorError as error:
        raise InvalidWeights(f"{path} is not a whole safetensors file: {error}") from None
    found = find_state_dict(content, key, source=str(path))
    if found.place:
        report(f"{path}: took {found.place}, {len(found.state)} tensors")
    return dict(found.state)


def load_weights(
    network: nn.Module,
    state: Mapping[str, Tensor],
    *,
    source: str,
    report: Callable[[str], None] = lambda note: None,
) -> None:
    """Load a state dict that fits the network key by key and shape by shape, under its names as `placed`
    finds them; half precision is widened.

    Args:
        network: changed in place.
        state: its weights.
        source: the file, for messages.
        report: told what was stripped of the names, left out or filled.

    Raises:
        InvalidWeights: keys are missing or left over, or shapes differ; names the first of each.
    """
    expected = network.state_dict()
    state, notes = placed(network, state, source=source)
    missing = sorted(expected.keys() - state.keys())
    unknown = sorted(state.keys() - expected.keys())
    misshapen = [
        f"{key} is {tuple(state[key].shape)} in the file, {tuple(value.shape)} in the network"
        for key, value in expected.items()
        if key in state and state[key].shape != value.shape
    ]
    faults = [
        f"{len(keys)} {what} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for what, keys in (
            ("keys missing", missing),
            ("keys unknown to the network", unknown),
            ("shapes differ", misshapen),
        )
        if keys
    ]
    if faults:
        raise InvalidWeights(f"{source} does not fit {type(network).__name__}: {'; '.join(faults)}")
    for note in notes:
        report(f"{source}: {note}")
    network.load_state_dict(state)


def save_weights(network: nn.Module, path: Path, dtype: torch.dtype = torch.float32) -> str:
    """Write the network's state dict as safetensors, floating tensors as `dtype`, and return the file's
    SHA-256. Of tensors that are one, the first name is written.

    Raises:
        InvalidInput: the file cannot be written; an earlier one stays as it was.
    """
    state = {
        key: (value.to(dtype) if value.is_floating_point() else value).detach().cpu().contiguous()
        for key, value in distinct(network.state_dict()).items()
    }
    with whole_file(path) as draft:
        draft.write_bytes(save(state))
        return sha256(draft)
