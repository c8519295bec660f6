"""Weights on disk: read without ever running what is in the file, fitted exactly, written whole or not at
all.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from regard.contract.digest import sha256
from regard.contract.whole_file import whole_file
from regard.errors import InvalidWeights
from regard.models.former_names import under_present_names


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a .safetensors file, or a .pt/.pth state dict whose pickle holds tensors and nothing that runs.

    Raises:
        InvalidWeights: missing, truncated, or holding anything but named tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load(path.read_bytes())
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InvalidWeights(f"cannot read the weights {path}: {error.strerror or error}") from None
    except SafetensorError as error:
        raise InvalidWeights(f"{path} is not a whole safetensors file: {error}") from None
    except pickle.UnpicklingError:
        raise InvalidWeights(
            f"{path} is a pickle that holds more than tensors; loading it would run its code. "
            "Save `model.state_dict()` with safetensors.torch.save_file and pass that file."
        ) from None
    except Exception as error:  # damaged bytes lead PyTorch's reader to any of a dozen exceptions
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidWeights(f"{path} is not a whole PyTorch checkpoint: {reason}") from None
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()
    ):
        raise InvalidWeights(f"{path} holds no state dict (a mapping of names to tensors)")
    return dict(content)


def load_weights(network: nn.Module, state: Mapping[str, Tensor], *, source: str) -> None:
    """Load a state dict that fits the network key by key and shape by shape, under its present names or its
    former ones (see `regard.models.former_names`); half precision is widened.

    Raises:
        InvalidWeights: keys are missing or left over, or shapes differ; names the first of each.
    """
    expected, state = network.state_dict(), under_present_names(network, state)
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
    network.load_state_dict(state)


def save_weights(network: nn.Module, path: Path, dtype: torch.dtype = torch.float32) -> str:
    """Write the network's state dict as safetensors, floating tensors as `dtype`, and return the file's
    SHA-256.

    Raises:
        InvalidInput: the file cannot be written; an earlier one stays as it was.
    """
    state = {
        key: (value.to(dtype) if value.is_floating_point() else value).detach().cpu().contiguous()
        for key, value in network.state_dict().items()
    }
    with whole_file(path) as draft:
        draft.write_bytes(save(state))
        return sha256(draft)
