"""What is in the releases of NVIDIA's Triton that the stack may run.

Each fact says how it is known: "run", on that release's server; "read", in the source beside it; "unknown".
It is one of the image `nvcr.io/nvidia/tritonserver:<release>-py3`, unless it says otherwise.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

PRODUCTION = "26.10"
"""docker-compose.yml's default: the newest whose notes were read, named by no bulletin that was. Not run."""

How = Literal["run", "read", "unknown"]


@dataclass(frozen=True)
class Fact:
    """value: None where it is unknown. source: where it was read."""

    value: str | None = None
    how: How = "unknown"
    source: str | None = None

    def __str__(self) -> str:
        return "unknown" if self.value is None else f"{self.value} ({self.how})"


UNKNOWN = Fact()


@dataclass(frozen=True)
class Tag:
    """What is in one release's image. gpus: the least compute capability, and the generations by name."""

    server: Fact = UNKNOWN
    onnxruntime: Fact = UNKNOWN
    tensorrt: Fact = UNKNOWN
    cuda: Fact = UNKNOWN
    python: Fact = UNKNOWN
    gpus: Fact = UNKNOWN

    def facts(self) -> dict[str, Fact]:
        """By name, in the order of the table."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


_MATRIX = "triton-inference-server/server, docs/introduction/compatibility.md"
_TURING = "7.5: Turing, Ampere, Ada Lovelace, Hopper, Blackwell"


def _notes(release: str) -> str:
    return f"Triton's release notes {release}"


def _onnxruntime(version: str) -> Fact:
    return Fact(version, "read", _MATRIX)


def _python(image: str) -> Fact:
    return Fact(f"3.12.3 in {image}", "read", _MATRIX)


def _from_notes(release: str, cuda: str) -> dict[str, Fact]:
    notes = _notes(release)
    return {"cuda": Fact(cuda, "read", notes), "gpus": Fact(_TURING, "read", notes)}


TAGS: Mapping[str, Tag] = {
    "24.10": Tag(
        server=Fact("2.51.0", "run"),
        onnxruntime=_onnxruntime("1.19.2"),
        tensorrt=Fact("10.5.0", "read", "TensorRT's container release notes 24.10"),
        cuda=Fact("12.6.2", "read", _notes("24.10")),
        python=Fact("3.10.12 in 24.10-vllm-python-py3", "read", _MATRIX),
        gpus=Fact("6.0: Pascal, Volta, Turing, Ampere, Ada Lovelace, Hopper", "read", _notes("24.10")),
    ),
    "26.07": Tag(
        onnxruntime=_onnxruntime("1.27.0"),
        python=_python("26.07-vllm-python-py3"),
        **_from_notes("26.07", "13.3.1"),
    ),
    "26.08": Tag(
        onnxruntime=_onnxruntime("1.28.0"),
        tensorrt=Fact(
            "11.2.1.2", "read", "reported of nvcr.io/nvidia/tensorrt:26.08-py3 by one of its users"
        ),
        python=_python("26.08-vllm-python-py3"),
        **_from_notes("26.08", "13.4.1"),
    ),
    "26.09": Tag(
        server=Fact("2.73.0", "read", "triton-inference-server/server, release v2.73.0"),
        **_from_notes("26.09", "13.4.1"),
    ),
    "26.10": Tag(**_from_notes("26.10", "13.4.3.001")),
}
