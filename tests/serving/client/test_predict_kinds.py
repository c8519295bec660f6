"""`regard predict` of models that take or answer more than an image's classes, on a transport without a
server.
"""

import csv
import json
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import typer
from client_fakes import half, plain, png
from PIL import Image
from speaking_fakes import (
    ANSWERER,
    CAPTIONER,
    POSER,
    READER,
    TRANSLATOR,
    WATCHER,
    Server,
    Tracker,
    tokens,
)
from typer.testing import CliRunner

from regard.errors import InvalidInput, RegardError, SessionLost
from regard.serving.cli import predict as verb
from regard.serving.client.sync import Client


@pytest.fixture
def run(monkeypatch):
    """`run(server, *arguments)`: the verb of a model on a server that is none."""
    app = typer.Typer()
    app.command()(verb.predict)

    def command(server, *arguments):
        @contextmanager
        def asking(*_):
            with Client(transport=server) as client:
                yield client, "net"

        monkeypatch.setattr(verb, "asking", asking)
        result = CliRunner().invoke(app, ["net", *map(str, arguments)], env={"COLUMNS": "200"})
        if isinstance(result.exception, RegardError):
            raise result.exception
        return result

    return command


@pytest.fixture
def image(tmp_path):
    (tmp_path / "cat.png").write_bytes(png(plain(1)))
    return tmp_path / "cat.png"


def spoken(inputs):
    count = len(next(iter(inputs.values())))
    return {
        "sequence": np.stack([tokens("a", "red", "square", "<end>")] * count),
        "log_probabilities": np.full((count, 4), -0.5, np.float32),
        "alignment": np.full((count, 4, 4), 0.25, np.float32),
    }


def counted(inputs):
    words = (
        [len(text.split()) for text in inputs["question"].ravel()]
        if "encoded_image" in inputs
        else [int((row > 0).sum()) for row in inputs["question"]]
    )
    return {"probabilities": np.eye(3, dtype=np.float32)[words]}


def test_captions_and_where_they_looked(run, image, tmp_path):
    result = run(Server(CAPTIONER, spoken), image, "--out", tmp_path / "out", "--json")
    (entry,) = json.loads(result.stdout)
    assert (entry["image"], entry["answer"], entry["log_probability"]) == (str(image), "a red square", -2.0)
    assert entry["words"] == ["a", "red", "square"]
    with Image.open(entry["alignment"]) as strip:
        assert strip.width == 3 * 8
    assert "a red square" in run(Server(CAPTIONER, spoken), image).stdout


