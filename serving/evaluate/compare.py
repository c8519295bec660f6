"""Several models on the same labelled images, side by side: every one answers an image before the next comes,
and who begins turns by one each time, so that a slow minute of the machine falls on all of them.
"""

import time
from collections.abc import Callable, Sequence

from regard.contract.answers import Classes
from regard.errors import InvalidInput
from regard.serving.evaluate.agreement import agreement
from regard.serving.evaluate.comparison import Compared, Comparison
from regard.serving.evaluate.data import Data
from regard.serving.evaluate.metrics import metrics_of
from regard.serving.evaluate.metrics.metrics import Judged, Result
from regard.serving.evaluate.run import check_ignored
from regard.serving.evaluate.subject import Subject


def compare(
    subjects: Sequence[Subject],
    data: Data,
    *,
    ignore_index: int | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Comparison:
    """Ask every model for every image, one at a time. Neither images nor answers are kept.

    Before that each answers the first image once, so that nobody's latency holds what happens only once.

    Args:
        subjects: two or more, of the same labels. The others are held against the first.
        data: as of `find_data` for the first one's Card.
        ignore_index: of pixels without a label, in place of the first one's Card's.
        advance: called when all have answered an image.

    Raises:
        InvalidInput: they cannot be compared, or as of `regard.serving.evaluate.run.evaluate`.
        RegardError: a model does not answer.
    """
    check_comparable(subjects)
    card = subjects[0].card
    if ignore_index is not None:
        check_ignored(ignore_index, subjects[0])
    metrics = [metrics_of(card, ignore_index=ignore_index) for _ in subjects]
    each: list[list[Judged]] = [[] for _ in subjects]
    agreements: list[list[float]] = [[] for _ in subjects]
    seconds: list[list[float]] = [[] for _ in subjects]
    for subject in subjects:
        subject.answer(data.images[0].image)
    for turn, image in enumerate(data.images):
        results: dict[int, Result] = {}
        for place in in_turn(len(subjects), turn):
            started = time.perf_counter()
            results[place] = subjects[place].answer(image.image)
            seconds[place].append(time.perf_counter() - started)
        for place, result in results.items():
            each[place].append(metrics[place].add(image, result))
            agreements[place].append(agreement(card, results[0], result))
        advance()
    return Comparison(
        data,
        [
            Compared(subject, metrics[place].figures(), each[place], agreements[place], seconds[place])
            for place, subject in enumerate(subjects)
        ],
    )


def in_turn(count: int, turn: int) -> list[int]:
    """Who answers after whom: 0, 1, 2, then 1, 2, 0, and so on."""
    return [(place + turn) % count for place in range(count)]


def check_comparable(subjects: Sequence[Subject]) -> None:
    """Refuse models whose answers do not mean the same.

    Raises:
        InvalidInput: fewer than two; another task, labels or order of them. Names what differs.
    """
    if len(subjects) < 2:
        raise InvalidInput(f"two models or more can be compared, got {len(subjects)}")
    first = subjects[0]
    for other in subjects[1:]:
        if difference := _difference(first, other):
            raise InvalidInput(
                f"{other.name} cannot be compared with {first.name}: {difference}. Compare models of one "
                "task and the same labels in the same order"
            )


def _difference(first: Subject, other: Subject) -> str | None:
    mine, theirs = first.card.answer, other.card.answer
    if mine.task != theirs.task:
        return f"it is a model of {theirs.task}, the other of {mine.task}"
    if isinstance(mine, Classes) and isinstance(theirs, Classes) and mine.activation != theirs.activation:
        apply = {"softmax": "exclude each other", "sigmoid": "apply together"}
        return f"its labels {apply[theirs.activation]}, the other's {apply[mine.activation]}"
    if len(mine.labels) != len(theirs.labels):
        return f"it has {len(theirs.labels)} labels, the other {len(mine.labels)}"
    for number, (label, its) in enumerate(zip(mine.labels, theirs.labels, strict=True)):
        if label != its:
            return f"its label {number} is {its!r}, the other's {label!r}"
    return None
