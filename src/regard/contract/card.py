"""The Card: what a trained network takes, what it answers, where it comes from and what was proven about it.

It is one JSON file that travels beside the weights, beside and inside the exported graph, and in the model
repository. The server's configuration, its preprocessing and the client are derived from it; nothing else
states a preprocessing constant.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from regard.contract.names import Task
from regard.contract.preprocess import Pixels, fit
from regard.errors import InvalidInput

# what Triton takes as a model name and is safe as a folder's
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"
Fraction = Annotated[float, Field(gt=0, le=1)]
Channel = Annotated[int, Field(ge=0, le=255)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class InputContract(_Frozen):
    """How an RGB image becomes the network's input.

    The served graph takes uint8 pixels (B, height, width, 3), RGB, and computes (pixels / 255 - mean) / std
    itself.
    """

    height: int = Field(gt=0, description="rows the network was trained at, and takes unless dynamic_size")
    width: int = Field(gt=0, description="columns, likewise")
    resize: Literal["stretch", "center_crop", "none"] = Field(
        description="see regard.contract.preprocess.fit"
    )
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    crop: Fraction = 1.0
    mean: tuple[Finite, Finite, Finite] = (0.485, 0.456, 0.406)
    std: tuple[Finite, Finite, Finite] = (0.229, 0.224, 0.225)
    dynamic_size: bool = Field(default=False, description="any height and width from min_size to max_size")
    min_size: int = Field(default=32, gt=0)
    max_size: int = Field(default=2048, gt=0)
    max_batch: int = Field(default=16, gt=0)

    @model_validator(mode="after")
    def _check(self) -> "InputContract":
        if self.dynamic_size != (self.resize == "none"):
            raise ValueError("resize must be 'none' exactly where dynamic_size is true")
        if (
            self.dynamic_size
            and not self.min_size
            <= min(self.height, self.width)
            <= max(self.height, self.width)
            <= self.max_size
        ):
            raise ValueError("height and width must lie between min_size and max_size")
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive, got {self.std}")
        return self

    def fit(self, pixels: Pixels) -> Pixels:
        """Bring RGB pixels (H, W, 3) to the size the network takes, by `regard.contract.preprocess.fit`."""
        return fit(
            pixels,
            resize=self.resize,
            height=self.height,
            width=self.width,
            interpolation=self.interpolation,
            crop=self.crop,
        )


class OutputContract(_Frozen):
    """What the answer's numbers mean: class i is labels[i], drawn in palette[i]."""

    labels: tuple[str, ...] = Field(min_length=1)
    palette: tuple[tuple[Channel, Channel, Channel], ...] | None = None
    ignore_index: int | None = Field(
        default=None, description="label of pixels that training and metrics left out"
    )

    @model_validator(mode="after")
    def _check(self) -> "OutputContract":
        if self.palette is not None and len(self.palette) != len(self.labels):
            raise ValueError(f"palette has {len(self.palette)} colours for {len(self.labels)} labels")
        if self.ignore_index is not None and 0 <= self.ignore_index < len(self.labels):
            raise ValueError(
                f"ignore_index {self.ignore_index} is the label {self.labels[self.ignore_index]!r}"
            )
        return self


class Origin(_Frozen):
    """Where the network comes from: the builder and its options, the weights, the data."""

    builder: str = Field(description="a catalog name, or package.module:callable")
    options: dict[str, Any] = Field(default_factory=dict, description="keyword arguments of the builder")
    weights_sha256: str | None = Field(
        default=None, description="of the safetensors file; None for untrained weights"
    )
    recipe: str | None = Field(default=None, description="file name of the training recipe")
    data: str | None = None
    licence: str | None = None
    metrics: dict[str, float] = Field(default_factory=dict, description="on images never trained on")


class Comparison(_Frozen):
    """One comparison of a certificate: the same images through the reference and the candidate."""

    batch: int
    height: int
    width: int
    traced: bool = Field(description="whether the export saw this batch and size")
    max_error: float = Field(description="largest absolute difference of the scores: probabilities or logits")
    relative_error: float = Field(description="max_error over the largest absolute reference score")
    agreement: float = Field(description="fraction of equal answers: top-1 classes or pixels")


class Certificate(_Frozen):
    """Proof that a candidate gives the reference's answers, on real images, at sizes and batches it was not
    traced at.
    """

    reference: str
    candidate: str
    images: str = Field(description="where the images came from")
    max_error: float = Field(description="the largest max_error that passes")
    min_agreement: float = Field(description="the smallest agreement that passes")
    comparisons: tuple[Comparison, ...] = Field(min_length=1)

    @property
    def passed(self) -> bool:
        """Whether every comparison is within bounds; NaN never is."""
        return all(
            c.max_error <= self.max_error and c.agreement >= self.min_agreement for c in self.comparisons
        )


class Card(_Frozen):
    """The single source of truth about one trained network."""

    schema_version: Literal[1] = 1
    name: str = Field(pattern=NAME_PATTERN)
    task: Task
    input: InputContract
    output: OutputContract
    origin: Origin
    tools: dict[str, str] = Field(default_factory=dict, description="versions that made this artifact")
    certificates: tuple[Certificate, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> "Card":
        if self.task == "segmentation" and len(self.output.labels) > 256:
            raise ValueError(f"a label map is uint8: at most 256 labels, got {len(self.output.labels)}")
        return self

    def to_json(self) -> str:
        """The Card as an indented JSON text."""
        return self.model_dump_json(indent=2) + "\n"

    def updated(self, **changes: Any) -> "Card":
        """A validated copy with some fields replaced."""
        return card_from_mapping(self.model_dump() | changes, source=f"the Card of {self.name}")


def card_from_mapping(fields: Mapping[str, Any], *, source: str) -> Card:
    """Validate a Card; `source` names it in the error.

    Raises:
        InvalidInput: a field is missing, unknown or breaks its rule.
    """
    try:
        return Card.model_validate(fields)
    except ValidationError as error:
        raise InvalidInput(_explain(error, source)) from None


def card_from_json(text: str | bytes, *, source: str) -> Card:
    """Parse and validate a Card's JSON text; `source` names it in the error.

    Raises:
        InvalidInput: not JSON, or a field is missing, unknown or breaks its rule.
    """
    try:
        return Card.model_validate_json(text)
    except ValidationError as error:
        raise InvalidInput(_explain(error, source)) from None


def card_from_file(path: Path) -> Card:
    """Read a Card.

    Raises:
        InvalidInput: no such file, or not a valid Card.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"cannot read the Card {path}: {error.strerror}. A Card is the JSON file beside the model."
        ) from None
    return card_from_json(text, source=str(path))


def _explain(error: ValidationError, source: str) -> str:
    faults = "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'Card'}: {fault['msg']}" for fault in error.errors()
    )
    return f"{source} is not a valid Card: {faults}"
