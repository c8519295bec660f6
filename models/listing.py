"""What the catalog holds, as rows of facts: read from catalog.json, which `python benchmarks/catalog.py`
measures and writes.

Reading them builds no network and does not import PyTorch. A test holds names, papers and parameters against
the catalog itself.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from regard.contract.card import card_from_file
from regard.errors import UnknownName
from regard.models.weights_index import shipped

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
    torch_ms: float
    onnxruntime_ms: float


class Row(_Frozen):
    """A network of the catalog at its default options, for images of `size` x `size`.

    multiply_adds: of convolutions and matrix products, for one image.
    measured: None where the export was not measured.
    why_not: the reason, where an export was tried and refused.
    """

    name: str
    task: str
    paper: str
    year: int
    parameters: int
    size: int
    multiply_adds: int
    measured: Measured | None = None
    why_not: str | None = None


ROWS = TypeAdapter(list[Row])


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


def trained() -> dict[str, list[str]]:
    """Names of the trained weights that come with regard, by the network they are for."""
    found: dict[str, list[str]] = {}
    for name, path in shipped().items():
        found.setdefault(card_from_file(path).origin.builder, []).append(name)
    return found