def test_questions_about_images(run, image, tmp_path):
    server = Server(ANSWERER, counted)
    result = run(server, image, image, "--question", "it", "--question", "the sky", "--json")
    entries = json.loads(result.stdout)
    assert [(entry["question"], entry["label"]) for entry in entries] == [
        ("it", "green"),
        ("the sky", "blue"),
    ] * 2
    table = run(server, image, "--question", "what colour", "--record", tmp_path / "answers.csv").stdout
    assert table.split()[:3] == ["image", "question", "answer"]
    with (tmp_path / "answers.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["question"], row["label"]) == ("what colour", "blue")
    failed = run(server, image, "--question", "why")
    assert failed.exit_code == 1
    assert "does not know the word 'why'" in failed.stderr


def test_the_lack_of_a_question_and_one_too_many(run, image):
    with pytest.raises(InvalidInput, match="takes image and question: give the question by --question"):
        run(Server(ANSWERER, counted), image)
    with pytest.raises(InvalidInput, match="is asked no question: leave --question out"):
        run(Server(CAPTIONER, spoken), image, "--question", "it")


def test_stories(run, tmp_path):
    (tmp_path / "story.txt").write_text("It is the sky.\nWhat is it?\n")
    result = run(Server(READER, counted), tmp_path / "story.txt", "the sky", "--question", "it", "--json")
    entries = json.loads(result.stdout)
    assert [entry["text"] for entry in entries] == ["It is the sky.\nWhat is it?", "the sky"]
    assert [entry["label"] for entry in entries] == ["green", "green"]
    (tmp_path / "latin.txt").write_bytes("é".encode("latin-1"))
    with pytest.raises(InvalidInput, match="is no text in UTF-8"):
        run(Server(READER, counted), tmp_path / "latin.txt", "--question", "it")


def test_translations_of_arguments_and_lines(run, tmp_path):
    (tmp_path / "texts.txt").write_text("it\n\nthe sky\n")
    result = run(Server(TRANSLATOR, spoken), "what colour", tmp_path / "texts.txt", "why", "--json")
    assert result.exit_code == 1
    entries = json.loads(result.stdout)
    assert [entry["text"] for entry in entries] == ["what colour", "it", "the sky", "why"]
    assert ["error" in entry for entry in entries] == [False, False, False, True]
    assert "1 of 4 texts failed" in result.stderr
    (entry,) = json.loads(run(Server(TRANSLATOR, spoken), "it", "-o", tmp_path / "out", "--json").stdout)
    with Image.open(entry["alignment"]) as matrix:
        assert matrix.height > 3 * 24


def test_poses(run, image, tmp_path):
    server = Server(POSER, lambda inputs: {"points": np.float32([[[0, 0, 1], [0.5, 1, 0.5]]])})
    result = run(server, image, "-o", tmp_path, "--json", "--record", tmp_path / "poses.csv")
    (entry,) = json.loads(result.stdout)
    assert entry["joints"]["foot"] == {"x": 4.0, "y": 8.0, "confidence": 0.5}
    with Image.open(entry["overlay"]) as overlay:
        assert overlay.size == (8, 8)
    assert "x of foot" in (tmp_path / "poses.csv").read_text()
    assert "foot 4 8" in run(server, image).stdout


def test_clips(run, tmp_path):
    for number in (1, 2, 3):
        (tmp_path / f"{number}.png").write_bytes(png(plain(number)))
    server = Server(WATCHER, lambda inputs: {"probabilities": np.eye(3, dtype=np.float32)[[1]]})
    (entry,) = json.loads(run(server, tmp_path, "--json").stdout)
    assert (entry["image"], entry["label"]) == (str(tmp_path), "green")


# videos


@pytest.fixture
def video(tmp_path):
    """Nine frames and a broken one, the tenth."""
    folder = tmp_path / "video"
    folder.mkdir()
    for number in range(1, 12):
        (folder / f"frame_{number}.png").write_bytes(half() if number == 10 else png(plain(1)))
    return folder


def largest(entries):
    return [max(entry["area"], key=entry["area"].get) if "area" in entry else None for entry in entries]


def test_a_folder_is_one_session_in_order(run, video, tmp_path):
    tracker = Tracker()
    result = run(tracker, video, "--json", "--out", tmp_path / "out")
    assert result.exit_code == 1
    entries = json.loads(result.stdout)
    assert largest(entries) == [f"class {number % 10}" for number in range(1, 10)] + [None, "class 0"]
    assert len({request.parameters["sequence_id"] for request in tracker.requests}) == 1
    assert len([*(tmp_path / "out").glob("frame_*_mask.png")]) == 10
    by_name = run(Tracker(), *(video / f"frame_{number}.png" for number in (1, 2)), "--json")
    assert largest(json.loads(by_name.stdout)) == ["class 1", "class 2"]
    by_pattern = run(Tracker(), f"{video}/frame_1*.png", "--json")
    assert [Path(entry["image"]).name for entry in json.loads(by_pattern.stdout)] == [
        "frame_1.png",
        "frame_10.png",
        "frame_11.png",
    ]


def test_each_video_is_a_session(run, tmp_path):
    frames = [Image.fromarray(plain(shade)) for shade in (1, 2)]
    for name in ("a", "b"):
        frames[0].save(tmp_path / f"{name}.webp", save_all=True, append_images=frames[1:], lossless=True)
    tracker = Tracker()
    videos = (tmp_path / "a.webp", tmp_path / "b.webp")
    result = run(tracker, *videos, "--json", "-o", tmp_path / "out")
    assert largest(json.loads(result.stdout)) == ["class 1", "class 3"] * 2
    assert len({request.parameters["sequence_id"] for request in tracker.requests}) == 2
    assert sorted(file.name for file in (tmp_path / "out").glob("*_mask.png")) == [
        "1_a_000000_mask.png",
        "1_a_000001_mask.png",
        "2_b_000000_mask.png",
        "2_b_000001_mask.png",
    ]


def test_what_is_done_is_shown_when_a_session_is_lost(run, video, capfd):
    tracker = Tracker()
    answer = tracker.answer

    def forgetful(request):
        if len(tracker.requests) == 4:
            tracker.seen.clear()
        return answer(request)

    tracker.answer = forgetful
    with pytest.raises(SessionLost, match="after 3 frames"):
        run(tracker, video, "--record", video / "done.jsonl")
    assert len((video / "done.jsonl").read_text().splitlines()) == 3


def test_what_no_video_is(run, video, image):
    with pytest.raises(InvalidInput, match="is one frame, and .* a whole video"):
        run(Tracker(), video, image)
    with pytest.raises(InvalidInput, match="ffmpeg"):
        run(Tracker(), "street.mp4")
    with pytest.raises(InvalidInput, match="is asked no question"):
        run(Tracker(), video, "--question", "what is it")
