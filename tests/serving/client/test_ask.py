"""Questions of any kind on a transport without a server: what goes out, what comes back, what is refused."""

from pathlib import Path

import numpy as np
import pytest
from client_fakes import FakeTransport, half, plain, png
from PIL import Image
from speaking_fakes import (
    ANSWERER,
    CAPTIONER,
    DRAWER,
    POSER,
    READER,
    TRANSLATOR,
    WATCHER,
    Server,
    tokens,
)

from regard.contract.results import Classification, Pose, Reconstruction, Text
from regard.errors import InvalidInput, UnknownName


def captions(inputs):
    """Of each image: "a", and the colour that its first red value counts."""
    if "encoded_image" in inputs:
        shades = [0] * len(inputs["encoded_image"])
    else:
        shades = inputs["image"][:, 0, 0, 0].tolist()
    return sequences([("a", ("red", "green", "blue")[shade]) for shade in shades])


def sequences(texts):
    return {
        "sequence": np.stack([tokens(*text, "<end>") for text in texts]),
        "log_probabilities": np.full((len(texts), 4), -0.5, np.float32),
        "alignment": np.tile(np.eye(4, dtype=np.float32), (len(texts), 1, 1)),
    }


def translations(inputs):
    """Of each text: as many "a" as it has words."""
    return sequences([("a",) * int((row > 0).sum()) for row in inputs["tokens"]])


def answers(inputs):
    """Of each question: the class that its number of words counts."""
    if inputs["question"].dtype == object:
        counts = [len(text.split()) for text in inputs["question"].ravel()]
    else:
        counts = (inputs["question"] > 0).sum(axis=1).tolist()
    return {"probabilities": np.eye(3, dtype=np.float32)[counts]}


def of_the_middle_frame(inputs):
    """Of each clip: the class that the middle frame's first red value counts."""
    return {"probabilities": np.eye(3, dtype=np.float32)[inputs["frames"][:, 1, 0, 0, 0]]}


def points(inputs):
    return {"points": np.tile(np.float32([[0, 0, 1], [0.5, 1, 0.5]]), (len(inputs["image"]), 1, 1))}


# words


def test_captions(ask):
    server = Server(CAPTIONER, captions)
    results = ask(server, "caption", "net", [plain(2), plain(0), png(plain(1))])
    assert [result.text for result in results] == ["a blue", "a red", "a red"]
    assert results[0] == Text("a blue", ("a", "blue"), (2, 5, 1), -1.5, (-0.5, -0.5))
    assert results[0].alignment is None
    assert [request.model for request in server.requests] == ["net", "net_image"]
    assert set(server.requests[0].outputs) == {"sequence", "log_probabilities"}


def test_where_each_word_looked(ask):
    (result,) = ask(Server(CAPTIONER, captions), "caption", "net", plain(2, 16, 16), alignment=True)
    np.testing.assert_array_equal(result.alignment, np.eye(4)[:2])
    assert result.overlay(plain(2, 16, 16), 1).size == (16, 16)
    (result,) = ask(Server(TRANSLATOR, translations), "ask", "net", "what is it", alignment=True)
    assert result.matrix(["what", "is", "it"]).height > 0


def test_streams_of_captions(ask):
    results = ask(Server(CAPTIONER, captions), "caption", "net", iter([plain(shade) for shade in (0, 1, 2)]))
    assert [result.text for result in results] == ["a red", "a green", "a blue"]


def test_translations(ask):
    server = Server(TRANSLATOR, translations)
    texts = ["What colour?", "it", "is the sky"]
    assert [result.text for result in ask(server, "translate", "net", texts)] == ["a a", "a", "a a a"]
    (request,) = server.requests
    assert request.model == "net"
    np.testing.assert_array_equal(request.inputs["tokens"], [[1, 2, 0], [4, 0, 0], [3, 5, 6]])
    assert [result.text for result in ask(server, "translate", "net", iter(texts))] == ["a a", "a", "a a a"]
    assert ask(server, "ask", "net", "it")[0].text == "a"


