"""Comparing models: who answers when, what differs, which to take, and what cannot be compared."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.serving.conftest import Exported, Served
from tests.serving.evaluate.test_data import CLASSES, PIXELS, SEVERAL, card
from typer.testing import CliRunner

from regard.contract.answers import Classes
from regard.contract.results import Segmentation
from regard.errors import InvalidInput
from regard.serving.cli.app import app
from regard.serving.cli.compare_table import table
from regard.serving.evaluate.agreement import agreement
from regard.serving.evaluate.compare import check_comparable, compare, in_turn
from regard.serving.evaluate.comparison import Compared, Comparison
from regard.serving.evaluate.data import Data, find_data
from regard.serving.evaluate.layouts import LabelledImage
from regard.serving.evaluate.memory import memory_of
from regard.serving.evaluate.metrics.metrics import Figures, Judged
from regard.serving.evaluate.sheet import draw_differing, where_they_differ
from regard.serving.evaluate.subject import Subject, artifact

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


def invoke(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["compare", *map(str, arguments)], catch_exceptions=False)


def brightness(name: str, bias: int = 0, asked: list[Any] | None = None) -> Subject:
    """Says of a grey image the label of its pixels' value, moved by `bias`."""

    def answers(images: Iterator[Any]) -> Iterator[Any]:
        for image in images:
            if asked is not None:
                asked.append((name, int(image[0, 0])))
            row = np.full(3, 0.1, np.float32)
            row[(image[0, 0] + bias) % 3] = 0.8
            yield CLASSES.answer.result(row, top_k=3)

    return Subject(name, "by hand", CLASSES, answers)


def grey(count: int) -> Data:
    """Images of the values 0, 1, 2 and so on, whose labels these are modulo 3."""
    images = [
        LabelledImage(str(value), np.full((4, 4), value, np.uint8), (value % 3,)) for value in range(count)
    ]
    return Data(Path("grey"), images, count)


def test_each_image_is_answered_by_all_before_the_next_and_who_begins_turns() -> None:
    asked: list[Any] = []
    advanced = []
    subjects = [brightness(name, asked=asked) for name in "abc"]
    compare(subjects, grey(4), advance=lambda: advanced.append(len(asked)))
    warm, timed = asked[:3], asked[3:]
    assert warm == [(name, 0) for name in "abc"]  # once, not timed
    orders = ["abc", "bca", "cab", "abc"]
    assert timed == [(name, value) for value, order in enumerate(orders) for name in order]
    assert advanced == [6, 9, 12, 15]
    assert [in_turn(2, turn) for turn in range(3)] == [[0, 1], [1, 0], [0, 1]]


def test_equal_models_differ_by_nothing() -> None:
    found = compare([brightness("a"), brightness("b")], grey(5))
    assert vars(found.difference(1)) == {"value": 0, "low": 0, "high": 0}
    assert [model.agreement for model in found.models] == [1, 1]
    assert [len(model.seconds) for model in found.models] == [5, 5]
    assert found.most_differing(9) == found.undecided == []


def test_a_worse_model_is_worse_in_every_draw(tmp_path: Path) -> None:
    found = compare([brightness("wrong", 1), brightness("right"), brightness("wrong too", 2)], grey(6))
    assert vars(found.difference(1)) == {"value": 1, "low": 1, "high": 1}
    assert found.choice == found.best == 1
    assert [model.agreement for model in found.models] == [1, 0, 0]
    facts = json.loads(found.to_json())
    assert facts["take"] == "right"
    assert facts["models"][0]["difference_to_best"] == {"value": -1, "low": -1, "high": -1}
    assert len(found.most_differing(4)) == 4
    with Image.open(str(draw_differing(found, tmp_path))) as picture:
        assert np.asarray(picture.convert("RGB")).std() > 5


def test_labels_that_apply_together(tmp_path: Path) -> None:
    """Mean average precision, and the decisions that differ."""

    def dark(threshold: int) -> Subject:
        def answers(images: Iterator[Any]) -> Iterator[Any]:
            for image in images:
                value = image[0, 0] / 10
                applies = image[0, 0] >= threshold
                row = np.array([0.5 + value / 2 if applies else value / 2, 0.1, 0.9], np.float32)
                yield SEVERAL.answer.result(row, top_k=3)

        return Subject(f"from {threshold}", "by hand", SEVERAL, answers)

    images = [
        LabelledImage(str(value), np.full((4, 4), value, np.uint8), (0, 2) if value >= 5 else (2,))
        for value in range(10)
    ]
    found = compare([dark(5), dark(7)], Data(Path("grey"), images, 10))
    assert found.metric == "mean_average_precision"
    assert vars(found.difference(1)) == {"value": 0, "low": 0, "high": 0}  # the order is the same
    assert found.models[1].agreement == pytest.approx(1 - 2 / 30)
    assert found.most_differing(9) == [5, 6]
    assert draw_differing(found, tmp_path)


