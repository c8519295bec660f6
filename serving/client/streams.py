"""Answers word by word: what a stream is asked, and what becomes of each part of its answer; nothing waits
here.
"""

from collections.abc import Sequence

from regard.contract.answers import Sequence as Words
from regard.contract.names import LOG_PROBABILITY, STREAM_ENDPOINT, TEXT, TOKEN
from regard.contract.results import Token
from regard.errors import InvalidInput, RegardError, StreamBroken
from regard.serving.client.batches import batches
from regard.serving.client.core import Core
from regard.serving.client.questions import Given
from regard.serving.client.steps import Steps
from regard.serving.client.tasks import METHODS
from regard.serving.protocol.deadline import Deadline
from regard.serving.protocol.wire import Answer, Fault, Request

WANTED = (TOKEN, TEXT, LOG_PROBABILITY)


def stream_request(core: Core, model: str, version: str, given: Given, deadline: Deadline) -> Steps[Request]:
    """What asks for one answer in parts.

    Raises:
        InvalidInput: the model does not answer in words, or this is not one question, or a bad one.
    """
    card = yield from core.card(model, version, deadline)
    if not isinstance(card.answer, Words):
        raise InvalidInput(f"{model!r} answers at once, not word by word: call {METHODS[card.task]}()")
    questions = [*given.questions(card)]
    if len(questions) != 1:
        raise InvalidInput(f"a stream answers one question, got {len(questions)}: open one for each")
    (batch,) = batches(questions, card, decode=False, files=True)
    if batch.refused:
        raise batch.refused
    return Request(model + STREAM_ENDPOINT, version, batch.raw(), WANTED)


def token_of(answer: Answer) -> Token:
    """The word in a part of an answer."""
    text, number, score = (answer.arrays[name].ravel()[0] for name in (TEXT, TOKEN, LOG_PROBABILITY))
    return Token(text.decode(), int(number), float(score))


def broken(
    core: Core, fault: Fault, request: Request, received: Sequence[Token], deadline: Deadline
) -> Steps[RegardError]:
    """What to tell the user of a stream that failed: a plain error where nothing had come."""
    model = request.model.removesuffix(STREAM_ENDPOINT)
    cause = yield from core.explained(fault, model, request.model, request.version, deadline)
    if not received:
        return cause
    words = "1 word" if len(received) == 1 else f"{len(received)} words"
    return StreamBroken(
        f"the answer of {model!r} broke off after {words} ({cause}); ask again for all of it",
        tuple(received),
    )
