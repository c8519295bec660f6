"""What becomes of each thing that a model was asked about, as facts for people and for programs."""

from dataclasses import dataclass, field
from functools import singledispatch
from pathlib import Path
from typing import Any, TypeAlias

from regard.contract.results import Classification, Pose, Reconstruction, Text
from regard.errors import RegardError

Area: TypeAlias = dict[str, float]
Result: TypeAlias = Classification | Area | Text | Pose | Reconstruction


@dataclass(frozen=True)
class Entry:
    """What became of one file or text.

    result: of a segmentation the area of each label, as the maps of many large images would fill the memory.
    written: the files made from it, by kind ("mask", "overlay", "heat", ...).
    question: that was asked about it.
    """

    about: Path | str
    result: Result | RegardError
    written: dict[str, Path] = field(default_factory=dict)
    question: str | None = None

    @property
    def failed(self) -> bool:
        """Whether there is an error instead of a result."""
        return isinstance(self.result, RegardError)

    @property
    def named(self) -> dict[str, str]:
        """What was asked."""
        about = {"text" if isinstance(self.about, str) else "image": str(self.about)}
        return about if self.question is None else about | {"question": self.question}

    def to_json(self) -> dict[str, Any]:
        """The entry in JSON's types."""
        return self.named | _facts(self.result) | {kind: str(path) for kind, path in self.written.items()}


@singledispatch
def _facts(result: Any) -> dict[str, Any]:
    raise TypeError(f"no facts of {type(result).__name__}")


@_facts.register
def _(result: RegardError) -> dict[str, Any]:
    return {"error": str(result)}


@_facts.register
def _(result: Classification) -> dict[str, Any]:
    top = [{"label": label, "probability": probability} for label, probability in result.top]
    facts: dict[str, Any] = {"label": result.label, "probability": result.probability}
    return facts | {"labels": list(result.labels), "top": top}


@_facts.register
def _(result: dict) -> dict[str, Any]:  # type: ignore[type-arg]
    return {"area": {label: fraction for label, fraction in result.items() if fraction}}


@_facts.register
def _(result: Text) -> dict[str, Any]:
    return {
        "answer": result.text,
        "words": list(result.words),
        "scores": list(result.scores),
        "log_probability": result.log_probability,
    }


@_facts.register
def _(result: Pose) -> dict[str, Any]:
    return {
        "joints": {
            name: {"x": x, "y": y, "confidence": result.confidence[name]}
            for name, (x, y) in result.joints.items()
        }
    }


@_facts.register
def _(result: Reconstruction) -> dict[str, Any]:
    height, width = result.pixels.shape[:2]
    return {"height": height, "width": width}