def test_what_has_no_figure_has_no_difference(tmp_path: Path) -> None:
    """Every pixel is left out."""
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((4, 6), 2, np.uint8)).save(tmp_path / name / "0.png")

    def road(images: Iterator[Any]) -> Iterator[Any]:
        yield from (PIXELS.answer.result(np.zeros((4, 6), np.uint8)) for _ in images)

    subjects = [Subject(name, "by hand", PIXELS, road) for name in "ab"]
    found = compare(subjects, find_data(tmp_path, PIXELS))
    facts = json.loads(found.to_json())
    assert facts["models"][1]["difference"] == {"value": None, "low": None, "high": None}
    assert [str(cell) for cell in table(found).rows[1]][2:4] == ["-", "-"]


def compared(right: list[bool], seconds: float) -> Compared:
    each = [Judged(str(index), 0, {"right": one}) for index, one in enumerate(right)]
    figures = Figures({"top1": sum(right) / len(right)}, [], None)
    subject = Subject(f"{seconds}", "by hand", CLASSES, iter)
    return Compared(subject, figures, each, [1.0] * len(right), [seconds] * len(right))


def test_the_choice_is_the_fastest_that_is_good_enough() -> None:
    """A doubt is not in favour of the fast one: its interval must stay within half a point."""
    best = [True] * 900 + [False] * 100
    one_less = [False, *best[1:]]  # a tenth of a point
    ten_less = [False] * 6 + best[6:]
    many_less = [False] * 60 + best[60:]
    slow, near, unsure, bad = (
        compared(right, seconds)
        for right, seconds in ((best, 4), (one_less, 3), (ten_less, 2), (many_less, 1))
    )
    data = Data(Path("any"), [LabelledImage("", Path("any"), (0,))] * 1000, 1000)
    found = Comparison(data, [unsure, bad, near, slow])
    assert (found.best, found.choice, found.undecided) == (3, 2, [0])
    assert Comparison(data, [bad, slow]).undecided == []
    assert Comparison(data, [compared(ten_less, 9), slow]).undecided == []  # it would not be taken
    assert Comparison(data, [slow, compared(best, 1)]).choice == 1


def test_agreement_counts_decisions() -> None:
    def several(*labels: str) -> Any:
        row = np.array([0.9 if label in labels else 0.1 for label in SEVERAL.answer.labels], np.float32)
        return SEVERAL.answer.result(row, top_k=3)

    assert agreement(SEVERAL, several("cat", "dog"), several("dog", "cat")) == 1
    assert agreement(SEVERAL, several("cat", "dog"), several("cat")) == pytest.approx(2 / 3)
    assert agreement(SEVERAL, several(), several()) == 1

    def pixels(*values: int) -> Segmentation:
        return Segmentation(np.array([values], np.uint8), ("road", "sky"), ((0, 0, 0), (1, 1, 1)))

    assert agreement(PIXELS, pixels(0, 1, 1, 0), pixels(0, 0, 1, 0)) == 0.75
    assert agreement(PIXELS, pixels(255, 255, 1, 0), pixels(255, 0, 1, 1)) == pytest.approx(1 / 3)  # cut off
    assert agreement(PIXELS, pixels(255), pixels(255)) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (PIXELS.answer, "b cannot be compared with a: it is a model of segmentation, the other of classif"),
        (SEVERAL.answer, "its labels apply together, the other's exclude each other"),
        (Classes(labels=("cat", "dog")), "it has 2 labels, the other 3"),
        (Classes(labels=("cat", "T-shirt/top", "dog")), "its label 1 is 'T-shirt/top', the other's 'dog'"),
    ],
)
def test_what_cannot_be_compared(answer: Any, message: str) -> None:
    other = Subject("b", "by hand", card(answer), iter)
    with pytest.raises(InvalidInput, match=message):
        check_comparable([brightness("a"), brightness("c"), other])


def test_one_model_cannot_be_compared() -> None:
    with pytest.raises(InvalidInput, match="two models or more can be compared, got 1"):
        compare([brightness("a")], grey(2))


