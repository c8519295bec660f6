"""The trainings themselves, shortened: what they write is a Card that its weights load with."""

import pytest
import torch

from regard.contract.reading import card_from_file
from regard.models.load import resolve
from regard.models.training.families import language
from regard.models.training.families.language import RNNSEARCH, WithoutAttention, train_dates, train_stories


@pytest.fixture(autouse=True)
def short(monkeypatch):
    for name, value in {"DATE_BATCHES": 2, "BATCH": 8, "STORIES": 64, "TESTED": 40}.items():
        monkeypatch.setattr(language, name, value)


def check(cards, out, metrics):
    for card in cards:
        assert card_from_file(out / f"{card.name}.json") == card
        assert card.origin.metrics.keys() == metrics
        assert all(0 <= value <= 1 for value in card.origin.metrics.values())
        _, loaded = resolve(card.origin.builder, weights=str(out / f"{card.name}.safetensors"))
        assert loaded.inputs == card.inputs


def test_dates(tmp_path):
    cards = train_dates(tmp_path, epochs=1)
    assert [card.name for card in cards] == ["rnnsearch_dates", "transformer_dates"]
    check(cards, tmp_path, {"exact_match", "exact_match_without_attention"})


def test_stories(tmp_path):
    (card,) = train_stories(tmp_path, epochs=1, linear_epochs=1)
    check([card], tmp_path, {"top1", "top1_one_hop"})


def test_the_baseline_sees_both_ends_alone():
    torch.manual_seed(0)
    network = WithoutAttention(**RNNSEARCH).eval()
    source = torch.tensor([[5, 6, 7, 8, 0], [9, 8, 0, 0, 0]])
    summary, *_ = network.encode(source)
    assert summary.shape == (2, 1, 128)
    h = super(WithoutAttention, network).encode(source)[0]
    for row, last in enumerate((3, 1)):
        assert torch.equal(summary[row, 0], torch.cat([h[row, last, :64], h[row, 0, 64:]]))
