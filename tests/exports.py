"""What is exported once for all tests of a run, whichever process they are in: tracing takes seconds."""

import fcntl
import io
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import FunctionType
from typing import Any

from torch import Tensor, nn

from regard.contract.card import Card
from regard.contract.names import MODEL_FILE
from regard.contract.preprocess import Pixels
from regard.export.artifact import Artifact, read_artifact
from regard.export.onnx_export import export_onnx
from regard.models.explain import Explain


@dataclass(frozen=True)
class Exports:
    """Artifacts below a folder that the processes of a run share, named after what they were made of."""

    folder: Path

    def of(
        self, network: nn.Module, card: Card, images: Sequence[Pixels], *, explain: Explain | None = None
    ) -> Artifact:
        """What `export_onnx` makes of a network: made now, by another process, or before. Do not change it.

        A test that replaces a part of the exporter must call `export_onnx` itself.
        """
        target = self.folder / digest(network, card, images, explain)
        self.folder.mkdir(exist_ok=True)
        with target.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until it is closed
            if not (target / MODEL_FILE).exists():
                export_onnx(network, card, target, images=images, images_from="samples", explain=explain)
        return read_artifact(target)


def digest(network: nn.Module, card: Card, images: Sequence[Pixels], explain: Explain | None) -> str:
    """A name for all that goes into an export but the code, which is that of the run."""
    stream = io.BytesIO()
    _Content(stream).dump((network, card.to_json(), [*images], explain))
    return sha256(stream.getvalue()).hexdigest()


class _Content(pickle.Pickler):
    """Tensors by their numbers, functions by where they are written: a lambda has no name to pickle."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return tuple, ((type(value), value.dtype, tuple(value.shape), value.detach().numpy().tobytes()),)
        if isinstance(value, FunctionType):
            caught = [cell.cell_contents for cell in value.__closure__ or ()]
            place = (value.__module__, value.__qualname__, value.__code__.co_firstlineno)
            return tuple, ((*place, value.__defaults__, value.__kwdefaults__, caught),)
        return NotImplemented