def test_texts_of_a_model_that_is_served_for_texts_alone(ask):
    server = Server(TRANSLATOR, lambda inputs: sequences([("red",)] * len(inputs["tokens"])))
    server.endpoints = ("net_text",)
    assert [result.text for result in ask(server, "translate", "net", ["it", "the sky"])] == ["red", "red"]
    (request,) = server.requests
    assert request.model == "net_text"
    assert request.inputs["tokens"].tolist() == [[b"it"], [b"the sky"]]


# questions


def test_answers_about_images(ask):
    server = Server(ANSWERER, answers)
    one, other = ask(server, "answer", "net", plain(1), ["it", "the sky"])
    assert (one.label, other.label) == ("green", "blue")
    assert isinstance(one, Classification)
    (request,) = server.requests
    assert {name: array.shape for name, array in request.inputs.items()} == {
        "image": (2, 8, 8, 3),
        "question": (2, 2),
    }
    results = ask(server, "ask", "net", {"question": "it", "image": [plain(1), plain(2)]}, top_k=1)
    assert [len(result.top) for result in results] == [1, 1]
    assert len(ask(server, "ask", "net", {"image": plain(1), "question": "it"})) == 1
    pairs = ask(server, "answer", "net", [plain(1), plain(2)], ["it", "the sky"])
    assert [result.label for result in pairs] == ["green", "blue"]


def test_a_question_goes_with_the_file_of_its_image(ask):
    server = Server(ANSWERER, answers)
    (result,) = ask(server, "answer", "net", png(plain(1)), "the sky")
    assert result.label == "blue"
    (request,) = server.requests
    assert request.model == "net_image"
    assert request.inputs["question"].tolist() == [[b"the sky"]]
    assert request.inputs["encoded_image"].tolist() == [[png(plain(1))]]


def test_answers_about_stories(ask):
    server = Server(READER, answers)
    stories = ["It is the sky. What is it?", "the sky"]
    assert [each.label for each in ask(server, "answer", "net", stories, "it")] == ["green", "green"]
    (request,) = server.requests
    np.testing.assert_array_equal(
        request.inputs["story"], [[[4, 3, 5, 6], [1, 3, 4, 0]], [[5, 6, 0, 0], [0, 0, 0, 0]]]
    )


@pytest.mark.parametrize(
    ("inputs", "rule"),
    [
        (plain(1), r"takes image and question, got 1 without a name: give each by its name, \{'image'"),
        ({"image": plain(1)}, "got image: give each"),
        ({"image": plain(1), "question": "it", "story": "it"}, "got image, question, story"),
        ({"image": plain(1), "question": 3}, "question must be a text"),
        ({"image": plain(1), "question": b"it"}, "question must be a text"),
        ({"image": [plain(1)] * 3, "question": ["it"] * 2}, "different numbers of entries"),
    ],
    ids=["no question", "no question by name", "too much", "number", "bytes", "lengths"],
)
def test_what_lacks_and_what_is_too_much(ask, inputs, rule):
    server = Server(ANSWERER, answers)
    with pytest.raises(InvalidInput, match=rule):
        ask(server, "ask", "net", inputs)


def test_a_question_for_a_model_without_one(ask):
    with pytest.raises(InvalidInput, match="is a model for captioning: call caption"):
        ask(Server(CAPTIONER, captions), "answer", "net", plain(1), "what is it")
    with pytest.raises(InvalidInput, match="takes image, got image, question: give the image alone"):
        ask(Server(CAPTIONER, captions), "ask", "net", {"image": plain(1), "question": "it"})
    with pytest.raises(InvalidInput, match="is a model for question_answering: call answer"):
        ask(Server(ANSWERER, answers), "classify", "net", plain(1))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("what colou is it", r"the text: the model does not know the word 'colou' .* 'colour'"),
        ("", "the text: the text is empty"),
        ("?!", "the text: the text is empty"),
        ("it " * 6, "has 6 words, the model takes up to 5"),
        ("it " * 100_000, "letters, more than"),
    ],
    ids=["unknown", "empty", "no word", "long", "endless"],
)
def test_texts_that_cannot_be_read(ask, text, rule):
    server = Server(TRANSLATOR, translations)
    with pytest.raises(InvalidInput, match=rule):
        ask(server, "translate", "net", text)
    assert not server.requests


