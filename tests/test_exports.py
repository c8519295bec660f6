"""What the tests share of exports: made once, and told apart by all that goes into them."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import torch
from tests import exports
from tests.export.conftest import TinyClassifier, seeded, tiny_card
from tests.exports import Exports, digest

from regard.models.catalog import CATALOG, build
from regard.models.samples import sample_images

CARD = tiny_card("classification")
IMAGES = sample_images(CARD)


def test_two_that_want_the_same_get_one_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    export_onnx = exports.export_onnx
    monkeypatch.setattr(exports, "export_onnx", lambda *a, **b: made.append(a[2]) or export_onnx(*a, **b))
    shared = Exports(tmp_path / "exports")
    with ThreadPoolExecutor(2) as threads:  # they hold the lock against each other as processes do
        first, second = threads.map(lambda _: shared.of(seeded(TinyClassifier()), CARD, IMAGES), range(2))
    assert first == second
    assert made == [first.folder]


def test_a_digest_is_of_the_content() -> None:
    assert digest(seeded(TinyClassifier()), CARD, IMAGES, None) == digest(
        seeded(TinyClassifier()), CARD, [image.copy() for image in IMAGES], None
    )


@pytest.mark.parametrize("what", ["weight", "attribute", "card", "image", "fewer images", "explain"])
def test_whatever_goes_in_changes_the_digest(what: str) -> None:
    network, card, images, explain = seeded(TinyClassifier()), CARD, [image.copy() for image in IMAGES], None
    before = digest(network, card, images, explain)
    match what:
        case "weight":
            with torch.no_grad():
                network.fc.bias[0] += 1e-6
        case "attribute":
            network.conv.padding_mode = "reflect"
        case "card":
            card = card.updated(name="renamed")
        case "image":
            images[0][0, 0, 0] ^= 1
        case "fewer images":
            images.pop()
        case "explain":
            explain = "cam"
    assert digest(network, card, images, explain) != before


def test_functions_are_told_apart_by_where_they_are_written_and_what_they_caught() -> None:
    def adding(number: int) -> torch.nn.Module:
        network = torch.nn.Module()
        network.function = lambda x: x + number
        network.partial = partial(torch.add, other=number)
        return network

    name = partial(digest, card=CARD, images=IMAGES, explain=None)
    assert name(adding(1)) == name(adding(1)) != name(adding(2))
    other = adding(1)
    other.function = lambda x: x + 2
    assert name(other) != name(adding(1))


def test_every_kind_of_network_has_a_digest() -> None:
    """Those of pairwise attention hold functions without a name."""
    one, other = (build("san10_pairwise", **CATALOG["san10_pairwise"].small) for _ in range(2))
    assert digest(one, CARD, IMAGES, None) != digest(other, CARD, IMAGES, None)
