"""Texts that a benchmark sends."""

from pathlib import Path

import pytest

from regard.contract.card import Card, card_from_mapping
from regard.errors import InvalidInput
from regard.serving.bench.texts import drawn_texts
from regard.serving.text_files import read_texts

WORDS = ("<pad>", "<unk>", "red", "two words", "green")
STORY = {"kind": "tokens", "name": "story", "vocabulary": WORDS, "longest": 3, "sentences": 4}
QUESTION = {"kind": "tokens", "name": "question", "vocabulary": WORDS, "unknown": None, "longest": 3}


def card_of(*inputs: dict[str, object]) -> Card:
    fields = {"name": "net", "inputs": inputs, "origin": {"builder": "net"}}
    answer = {"kind": "classes", "labels": ["a", "b"]}
    return card_from_mapping(fields | {"answer": answer}, source="the test's Card")


def test_drawn_texts_can_be_read_and_stay_the_same() -> None:
    card = card_of(STORY, QUESTION)
    drawn = drawn_texts(card)
    assert drawn == drawn_texts(card)
    assert len({each["question"] for each in drawn}) > 8
    for story, question in (each.values() for each in drawn):
        assert card.texts[0].tokenizer.encode(story).shape[0] == story.count("\n") + 1 <= 4
        numbers = card.texts[1].tokenizer.encode(question)
        assert 1 <= len(numbers) <= 3
        assert set(numbers) <= {2, 4}


def test_words_that_no_text_holds() -> None:
    with pytest.raises(InvalidInput, match="give the texts in a file"):
        drawn_texts(card_of(QUESTION | {"vocabulary": ("<pad>", "two words")}))


def test_texts_of_a_file(tmp_path: Path) -> None:
    file, card = tmp_path / "texts.txt", card_of(STORY, QUESTION)
    file.write_text("red. green.\tred\n\ngreen\tgreen red\n")
    assert read_texts(file, card) == [
        {"story": "red. green.", "question": "red"},
        {"story": "green", "question": "green red"},
    ]


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "is empty; write a text"),
        (b"red\n", "line 1 of .* has 1 texts, net takes 2 with a tab between: story, question"),
        (b"red\tred\nred\tblue\n", "line 2 of .*, question: the model does not know the word 'blue'"),
        ("é".encode("latin-1"), "is no text in UTF-8"),
    ],
    ids=["empty", "one text", "unknown word", "latin"],
)
def test_files_that_cannot_be_sent(tmp_path: Path, content: bytes, rule: str) -> None:
    (tmp_path / "texts.txt").write_bytes(content)
    with pytest.raises(InvalidInput, match=rule):
        read_texts(tmp_path / "texts.txt", card_of(STORY, QUESTION))
