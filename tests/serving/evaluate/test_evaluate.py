"""Judging a model as an artifact, served, and by PyTorch: the same figures, and where they are written."""

import gzip
import json
import shutil
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.processes import run
from tests.serving.conftest import Exported, Served, photo
from tests.serving.evaluate.conftest import COUNT
from typer.testing import CliRunner

import regard
from regard.contract.results import Segmentation
from regard.errors import InvalidInput
from regard.export.variant import Variant, adding_variant
from regard.serving.cli.app import app
from regard.serving.evaluate.data import find_data
from regard.serving.evaluate.evaluation import Evaluation
from regard.serving.evaluate.layouts import LabelledImage
from regard.serving.evaluate.metrics.metrics import Judged
from regard.serving.evaluate.run import evaluate
from regard.serving.evaluate.subject import Subject, artifact, network
from regard.serving.evaluate.subject import served as served_subject
from regard.serving.evaluate.worst import Worst

WIDE = {"COLUMNS": "300"}  # no message is broken into lines


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[regard.Client]:
    with regard.Client(served.grpc_url) as client:
        yield client


def figures(evaluation: Evaluation) -> dict[str, Any]:
    """All but what the way of running changes."""
    facts = json.loads(evaluation.to_json())
    return {key: value for key, value in facts.items() if key not in ("model", "run_by", "images_per_second")}


@pytest.mark.parametrize("task", ["classes", "maps"])
def test_artifact_served_and_pytorch_agree(
    task: str, served: Served, client: regard.Client, request: pytest.FixtureRequest
) -> None:
    exported: Exported = request.getfixturevalue({"classes": "classifier", "maps": "segmenter"}[task])
    path: Path = request.getfixturevalue(task)
    data = find_data(path, exported.card)
    subjects = (
        artifact(exported.artifact.folder),
        served_subject(client, exported.card.name),
        network(exported.network, exported.card),
    )
    found = [figures(evaluate(subject, data)) for subject in subjects]
    assert found[0]["images"] == COUNT
    for other in found[1:]:
        assert other["metrics"] == pytest.approx(found[0]["metrics"], abs=1e-3)
        assert other["confusion"] is not None
        scores = [[one["score"] for one in each["each"]] for each in (other, found[0])]
        assert scores[0] == pytest.approx(scores[1], abs=2e-3)
    if task == "classes":
        assert found[0]["confusion"] == found[1]["confusion"] == found[2]["confusion"]


def test_images_that_are_no_files(client: regard.Client, classifier: Exported, tmp_path: Path) -> None:
    """MNIST's hold pixels, which go to a served model as a tensor."""
    images = np.stack([photo(seed)[..., 0] for seed in range(COUNT)])
    for name, values in {"images-idx3": images, "labels-idx1": np.arange(COUNT, dtype=np.uint8)}.items():
        header = b"\0\0\x08" + bytes([values.ndim]) + np.array(values.shape, ">u4").tobytes()
        (tmp_path / f"t10k-{name}-ubyte.gz").write_bytes(gzip.compress(header + values.tobytes()))
    data = find_data(tmp_path, classifier.card)
    here, there = (
        evaluate(subject, data)
        for subject in (artifact(classifier.artifact.folder), served_subject(client, classifier.card.name))
    )
    assert [judged.score for judged in here.each] == pytest.approx(
        [judged.score for judged in there.each], abs=1e-5
    )
    assert len(here.each) == COUNT


def test_the_command_judges_an_artifact(segmenter: Exported, maps: Path, tmp_path: Path) -> None:
    """Table, record and pictures."""
    record, folder = tmp_path / "record.json", tmp_path / "pictures"
    command = ["evaluate", str(segmenter.artifact.folder), "--data", str(maps), "--limit", "5"]
    written = ["--record", str(record), "--out", str(folder)]
    done = CliRunner().invoke(app, [*command, *written], catch_exceptions=False)
    assert done.exit_code == 0
    assert f"on {maps}: a sample of 5 of 7 images (seed 0)" in done.output
    facts = json.loads(record.read_text())
    assert f"{facts['metrics']['mean_iou']:.4f}" in done.output
    assert len(facts["each"]) == facts["images"] == 5
    for name in ("confusion.png", "worst.png"):
        with Image.open(folder / name) as picture:
            picture.load()
            assert np.asarray(picture.convert("RGB")).std() > 5  # it is not empty


def test_a_variant_is_judged_under_its_own_name(classifier: Exported, classes: Path, tmp_path: Path) -> None:
    folder = tmp_path / "artifact"
    shutil.copytree(classifier.artifact.folder, folder)
    with adding_variant(folder, "same") as draft:
        shutil.copy(folder / "model.onnx", draft / "model.onnx")
        proof = classifier.artifact.card.certificates
        variant = Variant(name="same", precision="float32", file="model.onnx", certificates=proof)
        (draft / "variant.json").write_text(variant.model_dump_json())
    data = find_data(classes, classifier.card)
    found = evaluate(artifact(folder / "variants" / "same"), data)
    assert figures(found) == figures(evaluate(artifact(folder), data))
    assert found.subject.way == f"{folder}/variants/same in this process"


