"""Generated dates: that they say what they mean, and that what is held out is."""

import datetime as dt
import random
import re

import pytest

from regard.models.training.families import dates
from regard.models.training.families.dates import FORMS, ordinal, ordnungszahl, spoken, suffixed

DAY = dt.date(1994, 3, 3)


def test_forms():
    assert [form(DAY) for form in FORMS] == [
        "3 March 1994",
        "March 3rd, 1994",
        "Thursday, March 3, 1994",
        "Mar 3 '94",
        "the third of March, 1994",
        "the third of March, nineteen ninety-four",
        "1994/03/03",
        "3. März 1994",
        "Donnerstag, den 3. März 1994",
        "am dritten März 1994",
        "03.03.1994",
        "3.3.94",
    ]


@pytest.mark.parametrize(
    ("say", "value", "words"),
    [
        (ordinal, 20, "twentieth"),
        (ordinal, 21, "twenty-first"),
        (ordinal, 30, "thirtieth"),
        (ordinal, 31, "thirty-first"),
        (ordnungszahl, 20, "zwanzigsten"),
        (ordnungszahl, 21, "einundzwanzigsten"),
        (ordnungszahl, 30, "dreißigsten"),
        (ordnungszahl, 31, "einunddreißigsten"),
        (spoken, 1950, "nineteen fifty"),
        (spoken, 1999, "nineteen ninety-nine"),
        (spoken, 2000, "two thousand"),
        (spoken, 2005, "twenty oh five"),
        (spoken, 2010, "twenty ten"),
        (spoken, 2042, "twenty forty-two"),
        (suffixed, 1, "1st"),
        (suffixed, 11, "11th"),
        (suffixed, 13, "13th"),
        (suffixed, 22, "22nd"),
    ],
)
def test_numbers_in_words(say, value, words):
    assert say(value) == words


def test_no_two_days_are_written_alike():
    """In any form, so that each text has one answer."""
    training, held_out = dates.days()
    written: dict[str, dt.date] = {}
    for day in training + held_out:
        for form in FORMS:
            assert written.setdefault(form(day), day) == day


def test_days_are_held_out_whole():
    training, held_out = dates.days()
    assert not set(training) & set(held_out)
    assert len(training) + len(held_out) == (dt.date(2050, 1, 1) - dt.date(1950, 1, 1)).days
    assert 0.18 < len(held_out) / (len(training) + len(held_out)) < 0.22


def test_every_word_is_known_and_every_answer_fits():
    training, _ = dates.days()
    taken, answer = dates.text_input(), dates.iso_answer()
    texts, isos = dates.written(training, 500, random.Random(0))
    assert not (taken.tokenizer.batch(texts) == taken.vocabulary.index(taken.unknown)).any()
    for iso in isos:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", iso)
        assert {*iso} <= {*answer.vocabulary}
        assert len(iso) + 1 == answer.longest
