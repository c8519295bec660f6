"""A graph that answers with sequences of words by number, and says them in words too, as the output `text`.

It is copied into each backend's folder, and runs inside the server's Python stub.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from regard.serving.triton.backends.regard_session import Array, Graph, Tensor
else:  # inside the server it lies beside this file
    from regard_session import Tensor

SEQUENCE, TEXT = "sequence", "text"


class Speech:
    """What the numbers of an answer mean.

    Args:
        answer: what the Card says of it, a sequence.
    """

    def __init__(self, answer: Mapping[str, Any]) -> None:
        self.vocabulary: list[str] = answer["vocabulary"]
        self.joiner: str = answer["joiner"]
        self.over = {0, *(number for number, word in enumerate(self.vocabulary) if word == answer["end"])}

    def words(self, sequence: "Array") -> list[str]:
        """The words of one sequence (longest,), up to its end."""
        words = []
        for number in sequence.tolist():
            if number in self.over:
                break
            words.append(self.vocabulary[number])
        return words

    def texts(self, sequences: "Array") -> "Array":
        """Sequences (B, longest) as texts in UTF-8, (B, 1)."""
        texts = [self.joiner.join(self.words(sequence)).encode() for sequence in sequences]
        return np.array(texts, np.object_).reshape(-1, 1)


class SpokenGraph:
    """See `Graph`."""

    def __init__(self, graph: "Graph", speech: Speech) -> None:
        self.graph, self.speech = graph, speech
        self.inputs: Mapping[str, Tensor] = graph.inputs
        self.outputs: Mapping[str, Tensor] = {**graph.outputs, TEXT: Tensor("TYPE_STRING", [-1, 1])}

    def run(self, outputs: Sequence[str], inputs: "Mapping[str, Array]") -> "list[Array]":
        """See `Graph`."""
        wanted = [*dict.fromkeys(SEQUENCE if name == TEXT else name for name in outputs)]
        found = dict(zip(wanted, self.graph.run(wanted, inputs), strict=True))
        if TEXT in outputs:
            found[TEXT] = self.speech.texts(found[SEQUENCE])
        return [found[name] for name in outputs]
