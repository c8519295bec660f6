"""What writes words word by word numbers padding and end as the search knows them."""

import pytest

from regard.contract.answers.sequence import Sequence
from regard.contract.reading import card_from_file
from regard.models.decoding.generated import END, PADDING
from regard.models.decoding.stepwise import Stepwise
from regard.models.families import ENTRIES
from regard.models.load.catalog_network import build_seeded, default_card
from regard.models.weights_index import shipped


def check(card):
    assert card.answer.vocabulary[PADDING] == card.answer.padding
    assert card.answer.vocabulary[END] == card.answer.end


@pytest.mark.parametrize(
    "name", [name for name, entry in ENTRIES.items() if entry.task in ("translation", "captioning")]
)
def test_interfaces(name):
    network = build_seeded(name, ENTRIES[name].small)
    if not isinstance(network, Stepwise):
        pytest.skip("is not searched")
    card = default_card(name, network, ENTRIES[name].small)
    check(card)
    assert len(card.answer.vocabulary) == network.words
    assert card.answer.longest == network.longest


@pytest.mark.parametrize("path", shipped().values(), ids=lambda path: path.stem)
def test_trained_weights(path):
    card = card_from_file(path)
    if not isinstance(card.answer, Sequence):
        pytest.skip("answers other than in words")
    check(card)
