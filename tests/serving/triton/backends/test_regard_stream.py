"""A stream of words whose listener goes, and words that are no answer: the backend in this process."""

import sys
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

VOCABULARY = ["<pad>", "<end>", "a", "b"]


class Sender:
    """Who listens, until he has heard `patience` words."""

    def __init__(self, patience: int = 99) -> None:
        self.patience = patience
        self.sent: list[Any] = []
        self.final = 0

    def is_cancelled(self) -> bool:
        return len(self.sent) >= self.patience

    def send(self, response: Any = None, flags: int = 0) -> None:
        assert not self.final, "nothing may follow the last"
        self.final = flags
        if response is not None:
            self.sent.append(response)


@pytest.fixture
def model(in_stub: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """An instance that answers what a test puts into `said`: words, each with its log-probability."""
    server = sys.modules["triton_python_backend_utils"]
    monkeypatch.setattr(server, "TRITONSERVER_RESPONSE_COMPLETE_FINAL", 1, raising=False)
    beside = ModuleType("raw_inputs")
    beside.__dict__.update(RawInputs=None, card_of_version=None)
    monkeypatch.setitem(sys.modules, beside.__name__, beside)
    module = in_stub("regard_stream.model")
    made = module.TritonPythonModel()
    made.config = {"name": "m", "output": [{"name": name} for name in ("token", "text", "log_probability")]}
    made.said = [(2, -1.0), (3, -2.0), (1, 0.0)]
    made.checked = lambda inputs: None
    made.raw = SimpleNamespace(of=lambda request: {})
    answer = {"vocabulary": VOCABULARY, "joiner": " ", "end": "<end>"}
    made.speech = in_stub("spoken_graph").Speech(answer)

    def words(inputs: Any) -> Iterator[Any]:
        return (module.Word(*word) for word in made.said)

    made.words = SimpleNamespace(of=words)
    yield made
    sys.modules.pop(module.__name__)


def told(model: Any, sender: Sender) -> list[Any]:
    request = SimpleNamespace(
        get_response_sender=lambda: sender,
        is_cancelled=lambda: False,
        requested_output_names=lambda: ["text", "token"],
    )
    model.execute([request])
    assert sender.final == 1
    return sender.sent


def test_words_up_to_the_end(model: Any) -> None:
    first, second = told(model, Sender())
    assert (first["text"].item(), first["token"].item()) == (b"a", 2)
    assert (second["text"].item(), second["token"].item()) == (b" b", 3)
    assert first["token"].dtype == np.int64


def test_no_more_words_when_nobody_listens(model: Any) -> None:
    assert len(told(model, Sender(patience=1))) == 1


def test_an_error_is_the_last_that_is_sent(model: Any) -> None:
    model.said[1] = (3, float("nan"))
    first, error = told(model, Sender())
    assert first["token"].item() == 2
    assert "word 1 has log-probability nan" in error.message
