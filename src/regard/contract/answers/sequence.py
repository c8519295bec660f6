"""An answer in words: a caption, a translation."""

from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from regard.contract.answers.kind import AnswerKind, Array, Tensors
from regard.contract.heat_map import WHOLE, Box
from regard.contract.names import ALIGNMENT, LOG_PROBABILITIES, SEQUENCE, Task
from regard.contract.results import Text
from regard.contract.tokens_input import END, PADDING, check_words


class Sequence(AnswerKind):
    """Words by number, int64 (B, longest), 0 behind the end; beside them the log-probability of each, float32
    (B, longest), and where the network aligns, how much each word attends to each place of what was read,
    float32 (B, longest, places).

    The network returns `regard.models.decoding.generated.Generated`, of these tensors in this order; it
    chooses the words itself, greedily or by beam search.
    """

    task: ClassVar[Task] = "captioning"
    tensor: ClassVar[str] = SEQUENCE
    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.int64)
    activation: ClassVar[None] = None

    kind: Literal["sequence"] = "sequence"
    vocabulary: tuple[str, ...] = Field(min_length=2, description="words by number; the first is padding")
    padding: str = PADDING
    end: str = END
    longest: int = Field(gt=0, description="words, end among them")
    joiner: Literal[" ", ""] = Field(default=" ", description="put between words")
    aligned: bool = Field(default=False, description="whether the network also gives an alignment")

    @model_validator(mode="after")
    def _check(self) -> "Sequence":
        check_words(self.vocabulary, padding=self.padding, end=self.end, what="vocabulary")
        if self.padding == self.end:
            raise ValueError("padding and end must be different words")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        return self.vocabulary

    @property
    def scores(self) -> int:
        return len(self.vocabulary)

    def scores_shape(self, batch: int, height: int, width: int) -> tuple[int, ...]:
        return batch, self.longest

    def served_dims(self, height: int, width: int) -> tuple[int, ...]:
        return (self.longest,)

    def tensors(self, height: int = -1, width: int = -1) -> Tensors:
        numbers = np.dtype(np.float32)
        found: Tensors = {
            SEQUENCE: (self.dtype, (self.longest,)),
            LOG_PROBABILITIES: (numbers, (self.longest,)),
        }
        return found | ({ALIGNMENT: (numbers, (self.longest, -1))} if self.aligned else {})

    @property
    def scored_as(self) -> str:
        return LOG_PROBABILITIES

    @property
    def min_agreement(self) -> float:
        return 1.0

    def served(self, activated: Any) -> Any:
        return activated.tokens

    def outputs(self, returned: Any) -> dict[str, Any]:
        values = (returned.tokens, returned.log_probabilities, returned.alignment)
        return dict(
            zip(self.tensors(), values, strict=False)
        )  # the alignment is left out where it is not served

    def agreeing(self, reference: Array, candidate: Array) -> npt.NDArray[np.bool_]:
        """Whether each sequence is the same in every word (B,)."""
        return np.asarray((reference == candidate).all(axis=1))

    def fault(self, answer: Array) -> str | None:
        if answer.dtype != self.dtype or answer.shape[1:] != (self.longest,):
            return f"answers {self.longest} words, but the model with {answer.dtype} of shape {answer.shape}"
        if answer.size and not 0 <= answer.min() <= answer.max() < len(self.vocabulary):
            return (
                f"has {len(self.vocabulary)} words, but the model answers numbers from {answer.min()} to "
                f"{answer.max()}"
            )
        return None

    def words(self, tokens: Array) -> tuple[str, ...]:
        """The words of one row of numbers, up to the end."""
        found = []
        for number in tokens.tolist():
            word = self.vocabulary[number]
            if word in (self.padding, self.end):
                break
            found.append(word)
        return tuple(found)

    def result(
        self,
        tokens: Array,
        log_probabilities: Array,
        alignment: Array | None = None,
        *,
        size: tuple[int, int] | None = None,
        box: Box = WHOLE,
    ) -> Text:
        """One answer's rows as text.

        Args:
            tokens: (longest,)
            log_probabilities: (longest,)
            alignment: (longest, places)
            size: rows and columns of what the network saw, where its places are those of an image.
            box: what part of the image that was, from 0 to 1.
        """
        words = self.words(tokens)
        length = min(len(words) + 1, self.longest)  # the end counts
        return Text(
            self.joiner.join(words),
            words=words,
            tokens=tuple(tokens[:length].tolist()),
            log_probability=float(log_probabilities[:length].sum()),
            scores=tuple(log_probabilities[: len(words)].tolist()),
            alignment=None if alignment is None else alignment[: len(words)],
            size=size,
            box=box,
        )
