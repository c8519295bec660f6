"""PyTorch's files, read without running anything that they hold.

Beside tensors and plain values a checkpoint may hold what `HARMLESS` lists. A stand-in that does nothing
takes the place of each: only tensors are wanted. Any other name in a pickle is refused.
"""

import pickle
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from regard.errors import InvalidWeights


class _Ignored:
    """In place of a value that is not wanted, however the pickle builds it."""

    def __new__(cls, *_: object) -> "_Ignored":
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        pass


def _mapping(*_: object) -> dict[Any, Any]:
    """In place of a mapping, whose items the pickle then sets."""
    return {}


# what training scripts save beside tensors, by the name in the pickle
HARMLESS: dict[str, Callable[..., object]] = {
    "collections.defaultdict": _mapping,
    **dict.fromkeys(
        (
            "argparse.Namespace",
            "types.SimpleNamespace",
            *(f"builtins.{name}" for name in ("int", "float", "list", "dict", "set", "range", "slice")),
            *(f"datetime.{name}" for name in ("date", "datetime", "timedelta")),
            *(
                f"pathlib.{module}{name}"
                for module in ("", "_local.")
                for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path")
            ),
            *(f"omegaconf.base.{name}" for name in ("ContainerMetadata", "Metadata")),
            "omegaconf.dictconfig.DictConfig",
            "omegaconf.listconfig.ListConfig",
            *(f"omegaconf.nodes.{name}Node" for name in ("Any", "Boolean", "Float", "Integer", "String")),
            "typing.Any",
            "mmengine.logging.history_buffer.HistoryBuffer",
            "numpy.dtype",
            "numpy.ndarray",
            *(
                f"numpy.{core}.multiarray.{name}"
                for core in ("core", "_core")
                for name in ("scalar", "_reconstruct")
            ),
        ),
        _Ignored,
    ),
}


def read_pickled(path: Path) -> object:
    """What a PyTorch file holds, tensors on the CPU; of what `HARMLESS` lists, a stand-in.

    Raises:
        OSError: it cannot be read.
        InvalidWeights: it is none, truncated or damaged, or holds what loading would run.
    """
    _check_archive(path)
    try:
        with (
            torch.serialization.safe_globals([(value, name) for name, value in HARMLESS.items()]),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # of a newer pickle protocol, which is refused
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except pickle.UnpicklingError as error:
        if "Unsupported operand" in str(error):
            raise InvalidWeights(
                f"{path} is a pickle of a protocol that cannot be read without running it; save it again "
                "with torch.save's own, without pickle_protocol"
            ) from None
        names = re.findall(r"GLOBAL (\S+)", str(error))
        raise InvalidWeights(
            f"{path} is a pickle that holds more than tensors{f' ({names[0]})' if names else ''}; loading it "
            "would run its code. Save `model.state_dict()` with safetensors.torch.save_file and pass that "
            "file."
        ) from None
    except Exception as error:  # damaged bytes lead PyTorch's reader to any of a dozen exceptions
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidWeights(f"{path} is not a whole PyTorch checkpoint: {reason}") from None


def _check_archive(path: Path) -> None:
    """A TorchScript archive holds code; and torch.save compresses nothing, so that a file that unpacks to
    more than itself was made to fill the memory.

    Raises:
        InvalidWeights: it is one of these.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return  # of the older format, or damaged, as PyTorch is going to say
    if any(entry.filename.endswith("/constants.pkl") for entry in entries):
        raise InvalidWeights(
            f"{path} is a TorchScript archive, a network with its code: save the state_dict() of what "
            "torch.jit.load gives, and pass that file"
        )
    held, unpacked = path.stat().st_size, sum(entry.file_size for entry in entries)
    if unpacked > held:
        raise InvalidWeights(
            f"{path} has {held} bytes and unpacks to {unpacked}, and torch.save compresses nothing; save the "
            "weights again with torch.save or safetensors"
        )
