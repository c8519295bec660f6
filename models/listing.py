"""What the catalog holds, as rows of facts and by system: read from catalog.json, which
`python benchmarks/catalog.py` measures and writes.

Reading them builds no network and does not import PyTorch. A test holds names, papers and parameters against
the catalog itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from regard.contract.names import FRAMES, IMAGE, Task
from regard.contract.reading import card_from_file
from regard.errors import UnknownName
from regard.models.weights_index import shipped

EnginePrecision = Literal["float32", "fp16"]
FACTS = Path(__file__).parent / "catalog.json"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Measured(_Frozen):
    """What an export of a network at its default options, untrained, gave on the machine of the facts.

    Times are milliseconds of processor time per image at batch 1, one thread: medians of interleaved runs.
    """

    nodes: int
    largest_error: float  # of the certificate, relative to the largest logit
    custom_operators: tuple[str, ...]  # outside plain ONNX
    torch_ms: float | None = None  # None: not timed
    onnxruntime_ms: float | None = None


class BuiltEngine(_Frozen):
    """An engine of a network's untrained export by TensorRT-RTX, built and not run: how long that took, and
    how large it is; or why there is none.
    """

    seconds: float | None = None
    bytes: int | None = None
    why_not: str | None = None


class Row(_Frozen):
    """A network of the catalog at its default options, for images of `size` x `size`.

    system, variant, backbone: see `regard.models.catalog_entry.Network`.
    inputs: names of what goes in, in order. sessions: whether it remembers what came before.
    multiply_adds: of convolutions and matrix products, for one image, or one text as long as it takes.
    measured: None where the export was not measured.
    why_not: the reason, where an export was tried and refused.
    engines: by their precision, where a build was tried.
    """

    name: str
    system: str
    variant: str
    backbone: str | None = None
    task: Task
    inputs: tuple[str, ...] = (IMAGE,)
    sessions: bool = False
    paper: str
    year: int
    parameters: int
    size: int
    multiply_adds: int
    measured: Measured | None = None
    why_not: str | None = None
    engines: dict[EnginePrecision, BuiltEngine] = Field(default_factory=dict)

    @property
    def purpose(self) -> str:
        """What it is for, of what: "segmentation of 224 x 224 pixels, in sessions"."""
        pixels = f"{self.size} x {self.size} pixels"
        named = {IMAGE: pixels, FRAMES: f"frames of {pixels}"}
        taken = " and ".join(
            named.get(name, f"a {name}" if len(self.inputs) > 1 else "text") for name in self.inputs
        )
        return f"{self.task.replace('_', ' ')} of {taken}{', in sessions' if self.sessions else ''}"


ROWS = TypeAdapter(list[Row])


@dataclass(frozen=True)
class System:
    """Networks that differ in their variant alone: task, paper, year and size are those of each."""

    name: str
    networks: tuple[Row, ...]

    @property
    def pattern(self) -> str:
        """The networks' names, with a star for their variant."""
        first = self.networks[0]
        return "*".join(first.name.rsplit(first.variant, 1)) if first.variant else first.name

    @property
    def variants(self) -> tuple[str, ...]:
        """What a star in the pattern stands for."""
        return tuple(row.variant for row in self.networks if row.variant)


def list_networks(task: str | None = None) -> list[Row]:
    """Return the catalog's rows, of one task where given.

    Raises:
        UnknownName: no network has this task.
    """
    rows = ROWS.validate_json(FACTS.read_bytes())
    tasks = {row.task for row in rows}
    if task is not None and task not in tasks:
        raise UnknownName.among("task", task, tasks)
    return [row for row in rows if task in (None, row.task)]


def millions(parameters: int) -> str:
    """So many million parameters, with as many digits as tell small networks apart."""
    return f"{parameters / 1e6:.{1 if parameters >= 1e6 else 2}f}"


def systems(rows: Iterable[Row]) -> list[System]:
    """The systems of these networks, in the order of their first ones."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.system, []).append(row)
    return [System(name, tuple(networks)) for name, networks in found.items()]


def find_networks(name: str) -> list[Row]:
    """Return the row of a network, or those of a system.

    Raises:
        UnknownName: neither has this name; with the nearest ones.
    """
    rows = list_networks()
    found = [row for row in rows if name in (row.name, row.system)]
    if not found:
        known = {row.name for row in rows} | {row.system for row in rows}
        raise UnknownName.among("network or system", name, known, listed_by="`regard models`")
    return found


def trained() -> dict[str, list[str]]:
    """Names of the trained weights that come with regard, by the network they are for."""
    found: dict[str, list[str]] = {}
    for name, path in shipped().items():
        found.setdefault(card_from_file(path).origin.builder, []).append(name)
    return found
