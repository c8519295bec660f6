"""Networks of texts, sequences and sessions whose answers would prove nothing, or that contradict their Card:
each is refused before anything is traced, with the reason.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.export.conftest import seeded
from tests.export.toys import (
    ANY_SIZE,
    MAP,
    SEQUENCE,
    STATE,
    TEXT,
    WORDS,
    Answerer,
    Remembering,
    Translator,
    card,
    toys,
)
from torch import Tensor, nn

from regard.contract.card import Card
from regard.contract.preprocess import Pixels
from regard.contract.state import State, StateTensor
from regard.errors import ExportError, InvalidInput, RegardError
from regard.export.onnx_export import export_onnx
from regard.models.decoding.generated import Generated


class SameWords(nn.Module):
    """Says the same whatever it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Buffer(torch.tensor([[3, 4, 6, 2, 0, 0]]))

    def forward(self, tokens: Tensor) -> Generated:
        said = self.tokens.expand(len(tokens), -1)
        return Generated(
            said, -0.5 * (said > 0).float(), (said > 0).float().unsqueeze(2) * (tokens > 0).unsqueeze(1)
        )


class Ended(Translator):
    """Gives fewer places for words than its Card says."""

    longest = 4


class Elsewhere(Translator):
    """Its Card ends by another word."""


class Shorter(Translator):
    """Its Card answers with fewer words."""

    words = len(WORDS)


class Unread(Translator):
    """Its Card reads one word more."""


class Silent(nn.Module):
    """Gives scores where its Card means words."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens.float()


class Hidden(Remembering):
    """Remembers beside its state: the sessions of others show."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0.0

    def step(self, x: Tensor, before: Tensor, count: Tensor) -> tuple[Tensor, ...]:
        scores, *state = super().step(x, before, count)
        self.seen = 0.5 * self.seen + float(x.mean())
        return scores * (1 + self.seen), *state


class Growing(Remembering):
    """Carries more from step to step."""

    def step(self, x: Tensor, before: Tensor, count: Tensor) -> tuple[Tensor, ...]:
        scores, features, _ = super().step(x, before, count[:, :1])
        return scores, features, torch.cat([count, count], dim=1)


class Padded(Answerer):
    """Averages over the padding as well."""

    def forward(self, story: Tensor, question: Tensor) -> Tensor:
        return super().forward(story, question) / question.shape[1]


def of_text(answer: Any = SEQUENCE) -> Card:
    return card((TEXT,), answer)


def of_sessions(*tensors: StateTensor) -> Card:
    state = State(tensors=tensors) if tensors else STATE
    return card((ANY_SIZE,), MAP, state=state)


FEATURES, COUNT = STATE.tensors
CASES: list[tuple[nn.Module, Card, type[RegardError], str]] = [
    (SameWords(), of_text(), ExportError, "everything in the trials the same log_probabilities"),
    (Translator(masked=False), of_text(), ExportError, "depends on its padding or its neighbours"),
    (
        Padded(),
        toys()["story"][1],
        ExportError,
        "depends on its padding.*leave out padding, whose number is 0",
    ),
    (Ended(), of_text(), InvalidInput, r"sequence of shape \(1, 6\) is meant, the network gives \(1, 4\)"),
    (
        Translator(),
        of_text(SEQUENCE.model_copy(update={"aligned": False})),
        InvalidInput,
        "says that its sequence is not aligned, the network gives sequence, log_probabilities, alignment",
    ),
    (
        Elsewhere(),
        of_text(SEQUENCE.model_copy(update={"end": "ball"})),
        InvalidInput,
        "'ball' is word 6 of the Card of toy, and a network that returns Generated ends by word 2",
    ),
    (
        Shorter(),
        of_text(SEQUENCE.model_copy(update={"vocabulary": WORDS[:-1]})),
        InvalidInput,
        "has 7 words in its answer, the network writes 8",
    ),
    (
        Unread(),
        card((TEXT.model_copy(update={"vocabulary": (*WORDS, "cube")}),), SEQUENCE),
        InvalidInput,
        "does not take 6 words of tokens",
    ),
    (Silent(), of_text(), InvalidInput, "means a sequence, and the network returns Tensor: let it return"),
    (Hidden(), of_sessions(), ExportError, "the answer to a session depends on others.*in the state"),
    (Growing(), of_sessions(), InvalidInput, "step of toy gives a state of .*its Card says"),
    (
        Remembering(),
        of_sessions(FEATURES),
        InvalidInput,
        r"initial_state of toy gives a state of \(4, 16, 16\), \(1,\), its Card says features \(4, -1, -1\)",
    ),
    (Answerer(), of_sessions(), InvalidInput, "the network no initial_state and no step: give it"),
]


@pytest.mark.parametrize(
    ("network", "meant", "kind", "reason"), CASES, ids=[type(case[0]).__name__ for case in CASES]
)
def test_what_proves_nothing_is_refused(
    network: nn.Module,
    meant: Card,
    kind: type[RegardError],
    reason: str,
    images: list[Pixels],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("regard.export.onnx_export.trace", None)  # it comes to no trace
    if not isinstance(network, SameWords):
        seeded(network)
    with pytest.raises(kind, match=reason):
        export_onnx(network.eval(), meant, tmp_path / "out", images=images if meant.pixels else [])
    assert not (tmp_path / "out").exists()


def test_a_session_cannot_be_explained(images: list[Pixels], tmp_path: Path) -> None:
    network, meant = toys()["session"]
    with pytest.raises(ExportError, match="toy carries a state, and cannot be explained"):
        export_onnx(network, meant, tmp_path / "out", images=images, explain="weights")


def test_texts_of_other_inputs_are_refused(tmp_path: Path) -> None:
    network, meant = toys()["story"]
    with pytest.raises(InvalidInput, match="toy takes story, question; text 1 of the proof has tokens"):
        export_onnx(network, meant, tmp_path / "out", texts=[{"tokens": "a red ball"}])
