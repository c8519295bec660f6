"""The training of the networks that answer about images, on data drawn here, and what was shipped of it."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw
from tests.docs.blocks import ROOT

from regard.contract.card import Card
from regard.contract.image_files import images_in
from regard.contract.reading import card_from_file
from regard.models.decoding.generated import Generated
from regard.models.load import resolve
from regard.models.samples import folder, sample_images
from regard.models.training.families import vqa
from regard.models.training.families.easy_vqa import SPLITS, prepared
from regard.models.weights_index import shipped

SHIPPED = [name for name in shipped() if name.endswith("easy_vqa")]
ANSWERING = [name for name in SHIPPED if name.startswith(("han", "adahan"))]
CAPTIONING = [name for name in SHIPPED if name not in ANSWERING]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twelve squares and circles of two colours for each split."""
    for split in SPLITS:
        images = tmp_path / "easy-vqa" / split / "images"
        images.mkdir(parents=True)
        questions = []
        for number in range(12):
            color, shape = ("red", "blue")[number % 2], ("circle", "rectangle")[number // 2 % 2]
            image = Image.new("RGB", (64, 64), "white")
            drawn = ImageDraw.Draw(image)
            getattr(drawn, {"circle": "ellipse"}.get(shape, shape))((20, 20, 40, 40), fill=color)
            image.save(images / f"{number}.png")
            questions += [
                ("what color is the shape?", color, number),
                (f"is there a {shape}?", "yes", number),
            ]
        (images.parent / "questions.json").write_text(json.dumps(questions))
    return tmp_path


def test_every_network_is_trained_and_described(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vqa, "IMAGES", 2)
    monkeypatch.setattr(vqa, "QUESTIONS", 8)
    monkeypatch.setattr(vqa, "ANSWER_EPOCHS", {"han": 1, "adahan": 1})
    monkeypatch.setattr(vqa, "CAPTION_EPOCHS", dict.fromkeys(vqa.CAPTIONING, 1))
    names = [*vqa.ANSWERING, *vqa.CAPTIONING]
    cards = list(vqa.train(names, data, tmp_path / "out", seed=0))
    assert [card.name for card in cards] == [f"{name}_easy_vqa" for name in names]
    for card in cards:
        baselines = {
            "question_answering": {"top1", "cells_kept", "top1_question_only"},
            "captioning": {"exact_match", "exact_match_most_frequent", "exact_match_without_attention"},
        }
        assert card.origin.metrics.keys() == baselines[card.task]
        path = tmp_path / "out" / f"{card.name}.safetensors"
        _, loaded = resolve(card.origin.builder, weights=str(path))
        assert loaded == card


def test_the_baseline_without_attention_looks_at_everything_alike() -> None:
    network = vqa.WithoutAttention(**vqa.CAPTIONING["show_attend_tell_soft"])
    memory = network.encode(torch.randn(2, 3, 64, 128))
    _, weights = network.look(memory, torch.randn(2, vqa.HIDDEN))
    assert torch.allclose(weights, torch.full((2, 128), 1 / 128))


def loaded(name: str) -> tuple[torch.nn.Module, Card]:
    path = shipped()[name]
    return resolve(card_from_file(path).origin.builder, weights=str(path.with_suffix(".safetensors")))


def samples(card: Card) -> torch.Tensor:
    return prepared(torch.stack([torch.from_numpy(image) for image in sample_images(card)]))


@pytest.mark.parametrize("name", ANSWERING)
def test_sample_shapes_are_answered(name: str) -> None:
    network, card = loaded(name)
    meant = [path.stem.split("_") for path in images_in(folder("shape"))]
    for place, question in enumerate(("what color is the shape?", "what shape is in the image?")):
        words = torch.from_numpy(card.texts[0].tokenizer.batch([question] * len(meant)))
        with torch.inference_mode():
            answers = network(samples(card), words).argmax(dim=1)
        right = [card.answer.labels[i] == each[place] for i, each in zip(answers, meant, strict=True)]
        assert sum(right) >= 7
    metrics = card.origin.metrics
    assert metrics["top1"] > 0.9 > metrics["top1_question_only"]


@pytest.mark.parametrize("name", CAPTIONING)
def test_sample_pairs_are_described(name: str) -> None:
    network, card = loaded(name)
    with torch.inference_mode():
        said: Generated = network(samples(card))
    right = 0
    for path, tokens in zip(images_in(folder("shape_pair")), said.tokens, strict=True):
        first, second = sorted(each.replace("_", " ") for each in path.stem.split("_and_"))
        right += " ".join(card.answer.words(tokens.numpy())) == f"a {first} and a {second}"
    metrics = card.origin.metrics
    assert right >= (4 if metrics["exact_match"] > 0.95 else 2)
    assert metrics["exact_match"] > metrics["exact_match_most_frequent"]


def test_the_page_states_the_figures_of_the_cards() -> None:
    page = (ROOT / "docs" / "questions-and-captions.md").read_text(encoding="utf-8")
    rows = {row.split("`")[1]: row for row in page.splitlines() if row.startswith("| `")}
    assert rows.keys() == set(SHIPPED)
    for name, row in rows.items():
        metrics = card_from_file(shipped()[name]).origin.metrics
        cells = metrics.pop("cells_kept", None)
        assert all(f" {value:.3f} " in row for value in metrics.values()), name
        assert cells is None or f" {cells:.1f} " in row
