"""The pictures of an evaluation, whatever labels and files are called."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from regard.contract.answers import Classes
from regard.contract.card import Card, Origin
from regard.contract.image_input import ImageInput
from regard.serving.evaluate.data import find_data
from regard.serving.evaluate.evaluation import Evaluation
from regard.serving.evaluate.metrics.metrics import Confusion
from regard.serving.evaluate.pictures import confusion_figure, draw
from regard.serving.evaluate.run import evaluate
from regard.serving.evaluate.subject import Subject
from regard.serving.evaluate.worst import Worst

LABELS = ("猫", "$dog_", "a" * 90)


def judged(activation: Any, folder: Path) -> tuple[Evaluation, Worst]:
    """Five images, each answered worse than the one before."""
    answer = Classes(labels=LABELS, activation=activation)
    card = Card(
        name="named",
        inputs=(ImageInput(height=8, width=8, resize="stretch"),),
        answer=answer,
        origin=Origin(builder="tests:none"),
    )
    lines = ["file,label"]
    for index in range(5):
        Image.fromarray(np.full((8, 8, 3), 50 * index, np.uint8)).save(folder / f"$x_{index}.png")
        lines.append(f"$x_{index}.png,{LABELS[0]}")
    (folder / "list.csv").write_text("\n".join(lines), encoding="utf-8")

    def answers(images: Iterator[Any]) -> Iterator[Any]:
        for index, _ in enumerate(images):
            rest = 0.1 + 0.2 * index
            yield answer.result(np.array([1 - rest, rest, 0], np.float32), top_k=3)

    worst = Worst(2)
    data = find_data(folder / "list.csv", card)
    return evaluate(Subject("named", "by hand", card, answers), data, watch=worst.watch), worst


@pytest.mark.parametrize(
    ("activation", "names"), [("softmax", ["confusion.png", "worst.png"]), ("sigmoid", ["worst.png"])]
)
def test_pictures_of_labels_in_any_script(activation: str, names: list[str], tmp_path: Path) -> None:
    evaluation, worst = judged(activation, tmp_path)
    paths = draw(evaluation, worst.kept(), tmp_path / "deep" / "out")
    assert paths == [tmp_path / "deep" / "out" / name for name in names]
    for path in paths:
        with Image.open(path) as picture:
            picture.load()


def test_a_cell_is_the_fraction_of_its_row() -> None:
    counts = np.array([[3, 1], [0, 0]])
    (axes,) = confusion_figure(Confusion(("a", "b"), ("a", "b"), counts), "title").axes
    assert [text.get_text() for text in axes.texts] == ["0.75", "0.25"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a", "b"]


def test_many_labels_have_no_numbers() -> None:
    labels = tuple(map(str, range(60)))
    (axes,) = confusion_figure(Confusion(labels, labels, np.eye(60, dtype=np.int64)), "title").axes
    assert not axes.texts
