"""Texts of a proof: of several lengths, readable, and always the same."""

import numpy as np
import pytest
from tests.export.toys import TEXT, card, toys

from regard.contract.answers import Sequence
from regard.contract.inputs import TokensInput
from regard.errors import InvalidInput
from regard.export.proof.text_trials import texts_of
from regard.export.proof.trials import trials_of

LETTERS = ("<pad>", "<end>", *"abcdefgh")
BY_LETTER = TokensInput(vocabulary=LETTERS, pattern=r"\w", unknown=None, end="<end>", longest=9)


def test_every_length_is_tried_and_the_same_text_at_several() -> None:
    _, story = toys()["story"]
    first, alone, many = trials_of([], story)
    assert [trial.inputs["question"].shape[0] for trial in (first, alone, many)] == [2, 1, 6]
    assert many.inputs["story"].shape == (6, 4, 6)
    assert many.inputs["question"].shape == (6, 6)
    assert alone.inputs["question"].all()  # without padding
    shortest = alone.inputs["question"][0]
    assert any((row[: len(shortest)] == shortest).all() for row in many.inputs["question"])
    assert np.array_equal(many.inputs["story"], trials_of([], story)[2].inputs["story"])


@pytest.mark.parametrize("taken", [TEXT, BY_LETTER], ids=["words", "letters"])
def test_drawn_texts_are_read_as_they_were_drawn(taken: TokensInput) -> None:
    meant = card((taken,), Sequence(vocabulary=taken.vocabulary, longest=4))
    for row in texts_of(meant, ()):
        numbers = taken.tokenizer.encode(row["tokens"])
        assert 2 <= len(numbers) <= taken.longest
        assert taken.vocabulary[numbers[-1]] == "<end>"
        assert numbers.all()


def test_texts_that_cannot_be_drawn_are_to_be_given() -> None:
    taken = TEXT.model_copy(update={"vocabulary": ("<pad>", "<end>", "<unk>", "a b", "c d")})
    meant = card((TEXT,), Sequence(vocabulary=taken.vocabulary, longest=4)).model_copy(
        update={"inputs": (taken,)}
    )
    with pytest.raises(InvalidInput, match="give texts for the proof"):
        texts_of(meant, ())


def test_a_row_without_the_others_has_no_padding_but_its_own() -> None:
    _, story = toys()["story"]
    for inputs in trials_of([], story)[2].apart.values():
        question = inputs["question"][0]
        assert question[-1] != 0
