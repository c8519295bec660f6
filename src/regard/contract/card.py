"""The Card: what a trained network takes, what it answers, where it comes from and what was proven about it.

It is one JSON file that travels beside the weights, beside and inside the exported graph, and in the model
repository. The server's configuration, its preprocessing and the client are derived from it; nothing else
states a preprocessing constant.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from regard.contract.answers import Answer
from regard.contract.answers.label_map import MOST_LABELS
from regard.contract.certificate import Certificate
from regard.contract.image_input import ImageInput
from regard.contract.names import Task
from regard.contract.record import Record, Sha256
from regard.errors import InvalidInput

EXTRA = "extra_forbidden"  # pydantic's name of the fault
SCHEMA = 2  # the version that is written
# what Triton takes as a model name and is safe as a folder's
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"


class Origin(Record):
    """Where the network comes from: the builder and its options, the weights, the data."""

    builder: str = Field(description="a catalog name, or package.module:callable")
    options: dict[str, Any] = Field(default_factory=dict, description="keyword arguments of the builder")
    weights_sha256: Sha256 | None = Field(
        default=None, description="of the safetensors file; None for untrained weights"
    )
    recipe: str | None = Field(default=None, description="file name of the training recipe")
    data: str | None = None
    licence: str | None = None
    metrics: dict[str, float] = Field(default_factory=dict, description="on images never trained on")


class Card(Record):
    """The single source of truth about one trained network.

    inputs and answer are tagged by their `kind`: today an image, and classes or a label map.
    """

    schema_version: Literal[2] = 2
    name: str = Field(pattern=NAME_PATTERN)
    inputs: tuple[ImageInput, ...]
    answer: Answer
    origin: Origin
    tools: dict[str, str] = Field(default_factory=dict, description="versions that made this artifact")
    certificates: tuple[Certificate, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> "Card":
        if len(self.inputs) != 1:
            raise ValueError(f"a network takes one image, got {len(self.inputs)} inputs")
        if self.task == "classification" and self.input.pad_to > 1:
            raise ValueError("pad_to is for segmentation: only an answer for every pixel can be cut back")
        full = self.task == "segmentation" and len(self.answer.labels) == MOST_LABELS
        if full and self.input.resize == "center_crop":
            raise ValueError(
                f"with {MOST_LABELS} labels no value of a label map is left for what center_crop leaves out: "
                "set resize to 'stretch', or merge two labels"
            )
        return self

    @property
    def input(self) -> ImageInput:
        """The only input."""
        return self.inputs[0]

    @property
    def task(self) -> Task:
        """What the network is for, by the kind of its answer."""
        return self.answer.task

    @property
    def proven(self) -> bool:
        """Whether it has certificates and all have passed."""
        return bool(self.certificates) and all(certificate.passed for certificate in self.certificates)

    def to_json(self) -> str:
        """The Card as an indented JSON text."""
        return self.model_dump_json(indent=2) + "\n"

    def updated(self, **changes: Any) -> "Card":
        """A validated copy with some fields replaced.

        Raises:
            InvalidInput: a field breaks its rule.
        """
        return card_from_mapping(self.model_dump() | changes, source=f"the Card of {self.name}")


def card_from_mapping(fields: Mapping[str, Any], *, source: str) -> Card:
    """Validate a Card of the present schema; `source` names it in the error.

    Raises:
        InvalidInput: a field is missing, unknown or breaks its rule.
    """
    try:
        return Card.model_validate(fields)
    except ValidationError as error:
        raise InvalidInput(explained(error, source)) from None


def explained(error: ValidationError, source: str) -> str:
    """The faults of a Card, or of a part of one, in words."""
    faults = "; ".join(
        ": ".join(filter(None, [".".join(map(str, fault["loc"])), _rule(fault["type"], fault["msg"])]))
        for fault in error.errors()
    )
    return f"{source} is not a valid {error.title}: {faults}"


def _rule(kind: str, message: str) -> str:
    return "there is no such field" if kind == EXTRA else message.removeprefix("Value error, ")
