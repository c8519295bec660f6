"""What the process that builds is told, and what it tells: lines of JSON.

A Job on its stdin; then any number of Progress and one Built or Failed on its stdout.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from regard.contract.plan import Binding, Layer, Library, Profile
from regard.contract.record import Record


class Job(Record):
    """One engine.

    graph, engine: paths of the ONNX file and of what is written. compute_capabilities: none for the GPU here.
    workspace: bytes; None for as much as the library takes by default. processor_seconds: after which the
    kernel ends the process.
    """

    library: Library
    graph: str
    engine: str
    compute_capabilities: tuple[str, ...]
    profiles: tuple[Profile, ...]
    workspace: int | None = Field(gt=0)
    processor_seconds: int = Field(gt=0)


class Progress(Record):
    """How far the library says that it is."""

    kind: Literal["progress"] = "progress"
    phase: str
    fraction: Annotated[float, Field(ge=0, le=1)]


class Built(Record):
    """The engine is written. gpu: that it was built on; None where there was none."""

    kind: Literal["built"] = "built"
    version: str
    compute_capabilities: tuple[str, ...]
    gpu: str | None
    workspace: int
    bindings: tuple[Binding, ...]
    layers: tuple[Layer, ...]
    seconds: float


class Failed(Record):
    """There is no engine. errno: of a file that could not be written."""

    kind: Literal["failed"] = "failed"
    reason: str
    errno: int | None = None


Message = Annotated[Progress | Built | Failed, Field(discriminator="kind")]
MESSAGES: TypeAdapter[Progress | Built | Failed] = TypeAdapter(Message)