def test_the_command_judges_a_served_model(served: Served, classes: Path, tmp_path: Path) -> None:
    arguments = ["evaluate", served.classifier, "--data", str(classes), "--url", served.grpc_url, "--json"]
    done = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path)], catch_exceptions=False)
    facts = json.loads(done.stdout)
    assert (facts["model"], facts["run_by"], facts["images"]) == (served.classifier, "served", COUNT)
    assert sum(map(sum, facts["confusion"]["counts"])) == COUNT
    assert facts["labels"][9]["recall"] in (0, None)  # no image has it
    assert (tmp_path / "worst.png").is_file()


def test_the_command_judges_a_network(classes: Path, classifier: Exported, tmp_path: Path) -> None:
    card = tmp_path / "card.json"
    card.write_text(classifier.card.to_json())
    command = ["evaluate", "se_resnet18", "--weights", "random", "--card", str(card)]
    done = CliRunner().invoke(app, [*command, "--data", str(classes), "--json"], catch_exceptions=False)
    assert json.loads(done.stdout)["run_by"].startswith("PyTorch")


@pytest.mark.parametrize("option", [("--url", "127.0.0.1:8001"), ("--api-key", "any"), ("--timeout", "3")])
@pytest.mark.parametrize(
    "model",
    [
        ("se_resnet18", "--weights", "random"),
        ("somebodys:network",),
        ("exported/garments",),
        ("exported/garments/variants/same",),
    ],
)
def test_an_option_for_a_server_is_wrong_usage(
    model: tuple[str, ...], option: tuple[str, str], classes: Path
) -> None:
    done = CliRunner().invoke(app, ["evaluate", *model, "--data", str(classes), *option], env=WIDE)
    assert done.exit_code == 2
    refused = f"{option[0]}: it is for a server, and {model[0]} runs in this process: leave it out, or name a"
    assert refused in done.stderr


def test_an_option_of_the_environment_is_none_of_the_command_line(classes: Path) -> None:
    """It is for other commands, too."""
    command = ["evaluate", "se_resnet18", "--weights", "random", "--data", str(classes)]
    done = CliRunner().invoke(app, command, env={"REGARD_TOKEN": "any"})
    assert isinstance(done.exception, InvalidInput)  # of the network's labels, which are others


def test_a_card_is_for_a_network(classes: Path) -> None:
    with pytest.raises(InvalidInput, match="--card is for a network with --weights"):
        CliRunner().invoke(
            app,
            ["evaluate", "somebody", "--data", str(classes), "--card", "card.json"],
            catch_exceptions=False,
        )


def command_without(modules: tuple[str, ...], *arguments: str | Path, cwd: Path) -> str:
    """What `regard` prints where these modules are not installed."""
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({modules!r}));"
        "from regard.serving.cli.app import main; main()"
    )
    return run(sys.executable, "-c", program, *arguments, cwd=cwd)


def test_a_served_model_is_judged_by_a_bare_install(served: Served, classes: Path) -> None:
    without = ("torch", "onnx", "onnxruntime", "matplotlib", "safetensors")
    command = ("evaluate", served.classifier, "--data", classes, "--url", served.grpc_url)
    assert "7 images" in command_without(without, *command, cwd=classes.parent)


def test_an_artifact_is_judged_without_pytorch(classifier: Exported, classes: Path) -> None:
    command = ("evaluate", classifier.artifact.folder, "--data", classes)
    printed = command_without(("torch", "matplotlib", "safetensors"), *command, cwd=classes.parent)
    assert "7 images" in printed


def test_an_image_that_cannot_be_read_is_named(
    classes: Path, client: regard.Client, classifier: Exported, tmp_path: Path
) -> None:
    """However the model is run: figures of fewer images than there are would mislead."""
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    (tmp_path / "list.csv").write_text(f"file,label\nbad.jpg,{classifier.card.answer.labels[0]}\n")
    data = find_data(tmp_path / "list.csv", classifier.card)
    for subject in (
        artifact(classifier.artifact.folder),
        served_subject(client, classifier.card.name),
        network(classifier.network, classifier.card),
    ):
        with pytest.raises(InvalidInput, match=r"bad.jpg"):
            evaluate(subject, data)


def test_the_worst_are_kept_in_order() -> None:
    worst = Worst(3)
    scores = [0.5, 0.1, 0.9, 0.1, 0.0, 0.1]
    result = Segmentation(np.zeros((1, 1), np.uint8), ("a", "b"), ((0, 0, 0), (1, 1, 1)))
    for index, score in enumerate(scores):
        image = LabelledImage(str(index), Path(str(index)), Path(str(index)))
        worst.watch(image, result, Judged(str(index), score, {}))
    assert [kept.image.name for kept in worst.kept()] == ["4", "1", "3"]


def test_answers_are_not_kept(classifier: Exported, tmp_path: Path) -> None:
    """An image's answer is gone before many others come."""
    alive: list[weakref.ref[Any]] = []
    most = 0

    def answers(images: Iterator[Any]) -> Iterator[Any]:
        nonlocal most
        for _ in images:
            result = classifier.card.answer.result(np.full(10, 0.1, np.float32), top_k=10)
            alive.append(weakref.ref(result))
            most = max(most, sum(ref() is not None for ref in alive))
            yield result

    image = tmp_path / "a.png"
    Image.fromarray(photo(0)).save(image)
    label = classifier.card.answer.labels[0]
    (tmp_path / "list.csv").write_text("file,label\n" + f"a.png,{label}\n" * 50)
    evaluate(
        Subject("any", "by hand", classifier.card, answers), find_data(tmp_path / "list.csv", classifier.card)
    )
    assert len(alive) == 50
    assert most <= 3
