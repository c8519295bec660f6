"""Dates as people write them, in English and German, and in the form of ISO 8601: generated.

the third of March, 1994 · March 3rd, 1994 · Mar 3 '94 · the third of March, nineteen ninety-four · 1994/03/03
Donnerstag, den 3. März 1994 · am dritten März 1994 · 03.03.1994 · 3.3.94                        -> 1994-03-03

All days of the years 1950 to 2049, so that two digits say which year. A day is held out where the first byte
of the SHA-256 of its ISO form is below 51, so one in five: it is trained on in no form at all.
"""

import datetime as dt
import random
from collections.abc import Callable

from regard.contract.answers.sequence import Sequence
from regard.contract.tokens_input import END, PADDING, UNKNOWN, TokensInput
from regard.models.training.families.held_out import held_out

SOURCE = "generated: English and German dates by regard.models.training.families.dates"
YEARS = range(1950, 2050)
LONGEST = 16  # words of a date; the longest has 10


def _listed(words: str) -> tuple[str, ...]:
    return tuple(words.split())


_MONTHS = _listed("January February March April May June July August September October November December")
_MONATE = _listed("Januar Februar März April Mai Juni Juli August September Oktober November Dezember")
_WEEKDAYS = _listed("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
_WOCHENTAGE = _listed("Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag")
_UNITS = _listed("one two three four five six seven eight nine")
_TEENS = _listed("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen")
_TENS = _listed("twenty thirty forty fifty sixty seventy eighty ninety")
_ORDINALS = _listed(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)
_ORDNUNGSZAHLEN = _listed(
    "ersten zweiten dritten vierten fünften sechsten siebten achten neunten zehnten elften zwölften "
    "dreizehnten vierzehnten fünfzehnten sechzehnten siebzehnten achtzehnten neunzehnten zwanzigsten"
)
_EINER = _listed("ein zwei drei vier fünf sechs sieben acht neun")

Day = dt.date


def ordinal(day: int) -> str:
    """The day of a month in words: "twenty-first"."""
    if day <= 20:
        return _ORDINALS[day - 1]
    return "thirtieth" if day == 30 else f"{_TENS[day // 10 - 2]}-{_ORDINALS[day % 10 - 1]}"


def ordnungszahl(day: int) -> str:
    """The same in German, as after "am": "einundzwanzigsten"."""
    if day <= 20:
        return _ORDNUNGSZAHLEN[day - 1]
    tens = "zwanzigsten" if day < 30 else "dreißigsten"
    return tens if day == 30 else f"{_EINER[day % 10 - 1]}und{tens}"


def number(value: int) -> str:
    """From 1 to 99 in words: "oh five", "ninety-four"."""
    if value < 20:
        return f"oh {_UNITS[value - 1]}" if value < 10 else _TEENS[value - 10]
    tens = _TENS[value // 10 - 2]
    return f"{tens}-{_UNITS[value % 10 - 1]}" if value % 10 else tens


def spoken(year: int) -> str:
    """A year in words: "nineteen ninety-four", "two thousand"."""
    if year == 2000:
        return "two thousand"
    return f"{'nineteen' if year < 2000 else 'twenty'} {number(year % 100)}"


def suffixed(day: int) -> str:
    """The day of a month with its ending: "3rd"."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th") if day not in (11, 12, 13) else "th"
    return f"{day}{ending}"


FORMS: tuple[Callable[[Day], str], ...] = (
    lambda d: f"{d.day} {_MONTHS[d.month - 1]} {d.year}",
    lambda d: f"{_MONTHS[d.month - 1]} {suffixed(d.day)}, {d.year}",
    lambda d: f"{_WEEKDAYS[d.weekday()]}, {_MONTHS[d.month - 1]} {d.day}, {d.year}",
    lambda d: f"{_MONTHS[d.month - 1][:3]} {d.day} '{d.year % 100:02}",
    lambda d: f"the {ordinal(d.day)} of {_MONTHS[d.month - 1]}, {d.year}",
    lambda d: f"the {ordinal(d.day)} of {_MONTHS[d.month - 1]}, {spoken(d.year)}",
    lambda d: f"{d.year}/{d.month:02}/{d.day:02}",
    lambda d: f"{d.day}. {_MONATE[d.month - 1]} {d.year}",
    lambda d: f"{_WOCHENTAGE[d.weekday()]}, den {d.day}. {_MONATE[d.month - 1]} {d.year}",
    lambda d: f"am {ordnungszahl(d.day)} {_MONATE[d.month - 1]} {d.year}",
    lambda d: f"{d.day:02}.{d.month:02}.{d.year}",
    lambda d: f"{d.day}.{d.month}.{d.year % 100:02}",
)


def days() -> tuple[list[Day], list[Day]]:
    """All days to train on, and those held out."""
    first, last = Day(YEARS[0], 1, 1), Day(YEARS[-1], 12, 31)
    every = [Day.fromordinal(each) for each in range(first.toordinal(), last.toordinal() + 1)]
    held = [held_out(day.isoformat().encode()) for day in every]
    return (
        [day for day, out in zip(every, held, strict=True) if not out],
        [day for day, out in zip(every, held, strict=True) if out],
    )


def written(among: list[Day], count: int, draw: random.Random) -> tuple[list[str], list[str]]:
    """So many days in forms drawn at random, and in ISO form."""
    chosen = [(draw.choice(among), draw.choice(FORMS)) for _ in range(count)]
    return [form(day) for day, form in chosen], [day.isoformat() for day, _ in chosen]


def text_input() -> TokensInput:
    """A date in words: letters together, each digit alone, and the marks between numbers."""
    split = _text_input(PADDING, UNKNOWN).tokenizer.words
    one_year = [Day(2000, 1, 1) + dt.timedelta(each) for each in range(366)]
    every_year = [Day(year, 1, 1) for year in YEARS]
    words = {word for day in one_year + every_year for form in FORMS for word in split(form(day))}
    return _text_input(PADDING, UNKNOWN, *sorted(words))


def _text_input(*vocabulary: str) -> TokensInput:
    return TokensInput(vocabulary=vocabulary, pattern=r"\d|[^\W\d_]+|[./]", longest=LONGEST)


def iso_answer() -> Sequence:
    """The ISO form, character by character."""
    return Sequence(
        vocabulary=(PADDING, UNKNOWN, END, "-", *"0123456789"), longest=11, joiner="", aligned=True
    )
