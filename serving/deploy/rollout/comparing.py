"""The comparison of a rollout: what is sent, and the verdict."""

from pathlib import Path
from typing import Any

import numpy as np

from regard.contract.card import Card
from regard.contract.goldens import read_goldens
from regard.contract.names import CARD_FILE, ENCODED_IMAGE, GOLDENS, IMAGE
from regard.contract.reading import card_from_file
from regard.serving.bench.images import pixels_of, read_images, sample_images
from regard.serving.deploy.rollout.compare import Comparison, compare
from regard.serving.deploy.rollout.judge import faults, hopeless
from regard.serving.deploy.rollout.objectives import Objectives
from regard.serving.deploy.rollout.settings import Refused, Settings, Teller
from regard.serving.deploy.rollout.snapshots import Snapshot
from regard.serving.deploy.rollout.trial import Trial
from regard.serving.protocol.wire import Array, Request
from regard.serving.repository.layout import raw_endpoint
from regard.serving.verify.endpoints import endpoint_of, raw_inputs

OTHER_WEIGHTS = 0.5  # the least agreement where nothing was promised and nothing is asked for


def compare_colours(trial: Trial, settings: Settings, tell: Teller) -> dict[str, Any]:
    """Compare the version of a trial with the one that serves; the figures.

    Raises:
        Refused: an objective does not hold.
        InvalidInput: an image cannot be read.
    """
    snapshot, gateway, objectives = trial.snapshot, trial.gateway, settings.objectives
    card = card_from_file(snapshot.added.folder / CARD_FILE)
    raw = raw_endpoint(snapshot.added.name, card)
    endpoint = raw if raw in snapshot.added.endpoints else snapshot.added.name
    least, why = _least_agreement(snapshot, objectives)
    first = gateway.status(trial.colour)

    def look() -> tuple[int, int]:
        now = trial.check_alive(first)
        return now.requests.get(endpoint, 0), now.memory_bytes

    found = compare(
        None if snapshot.before is None else gateway.connection(trial.main),
        gateway.connection(trial.colour),
        _requests(endpoint, card, snapshot.added.folder, settings.images),
        card.answer,
        seconds=objectives.seconds,
        least=objectives.requests,
        clients=settings.clients,
        look=look,
        enough=lambda so_far: hopeless(so_far, objectives),
        progress=lambda fraction: tell.progress("comparing under load", fraction),
    )
    tell.step(_in_words(found, objectives, f"at least {least:.2%}, {why}"))
    if against := faults(found, objectives, agreement=None if snapshot.before is None else least):
        raise Refused("; ".join(against))
    return _figures(found, objectives, least)


def _least_agreement(snapshot: Snapshot, objectives: Objectives) -> tuple[float, str]:
    """What the two versions must agree in, and why. A network that was trained anew answers otherwise; but
    where it hardly ever says the same, its labels or its preprocessing may be others, until its user says
    that this is meant.
    """
    if objectives.agreement is not None:
        return objectives.agreement, "as asked for"
    if snapshot.promised is not None:
        return snapshot.promised, "by the proofs of the same weights"
    return OTHER_WEIGHTS, "as for other weights"


def _requests(endpoint: str, card: Card, version: Path, folder: Path | None) -> list[Request]:
    """The goldens of the new version, and where it takes single images, others; each is sent as it is."""
    goldens = read_goldens(version / GOLDENS)
    if endpoint_of(endpoint) == "tensor":
        asked = [golden.inputs(card) for golden in goldens]
    else:
        asked = [raw_inputs(golden, card) for golden in goldens]
    if [each.kind for each in card.inputs] == ["image"]:
        images = sample_images(card) if folder is None else read_images(folder)
        asked += [_image(endpoint, image, card) for image in images]
    return [Request(endpoint, "", inputs, (card.answer.tensor,)) for inputs in asked]


def _image(endpoint: str, image: bytes, card: Card) -> dict[str, Array]:
    if endpoint_of(endpoint) == "tensor":
        return {IMAGE: pixels_of(image, card)[None]}
    return {ENCODED_IMAGE: np.array([[image]], dtype=np.object_)}


def _in_words(found: Comparison, objectives: Objectives, bound: str) -> str:
    percent = objectives.percent if objectives.latency is None else objectives.latency.percent
    old, new = found.latency(percent)
    words = [f"compared by {found.requests} requests in {found.seconds:.0f} s", f"{len(found.errors)} failed"]
    words.append(f"p{percent:g} {new:.3g} ms" + (f" beside {old:.3g} ms" if found.old else ""))
    if found.agreement is not None:
        words.append(f"agreement {found.agreement:.2%} ({bound})")
    growth = found.growth
    words.append("memory not judged" if growth is None else f"memory {growth / 1e6:+.2f} MB in 1000 requests")
    return ", ".join(words)


def _figures(found: Comparison, objectives: Objectives, least: float) -> dict[str, Any]:
    percent = objectives.percent if objectives.latency is None else objectives.latency.percent
    old, new = found.latency(percent)
    return {
        "seconds": round(found.seconds, 1),
        "requests": found.requests,
        "errors": len(found.errors),
        f"p{percent:g}_ms": round(new, 3),
        f"old_p{percent:g}_ms": round(old, 3) if found.old else None,
        "agreement": found.agreement,
        "least_agreement": least,
        "memory_bytes_per_1000_requests": None if found.growth is None else round(found.growth),
    }