def test_a_bad_text_is_returned_in_its_place(ask):
    server = Server(ANSWERER, answers)
    questions = ["it", "why", "the sky", 7]
    results = ask(server, "ask", "net", {"image": plain(1), "question": questions}, on_error="return")
    assert [getattr(result, "label", None) for result in results] == ["green", None, "blue", None]
    assert str(results[1]).startswith("question[1]: the model does not know the word 'why'")
    assert str(results[3]).startswith("question[3]: a text is a str")
    bad, good = ask(
        server,
        "ask",
        "net",
        {"image": [half(), png(plain(1))], "question": "it"},
        version="1",
        on_error="return",
    )
    assert "damaged" in str(bad)
    assert good.label == "green"


# points, images, frames


def test_poses_are_in_the_pixels_of_the_image(ask):
    """The network sees the middle 16 x 16 of 16 x 32 pixels."""
    (result,) = ask(Server(POSER, points), "pose", "net", [plain(1, 16, 32)])
    assert isinstance(result, Pose)
    assert result.joints == {"head": (8, 0), "foot": (16, 16)}
    assert result.confidence == {"head": 1, "foot": 0.5}


def test_reconstructions(ask):
    server = Server(DRAWER, lambda inputs: {"reconstruction": 255 - inputs["image"]})
    (result,) = ask(server, "ask", "net", plain(5))
    assert isinstance(result, Reconstruction)
    np.testing.assert_array_equal(result.pixels, 255 - plain(5))
    with pytest.raises(InvalidInput, match="call ask"):
        ask(server, "caption", "net", plain(5))


def test_clips(ask, tmp_path: Path):
    server = Server(
        WATCHER,
        lambda inputs: {"probabilities": np.eye(3, dtype=np.float32)[inputs["frames"][:, 1, 0, 0, 0]]},
    )
    clip = [plain(0), plain(1), plain(2)]
    frames, animated = tmp_path / "frames", tmp_path / "clip.webp"
    frames.mkdir()
    for number, frame in zip((8, 9, 10), clip, strict=True):
        (frames / f"{number}.png").write_bytes(png(frame))
    first, *others = map(Image.fromarray, clip)
    first.save(animated, save_all=True, append_images=others, lossless=True)
    pixels = np.stack(clip)
    for given in (clip, pixels, frames, animated, [pixels], [clip], [str(frames)], [str(animated)]):
        (result,) = ask(server, "ask", "net", given)
        assert result.label == "green"
    assert [each.label for each in ask(server, "classify", "net", [clip, clip[::-1]])] == ["green", "green"]
    assert len(ask(server, "ask", "net", iter([clip, clip]))) == 2
    with pytest.raises(InvalidInput, match="has 2 frames, and the model takes 3"):
        ask(server, "ask", "net", clip[:2])
    with pytest.raises(InvalidInput, match="differ in size"):
        ask(server, "ask", "net", [*clip[:2], plain(1, 8, 9)])
    with pytest.raises(InvalidInput, match="are not a JPEG"):
        ask(server, "ask", "net", [*clip[:2], b"no image"])
    with pytest.raises(InvalidInput, match="a clip is a folder"):
        ask(server, "ask", "net", 3)
    with pytest.raises(InvalidInput, match="nowhere: no frames can be read"):
        ask(server, "ask", "net", "nowhere")


# any model


def test_ask_does_what_classify_does(ask):
    fake = FakeTransport()
    assert ask(fake, "ask", "net", [plain(4)], top_k=2) == ask(fake, "classify", "net", [plain(4)], top_k=2)


def test_options_of_another_kind_of_answer(ask):
    with pytest.raises(InvalidInput, match="a model for classification, which has no option 'alignment'"):
        ask(FakeTransport(), "ask", "net", plain(1), alignment=True)
    with pytest.raises(InvalidInput, match="a model for translation, which has no option 'top_k'"):
        ask(Server(TRANSLATOR, translations), "ask", "net", "it", top_k=2)


def test_unknown_names_leave_endpoints_out(ask):
    with pytest.raises(UnknownName, match=r"Did you mean 'net'\? Known: former, net, slow"):
        ask(Server(TRANSLATOR, translations), "translate", "nett", "it")
