"""The record of a proof: how far a candidate is from its reference."""

from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from regard.contract.record import Record, Sha256


class Comparison(Record):
    """One comparison of a certificate: the same inputs through the reference and the candidate."""

    batch: int = Field(description="rows of the batch, or steps of the rollout")
    height: int | None = Field(default=None, description="of images or frames")
    width: int | None = Field(default=None, description="likewise")
    words: int | None = Field(default=None, description="of texts, padding among them")
    rollout: bool = Field(default=False, description="whether the rows are steps of sessions, one by one")
    traced: bool = Field(description="whether the export saw this batch and size")
    max_error: float = Field(description="largest absolute difference of the scores: probabilities or logits")
    relative_error: float = Field(description="max_error over the largest absolute reference score")
    agreement: float = Field(description="fraction of equal answers: top-1 classes, labels or pixels")

    @model_serializer(mode="wrap")
    def _said(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What does not apply is left out."""
        fields: dict[str, Any] = write(self)
        unsaid = {"height": None, "width": None, "words": None, "rollout": False}
        return {
            name: value for name, value in fields.items() if name not in unsaid or value is not unsaid[name]
        }


class Certificate(Record):
    """Proof that a candidate gives the reference's answers, on real images, at sizes and batches it was not
    traced at.
    """

    reference: str
    candidate: str
    reference_sha256: Sha256 | None = Field(
        default=None, description="of the reference's weights, or of its file; None before schema 2"
    )
    candidate_sha256: Sha256 | None = Field(default=None, description="of the candidate's file; likewise")
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
