"""Verifying a model with state where a session is forgotten between two of its steps: the pace of the machine
is not the fault of the model, and all else is.
"""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.serving.triton.tiny_families import summing

from regard.contract.goldens import read_goldens
from regard.serving.protocol.wire import Fault, Request
from regard.serving.verify.goldens import Verification, verify

IDLE = 0.05  # seconds
AT = 3  # the step before which the session is forgotten
FORGOTTEN = Fault("INVALID_ARGUMENT", "the first request of the sequence must specify the START flag")


def verified(folder: Path, *, idle: float, refusal: Fault, at: int = AT) -> Verification:
    """By a server that answers `refusal` from step `at`, each step after a rest of more than IDLE."""
    artifact = summing(folder, idle=idle)
    goldens = read_goldens(folder / "goldens")
    answers = iter(goldens[:at])

    def infer(request: Request, *, timeout: float) -> Any:
        time.sleep(1.2 * IDLE)
        golden = next(answers, None)
        if golden is None:
            raise refusal
        return SimpleNamespace(arrays={"label_map": golden.answer[None]})

    def index(*, timeout: float) -> list[dict[str, str]]:
        return [{"name": "summing", "state": "READY"}]

    connection: Any = SimpleNamespace(address="nowhere", infer=infer, index=index)
    return verify(connection, "summing", artifact.card, goldens, endpoints=["tensor"])


def test_steps_that_come_later_than_a_session_may_rest(tmp_path: Path) -> None:
    done = verified(tmp_path / "made", idle=IDLE, refusal=FORGOTTEN)
    assert done.passed
    assert len(done.checks) == AT


@pytest.mark.parametrize(
    ("idle", "refusal", "at"),
    [
        pytest.param(60, FORGOTTEN, AT, id="forgotten too soon"),
        pytest.param(IDLE, Fault("INTERNAL", "it is broken"), AT, id="another reason"),
        pytest.param(IDLE, FORGOTTEN, 0, id="the first step"),
    ],
)
def test_what_is_the_models_fault(tmp_path: Path, idle: float, refusal: Fault, at: int) -> None:
    done = verified(tmp_path / "made", idle=idle, refusal=refusal, at=at)
    assert not done.passed
    assert len(done.checks) > at
