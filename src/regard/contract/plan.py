"""The record of a TensorRT engine: `plan.json`, beside the engine and the graph that it was built from, in an
artifact and in the version of a model repository that serves it.
"""

from collections import Counter
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


class Binding(Record):
    """An input or output of the engine. data_type: by Triton's name, as FP32. shape: -1 is any size."""

    direction: Literal["input", "output"]
    name: str
    data_type: str
    shape: Shape


class Layer(Record):
    """A layer of the engine, as its builder or the engine inspector lists it.

    precision: of its first input: of what a convolution or a product multiplies. types: of all inputs and
    outputs. nodes: those of the graph that it computes, or a part of them.
    """

    name: str
    type: str
    precision: str
    types: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()


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
    bindings: tuple[Binding, ...] = ()
    layers: tuple[Layer, ...] = Field(min_length=1)
    workspace: int = Field(description="bytes that layers may take while they run, at most")
    seconds: float = Field(description="that the build took")
    certificates: tuple[Certificate, ...] = ()

    @property
    def run(self) -> bool:
        """Whether a GPU has run it, and its answers were found right."""
        return bool(self.certificates) and all(found.passed for found in self.certificates)

    @property
    def state(self) -> str:
        """What is known of its values, in words."""
        return f"run on {self.gpu}" if self.run else "built, not run"

    @property
    def layers_by_precision(self) -> dict[str, int]:
        """How many layers compute in each, the most first."""
        return dict(Counter(layer.precision for layer in self.layers).most_common())

    def misfit(self, library: Library, version: str, compute_capability: str) -> str | None:
        """Why a library would not load it on a GPU of this compute capability; None where it would."""
        if library != self.library or not same_version(version, self.version):
            return f"it was built by {self.library} {self.version}, and here is {library} {version}"
        if compute_capability not in self.compute_capabilities:
            built = ", ".join(self.compute_capabilities)
            return f"it was built for compute capability {built}, and the GPU here has {compute_capability}"
        return None


def same_version(one: str, other: str) -> bool:
    """Whether two versions of a library are one, as far as both are told: 10.5.0 is 10.5.0.18."""
    return all(mine == theirs for mine, theirs in zip(one.split("."), other.split("."), strict=False))


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
