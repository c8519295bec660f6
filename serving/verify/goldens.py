"""Sending goldens to a served model, and holding its answers against those of the export."""

import math
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np

from regard.contract.answers.kind import AnswerKind, Array
from regard.contract.card import Card
from regard.contract.goldens import Golden
from regard.contract.variant import Precision, Variant
from regard.errors import InvalidInput, RegardError
from regard.serving.machine.processors import processors
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.sessions import says_forgotten
from regard.serving.protocol.wire import Parameter
from regard.serving.verify.bounds import largest_error
from regard.serving.verify.endpoint_runner import EndpointRunner
from regard.serving.verify.endpoints import Endpoint, name_of, raw_inputs, streamed


@dataclass(frozen=True)
class Check:
    """One golden at one endpoint, against the graph's own answer and against the reference's.

    error, reference_error: largest absolute differences of probabilities; of label maps the fractions of
        pixels that differ. agreement, reference_agreement: fractions of equal decisions.
    fault: why there is no answer, or none that counts.
    """

    golden: str
    endpoint: Endpoint
    error: float = float("nan")
    agreement: float = float("nan")
    reference_error: float = float("nan")
    reference_agreement: float = float("nan")
    fault: str | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing is at fault."""
        return self.fault is None

    def to_json(self) -> dict[str, Any]:
        """In JSON's types; what is not a number is null."""
        nan = {key for key, value in asdict(self).items() if isinstance(value, float) and math.isnan(value)}
        return asdict(self) | dict.fromkeys(nan)


@dataclass(frozen=True)
class Verification:
    """The record of one verification.

    processor: architecture and features of the processor that asked; on loopback the server's as well.
    """

    model: str
    version: str
    address: str
    date: str
    processor: tuple[str, ...]
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every golden was answered as at the export."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def faults(self) -> str:
        """The first golden that failed and how many more did, in words; empty where none did."""
        failed = [check for check in self.checks if not check.passed]
        if not failed:
            return ""
        first, *others = failed
        more = f", and {len(others)} of {len(self.checks)} more" if others else ""
        return f"{first.golden} at the {first.endpoint} endpoint: {first.fault}{more}"

    def to_json(self) -> dict[str, Any]:
        """In JSON's types; what is not a number is null."""
        return asdict(self) | {"passed": self.passed, "checks": [check.to_json() for check in self.checks]}


def verify(
    connection: Connection,
    model: str,
    card: Card,
    goldens: Sequence[Golden],
    *,
    variant: Variant | None = None,
    version: str = "",
    endpoints: Sequence[Endpoint] = ("tensor", "image"),
) -> Verification:
    """Send every golden to the endpoints of a served model, one at a time; those of a model with state in a
    session.

    Args:
        connection: to its server.
        model: its name, without an endpoint's suffix.
        card: with the certificates of its export, which bound the distance from the reference.
        goldens: of its artifact.
        variant: what is served, where that is one. Where it was judged, and has no certificate, its distance
            from the reference was judged then.
        version: of the model; "" leaves the choice to the server.
        endpoints: those that are served.

    Raises:
        InvalidInput: there are no goldens, or neither a certificate nor a judgement.
    """
    if not goldens:
        raise InvalidInput(f"{model} has no goldens; export it again")
    if not card.certificates and (variant is None or variant.judgement is None):
        raise InvalidInput(
            f"{model} was never proven, so that no certificate bounds its answers; export it again"
        )
    checks: list[Check] = []
    precision = "float32" if variant is None else variant.precision
    for endpoint in endpoints:
        runner = EndpointRunner(connection, name_of(model, endpoint), card.answer.tensor, version=version)
        checks += _checks(runner, endpoint, card, goldens, precision)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    found = processors()
    processor = (found.architecture, *found.features)
    return Verification(model, version, str(connection.address), now, processor, tuple(checks))


def _checks(
    runner: EndpointRunner,
    endpoint: Endpoint,
    card: Card,
    goldens: Sequence[Golden],
    precision: Precision,
) -> Iterator[Check]:
    """Each golden at one endpoint; those of a model with state are the steps of a session of their own, up to
    one that came later than a session may rest.
    """
    if card.state is None:
        for golden in goldens:
            yield _check(runner, endpoint, golden, card, precision, {})
        return
    number = 1 + secrets.randbits(48)
    last = time.monotonic()
    for place, golden in enumerate(goldens):
        begins, ends = place == 0, place == len(goldens) - 1
        session = {"sequence_id": number, "sequence_start": begins, "sequence_end": ends}
        asked = time.monotonic()
        check = _check(runner, endpoint, golden, card, precision, session)
        rested = time.monotonic() - last
        if not begins and says_forgotten(check.fault or "") and rested > card.state.idle_seconds:
            return  # the machine is slow, or the session short: the model is not at fault
        yield check
        last = asked


def _check(
    runner: EndpointRunner,
    endpoint: Endpoint,
    golden: Golden,
    card: Card,
    precision: Precision,
    session: Mapping[str, Parameter],
) -> Check:
    inputs = golden.inputs(card) if endpoint == "tensor" else raw_inputs(golden, card)
    kind = card.answer
    try:
        if endpoint == "stream":
            answer = streamed(runner.stream(inputs), card)
        else:
            answer = runner.run(inputs, session)[kind.tensor]
    except RegardError as refusal:
        return Check(golden.name, endpoint, fault=str(refusal))
    wrong = kind.fault(answer)
    if wrong is not None or answer.shape[1:] != golden.answer.shape:
        return Check(
            golden.name,
            endpoint,
            fault=wrong or f"the answer has shape {answer.shape}, not that of the export",
        )
    error, agreement = distance(kind, golden.answer, answer[0])
    reference_error, reference_agreement = distance(kind, golden.reference, answer[0])
    certificate = card.certificates[0] if card.certificates else None
    fault = None
    if not error <= largest_error(kind, golden.answer, precision=precision):
        fault = f"departs from its own graph's answer: error {error:.3g}, agreement {agreement:.2%}"
    elif certificate is not None and not (
        # a label map's error is the fraction of its pixels that differ
        (kind.dtype != np.float32 or reference_error <= certificate.max_error)
        and reference_agreement >= certificate.min_agreement
    ):
        fault = (
            f"departs from {certificate.reference}: error {reference_error:.3g}, agreement "
            f"{reference_agreement:.2%}"
        )
    return Check(golden.name, endpoint, error, agreement, reference_error, reference_agreement, fault)


def distance(kind: AnswerKind, expected: Array, found: Array) -> tuple[float, float]:
    """Error and agreement of one image's answers."""
    agreement = kind.agreement(expected[None], found[None])
    if kind.dtype != np.float32:
        return 1 - agreement, agreement
    return float(np.abs(expected.astype(np.float64) - found).max()), agreement
