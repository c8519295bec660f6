"""The record of a proof: how far a candidate is from its reference."""

from pydantic import Field

from regard.contract.record import Record, Sha256


class Comparison(Record):
    """One comparison of a certificate: the same images through the reference and the candidate."""

    batch: int
    height: int
    width: int
    traced: bool = Field(description="whether the export saw this batch and size")
    max_error: float = Field(description="largest absolute difference of the scores: probabilities or logits")
    relative_error: float = Field(description="max_error over the largest absolute reference score")
    agreement: float = Field(description="fraction of equal answers: top-1 classes, labels or pixels")


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
