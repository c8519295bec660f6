"""The record of how a variant in another precision was judged: what it decides and how good it is beside
the float32 graph, on images that it was not made with. Float tolerances cannot judge it: its numbers move,
and what counts is what they decide.
"""

from pydantic import Field

from regard.contract.record import Record, Sha256


class Accuracy(Record):
    """The task's metric of both over the same labelled images, and a paired bootstrap of the difference."""

    metric: str = Field(description="top-1, mean average precision or mean IoU")
    reference: float = Field(description="float32's, 0 to 1")
    variant: float = Field(description="the variant's, 0 to 1")
    low: float = Field(description="lower end of the 95 % interval of variant - reference")
    high: float = Field(description="its upper end")
    max_drop: float = Field(description="the largest drop that passes, at the interval's lower end as well")

    @property
    def passed(self) -> bool:
        """Whether the figure drops by no more than it may; NaN never passes."""
        return self.low >= -self.max_drop

    @property
    def fault(self) -> str:
        """Why it does not pass, in words."""
        drop = self.reference - self.variant
        known = f"{self.metric} {self.variant:.4f} instead of {self.reference:.4f}"
        if drop <= self.max_drop:
            return (
                f"{known}, and by these images it may be {-self.low:.4f} lower (95 % interval), of which at "
                f"most {self.max_drop} passes: more images would tell"
            )
        return f"{known}, at most {self.max_drop} lower passes"


class Speed(Record):
    """Seconds of one image, preprocessing left out, one thread, interleaved; medians."""

    device: str = Field(description="what it ran on")
    reference: float = Field(description="float32's seconds, by ONNX Runtime")
    variant: float = Field(description="the variant's seconds")
    runs: int = Field(ge=1)

    @property
    def ratio(self) -> float:
        """How many times as fast as float32 the variant is."""
        return self.reference / self.variant


class Judgement(Record):
    """A variant held against the float32 graph of its artifact.

    Agreement is the fraction of equal decisions of an image: its class, the labels that apply, or its pixels.
    """

    reference_sha256: Sha256 = Field(description="of the float32 graph")
    variant_sha256: Sha256 = Field(description="of the variant's graph")
    candidate: str = Field(description="what ran the variant")
    calibration: str | None = Field(default=None, description="the images that it was made with")
    data: str = Field(description="the held-out images; none of them is among those of the calibration")
    images: int = Field(ge=1, description="how many these are")
    agreement: float = Field(description="mean over the images")
    least_agreement: float = Field(description="of the worst image")
    min_agreement: float = Field(description="the smallest mean that passes")
    min_least_agreement: float = Field(description="the smallest of an image that passes; 0 for classes")
    accuracy: Accuracy | None = Field(default=None, description="None: agreement only, without labels")
    speed: Speed | None = Field(default=None, description="None: it was not measured on its own device")

    @property
    def faults(self) -> tuple[str, ...]:
        """What does not pass, in words; NaN never does. Speed is no part of it."""
        faults = []
        if not self.agreement >= self.min_agreement:
            faults.append(f"agreement {self.agreement:.4f}, at least {self.min_agreement} passes")
        if not self.least_agreement >= self.min_least_agreement:
            faults.append(
                f"agreement {self.least_agreement:.4f} on the worst image, at least "
                f"{self.min_least_agreement} passes"
            )
        if self.accuracy is not None and not self.accuracy.passed:
            faults.append(self.accuracy.fault)
        return tuple(faults)

    @property
    def passed(self) -> bool:
        """Whether it decides as float32 does, and is as good."""
        return not self.faults