@pytest.mark.parametrize("task", ["classes", "maps"])
def test_an_artifact_and_its_served_form_agree_wholly(
    task: str, served: Served, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """On the command line, a version among them; there is nothing to draw."""
    exported: Exported = request.getfixturevalue({"classes": "classifier", "maps": "segmenter"}[task])
    path: Path = request.getfixturevalue(task)
    name = exported.card.name
    arguments = (exported.artifact.folder, name, f"{name}@1", "--data", path, "--url", served.grpc_url)
    done = invoke(*arguments, "--json", "--out", tmp_path / "out")
    facts = json.loads(done.stdout)
    assert [model["run_by"] for model in facts["models"]] == ["in this process", "served", "served"]
    assert [model["agreement"] for model in facts["models"]] == [1, 1, 1]
    assert [model["difference"]["value"] for model in facts["models"]] == pytest.approx([0, 0, 0], abs=1e-9)
    size = exported.artifact.model.stat().st_size
    assert [model["graph_bytes"] for model in facts["models"]] == [size, None, None]
    assert [model["memory_bytes"] is None for model in facts["models"]] == [False, True, True]
    assert "no picture: all answers are alike" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("other", ["./other", "resnet18@random", "somebodys:network", "resnet18@a/b.pt"])
def test_options_of_a_server_that_nobody_needs(other: str, classes: Path) -> None:
    done = invoke("./one", other, "--data", classes, "--timeout", "3")
    assert done.exit_code == 2
    assert "it is for a server" in done.stderr


def test_a_version_that_is_not_served(served: Served, classes: Path) -> None:
    name = served.classifier
    with pytest.raises(InvalidInput, match="has no version 7 .* Served: 1"):
        invoke(name, f"{name}@7", "--data", classes, "--url", served.grpc_url)


def test_the_command_prints_a_table(segmenter: Exported, maps: Path, tmp_path: Path) -> None:
    folder, record = segmenter.artifact.folder, tmp_path / "record.json"
    done = invoke(folder, folder, "--data", maps, "--limit", "4", "--record", record)
    assert done.exit_code == 0
    for shown in (
        "a sample of 4 of 7 images (seed 0), each answered by all in turn",
        "mean IoU",
        "+0.0000 [+0.0000, +0.0000]",
        "100.00% (least 100.00%)",
        f"take {folder}: the fastest of those",
    ):
        assert shown in done.output
    facts = json.loads(record.read_text())
    assert [len(model["each"]) for model in facts["models"]] == [4, 4]


def test_a_network_of_other_labels_is_named(classifier: Exported, classes: Path) -> None:
    with pytest.raises(
        InvalidInput, match=r"resnet18\?classes=3@random cannot .*: it has 3 labels, the other 10"
    ):
        invoke(classifier.artifact.folder, "resnet18?classes=3@random", "--data", classes)


def test_a_sheet_of_label_maps(segmenter: Exported, maps: Path, tmp_path: Path) -> None:
    data = find_data(maps, segmenter.card)
    answer = segmenter.card.answer

    def all_of(number: int) -> Subject:
        def answers(images: Iterator[Any]) -> Iterator[Any]:
            for path in images:
                with Image.open(path) as file:
                    yield answer.result(np.full((file.height, file.width), number, np.uint8))

        return Subject(str(number), "by hand", segmenter.card, answers)

    found = compare([all_of(0), all_of(1)], data)
    assert found.models[1].agreement == 0
    with Image.open(str(draw_differing(found, tmp_path / "deep"))) as picture:
        assert np.asarray(picture.convert("RGB")).std() > 5


def test_a_sheet_shows_colours_where_not_all_are_alike() -> None:
    red, blue = (255, 0, 0), (0, 0, 255)
    maps = ([0, 1, 1], [0, 1, 0], [0, 0, 1])
    answers = [Segmentation(np.array([each], np.uint8), ("a", "b"), (red, blue)) for each in maps]
    drawn = [*where_they_differ(np.full((1, 3, 3), 100, np.uint8), answers)]
    dark = (50, 50, 50)
    shown = [[tuple(pixel) for pixel in picture[0].tolist()] for picture in drawn]
    assert shown == [[dark, blue, blue], [dark, blue, red], [dark, red, blue]]


def test_memory_is_that_of_the_model_alone(classifier: Exported, classes: Path) -> None:
    """More than its file, and not this process with PyTorch in it."""
    data = find_data(classes, classifier.card)
    used = memory_of(artifact(classifier.artifact.folder), data)
    assert used is not None
    assert classifier.artifact.model.stat().st_size < used < 150e6


def test_throughput_under_load(classifier: Exported, classes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regard.serving.evaluate.throughput.WINDOW", 0.05)
    folder = classifier.artifact.folder
    done = invoke(folder, folder, "--data", classes, "--load", "2", "--json")
    for model in json.loads(done.stdout)["models"]:
        assert model["throughput"]["n"] == 5
        assert model["throughput"]["value"] > 0


@pytest.mark.skipif(
    not FASHION_MNIST.is_dir(), reason=f"no {FASHION_MNIST}: apt install dataset-fashion-mnist"
)
def test_two_trained_networks(tmp_path: Path) -> None:
    """They are both good, differ on a few images, and these are drawn."""
    models = ("se_resnet18@fashion_mnist", "simam_resnet18@fashion_mnist")
    done = invoke(*models, "--data", FASHION_MNIST, "--limit", "60", "--json", "--out", tmp_path)
    facts = json.loads(done.stdout)
    assert [model["model"] for model in facts["models"]] == [*models]
    assert min(model["metrics"]["top1"] for model in facts["models"]) > 0.8
    first, second = ([one["label"] for one in model["each"]] for model in facts["models"])
    alike = sum(one == other for one, other in zip(first, second, strict=True)) / 60
    assert 0.8 < alike < 1
    assert facts["models"][1]["agreement"] == pytest.approx(alike)
    assert (tmp_path / "differing.png").is_file()
