"""What passes as the same answer, which depends on the precision that a candidate computes in."""

from dataclasses import dataclass

from regard.contract.answers.kind import AnswerKind


@dataclass(frozen=True)
class Bounds:
    """What passes.

    Attributes:
        error: at most this, over the largest value of the reference.
        agreement: at least this fraction of equal decisions.
    """

    error: float
    agreement: float


@dataclass(frozen=True)
class Precision:
    """How a candidate computes, and how far that may lead it from its reference.

    Attributes:
        name: of the type.
        error: as of Bounds.
        leeway: times the decisions that may differ where the kind of answer lets any.
    """

    name: str
    error: float
    leeway: float = 1

    def bounds(self, answer: AnswerKind) -> Bounds:
        """What passes for a kind of answer."""
        return Bounds(self.error, 1 - self.leeway * (1 - answer.min_agreement))


# float32 sums in another order differ by 1e-7 to 1e-5, a wrong weight by far more
FLOAT32 = Precision("float32", 1e-4)
# one rounding to float16 is 5e-4; through the layers of a segmenter that becomes up to 6e-3
FLOAT16 = Precision("float16", 1e-2, leeway=10)
# label maps are held to what passes of a worst image in any precision (regard.serving.optimize.gate): at the
# largest sizes 0.014 of the pixels moved
FP16 = Precision("fp16", FLOAT16.error, leeway=25)
# the same int8 graph in two runtimes: a rounding apart is a step of a quantizer, in each layer again
INT8 = Precision("int8", 5e-2, leeway=50)
