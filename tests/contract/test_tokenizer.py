"""The tokenizer: words to numbers, and each text that it refuses."""

import ast
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regard.contract import tokenizer
from regard.contract.tokenizer import MOST_LETTERS, BadText, Tokenizer
from regard.contract.tokens_input import TokensInput

WORDS = ("<pad>", "<unk>", "<end>", "what", "is", "the", "colour", "of", "café", "red", "東京")


def reader(**changes: Any) -> Tokenizer:
    fields: dict[str, Any] = {"vocabulary": WORDS, "longest": 6}
    return TokensInput(**fields | changes).tokenizer


def test_words_become_their_numbers() -> None:
    read = reader()
    numbers = read.encode("What is the colour?")
    assert (numbers.tolist(), numbers.dtype) == ([3, 4, 5, 6], np.int64)


def test_every_word_has_its_number() -> None:
    read = reader(longest=len(WORDS))
    assert read.encode(" ".join(WORDS[3:])).tolist() == list(range(3, len(WORDS)))


def test_the_end_is_put_behind() -> None:
    read = reader(end="<end>")
    assert read.encode("red").tolist() == [9, 2]


def test_case_counts_where_the_card_says_so() -> None:
    assert reader().encode("RED Café").tolist() == [9, 8]
    assert reader(lowercase=False).encode("RED red").tolist() == [1, 9]


@pytest.mark.parametrize("text", ["cafe\N{COMBINING ACUTE ACCENT}", "CAFÉ", " café\t\n", "¿café!"])
def test_one_word_in_every_form_of_unicode(text: str) -> None:
    assert reader().encode(text).tolist() == [8]


def test_other_scripts() -> None:
    assert reader().encode("東京 is red").tolist() == [10, 4, 9]
    assert reader(pattern=r"\S", lowercase=False).encode("🦉x").tolist() == [1, 1]  # two letters, unknown


def test_unknown_words_become_one_where_the_card_has_it() -> None:
    assert reader().encode("is it green").tolist() == [4, 1, 1]


def test_unknown_words_are_refused_where_the_card_has_none() -> None:
    read = reader(unknown=None)
    with pytest.raises(
        BadText, match=r"does not know the word 'colours' of 11: the nearest are 'colour'(?!.*<)"
    ):
        read.encode("the colours")
    with pytest.raises(BadText, match=r"'xyzzy' of 11: say it in other words$"):
        read.encode("xyzzy")


@pytest.mark.parametrize("word", ["<pad>", "<end>"])
def test_no_text_holds_a_special_word(word: str) -> None:
    """Lest a request ends itself, or passes padding for words."""
    read = reader(pattern=r"\S+", end="<end>")
    assert read.encode(f"red {word} red").tolist() == [9, 1, 9, 2]
    with pytest.raises(BadText, match=f"does not know the word '{word}'"):
        reader(pattern=r"\S+", end="<end>", unknown=None).encode(word)


@pytest.mark.parametrize("text", ["", "   ", "?!.", "\n"])
@pytest.mark.parametrize("changes", [{}, {"end": "<end>"}, {"unknown": None}])
def test_a_text_without_words_is_refused(text: str, changes: dict[str, Any]) -> None:
    with pytest.raises(BadText, match="the text is empty: it has no word"):
        reader(**changes).encode(text)


def test_a_text_that_is_too_long_is_refused() -> None:
    assert len(reader().encode("red " * 6)) == 6
    with pytest.raises(BadText, match="the text has 7 words, the model takes up to 6: shorten it"):
        reader().encode("red " * 7)
    with pytest.raises(BadText, match="has 6 words, the model takes up to 5"):  # the end counts
        reader(end="<end>").encode("red " * 6)
    with pytest.raises(BadText, match="letters, more than"):
        reader().encode("x" * (MOST_LETTERS + 1))


def test_batches_are_padded_at_the_end() -> None:
    batch = reader().batch(["red", "what is the colour", "the red café"])
    assert batch.tolist() == [[9, 0, 0, 0], [3, 4, 5, 6], [5, 9, 8, 0]]
    assert batch.dtype == np.int64


def test_the_bad_text_of_a_batch_is_named() -> None:
    with pytest.raises(BadText, match="^text 1: the text is empty"):
        reader().batch(["red", "", "red"])
    with pytest.raises(BadText, match="^the text is empty"):
        reader().batch([""])


def test_a_story_is_a_row_for_each_sentence() -> None:
    read = reader(sentences=3)
    assert read.encode("The red café. What is red?\nRed!").tolist() == [[5, 9, 8], [3, 4, 9], [9, 0, 0]]
    assert read.batch(["Red. The red café.", "Is."]).tolist() == [
        [[9, 0, 0], [5, 9, 8]],
        [[4, 0, 0], [0, 0, 0]],
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "the story is empty: it has no word"),
        ("...?", "the story is empty: it has no word"),
        ("Red. Red. Red. Red.", "the story has 4 sentences, the model takes 3: leave some out"),
        ("Red. " + "the " * 7, "the sentence 'the the .* has 7 words, the model takes up to 6"),
    ],
)
def test_a_story_that_is_refused(text: str, fault: str) -> None:
    with pytest.raises(BadText, match=fault):
        reader(sentences=3).encode(text)


def test_what_it_makes_is_what_the_input_takes() -> None:
    for sentences in (None, 4):
        taken = TokensInput(vocabulary=WORDS, longest=6, sentences=sentences, end="<end>")
        assert taken.fault(taken.tokenizer.batch(["What is red. The red.", "red"])) is None


def test_the_server_can_run_a_copy_of_it() -> None:
    tree = ast.parse(Path(str(tokenizer.__file__)).read_text(encoding="utf-8"))
    roots = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert roots - sys.stdlib_module_names == {"numpy"}


@pytest.mark.parametrize("changes", [{"unknown": None}, {"sentences": 2}])
def test_a_message_repeats_no_long_text(changes: dict[str, Any]) -> None:
    text = "x" * 5000 if "unknown" in changes else "x " * 5000
    with pytest.raises(BadText, match=r"x ?\.\.\.") as error:
        reader(**changes).encode(text)
    assert len(str(error.value)) < 200
