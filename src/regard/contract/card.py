"""The Card: what a trained network takes, what it answers, where it comes from and what was proven about it.

It is one JSON file that travels beside the weights, beside and inside the exported graph, and in the model
repository. The server's configuration, its preprocessing and the client are derived from it; nothing else
states a preprocessing constant.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from regard.contract.answers import Answer
from regard.contract.card_rules import check_answer, check_inputs, check_state
from regard.contract.certificate import Certificate
from regard.contract.inputs import FramesInput, ImageInput, Input, TokensInput
from regard.contract.names import Task
from regard.contract.pixels_input import PixelsInput
from regard.contract.record import Record, Sha256
from regard.contract.state import State
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
    metrics: dict[str, float] = Field(default_factory=dict, description="on data never trained on")


class Card(Record):
    """The single source of truth about one trained network.

    inputs and answer are tagged by their `kind`. With a state it is asked in sessions.
    """

    schema_version: Literal[2] = 2
    name: str = Field(pattern=NAME_PATTERN)
    inputs: tuple[Input, ...]
    answer: Answer
    state: State | None = Field(default=None, description="what it carries from one frame to the next")
    origin: Origin
    tools: dict[str, str] = Field(default_factory=dict, description="versions that made this artifact")
    certificates: tuple[Certificate, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> "Card":
        check_inputs(self)
        check_answer(self)
        if self.state is not None:
            check_state(self, self.state)
        return self

    @property
    def pixels(self) -> ImageInput | FramesInput | None:
        """Its image or frames, if any."""
        return next((each for each in self.inputs if isinstance(each, PixelsInput)), None)

    @property
    def input(self) -> ImageInput | FramesInput:
        """Its image or frames.

        Raises:
            InvalidInput: it takes none.
        """
        if self.pixels is None:
            names = ", ".join(each.tensor for each in self.inputs)
            raise InvalidInput(
                f"{self.name} takes no image, but {names}: ask it in words, or name a model that takes images"
            )
        return self.pixels

    @property
    def image_alone(self) -> bool:
        """Whether it takes one image and nothing else, and remembers none."""
        return [each.kind for each in self.inputs] == ["image"] and self.state is None

    @property
    def texts(self) -> tuple[TokensInput, ...]:
        """Its inputs that are texts."""
        return tuple(each for each in self.inputs if isinstance(each, TokensInput))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pixels that its graph takes, -1 where any will do or it takes none."""
        return (-1, -1) if self.pixels is None else self.pixels.size

    @property
    def max_batch(self) -> int:
        """How many requests the server may put into one batch; sessions are asked one by one."""
        return 1 if self.state is not None else min(each.max_batch for each in self.inputs)

    @property
    def task(self) -> Task:
        """What the network is for, by what it takes and answers."""
        if not self.texts:
            return self.answer.task
        return (
            "translation" if self.pixels is None and self.answer.kind == "sequence" else "question_answering"
        )

    @property
    def proven(self) -> bool:
        """Whether it has certificates and all have passed."""
        return bool(self.certificates) and all(certificate.passed for certificate in self.certificates)

    def to_json(self) -> str:
        """The Card as an indented JSON text."""
        left_out = {"state"} if self.state is None else None
        return self.model_dump_json(indent=2, exclude=left_out) + "\n"

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
