"""The record of a TensorRT engine: `plan.json`, beside the engine and the graph that it was built from, in an
artifact and in the version of a model repository that serves it.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from regard.contract.certificate import Certificate
from regard.contract.record import Record, Sha256
from regard.contract.variant import Precision
from regard.errors import InvalidInput

PLAN_FILE = "plan.json"
Library = Literal["tensorrt", "tensorrt_rtx"]  # by the name that Python imports
Shape = tuple[int, ...]


class Profile(Record):
    """Shapes of the image batch (B, H, W, C) that an optimization profile is for."""

    least: Shape
    best: Shape = Field(description="what kernels are chosen for")
    most: Shape


class Layer(Record):
    """A layer of the engine, as its builder or the engine inspector lists it. precision: of its outputs."""

    name: str
    type: str
    precision: str


class Plan(Record):
    """An engine, what it was built from and for, and what was found in it.

    A plan loads only in the very version of the library that built it, on a GPU of one of its compute
    capabilities. Its values are proven only where it ran: without certificates it is built, and not run.
    """

    schema_version: Literal[1] = 1
    graph_sha256: Sha256 = Field(description="of the ONNX file that it was built from")
    library: Library
    version: str = Field(description="the library's, as in 10.5.0.18")
    target: str = Field(description="as it was asked for: rtx:8.6,8.9, local, or triton:24.10")
    compute_capabilities: tuple[str, ...] = Field(min_length=1, description="as in 8.6")
    gpu: str | None = Field(default=None, description="that it was built on; None where there was none")
    precision: Precision = Field(description="that was asked for, and that the layers show")
    profiles: tuple[Profile, ...] = Field(min_length=1)
    layers: tuple[Layer, ...] = Field(min_length=1)
    workspace: int = Field(description="bytes that layers may take while they run, at most")
    seconds: float = Field(description="that the build took")
    certificates: tuple[Certificate, ...] = ()

    @property
    def run(self) -> bool:
        """Whether a GPU has run it, and its answers were found right."""
        return bool(self.certificates) and all(found.passed for found in self.certificates)

    def misfit(self, library: Library, version: str, compute_capability: str) -> str | None:
        """Why a library would not load it on a GPU of this compute capability; None where it would."""
        if (library, version) != (self.library, self.version):
            return f"it was built by {self.library} {self.version}, and here is {library} {version}"
        if compute_capability not in self.compute_capabilities:
            built = ", ".join(self.compute_capabilities)
            return f"it was built for compute capability {built}, and the GPU here has {compute_capability}"
        return None


def plan_in(folder: Path) -> Plan | None:
    """The record of the engine in a folder; None where it holds none.

    Raises:
        InvalidInput: it cannot be read.
    """
    path = folder / PLAN_FILE
    try:
        return Plan.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}; build the engine again") from None
    except ValidationError as error:
        raise InvalidInput(
            f"{path} is damaged ({error.errors()[0]['msg']}); build the engine again"
        ) from None
