"""Which setups are tried."""

from collections.abc import Sequence

import pytest

from regard.errors import InvalidInput
from regard.serving.tune.setup import Setup, setups


def shares(cores: int, instances: Sequence[int] | None = None, threads: Sequence[int] | None = None):
    found = setups(
        ["float32"], cores, instances=instances, threads=threads, batching=lambda variant, threads: [False]
    )
    return [(setup.instances, setup.threads) for setup in found]


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        (1, [(1, 1)]),
        (2, [(2, 1), (1, 2), (1, 1)]),
        (6, [(6, 1), (3, 2), (2, 3), (1, 6), (1, 1)]),
        (16, [(8, 2), (4, 4), (2, 8), (1, 16), (1, 1)]),
        (13, [(1, 13), (1, 1)]),
    ],
)
def test_by_default_the_cores_are_shared_out_and_one_thread_is_tried(cores: int, expected: object) -> None:
    assert shares(cores) == expected


def test_numbers_that_are_asked_for() -> None:
    assert shares(4, [1, 2, 3]) == [(1, 4), (2, 2), (3, 1)]
    assert shares(4, None, [2]) == [(2, 2), (1, 2)]
    assert shares(4, [1, 4], [1, 2, 4]) == [(1, 1), (1, 2), (1, 4), (4, 1)]
    assert shares(4, [2, 2], [1]) == [(2, 1)]


def test_more_threads_than_cores_are_refused() -> None:
    with pytest.raises(InvalidInput, match="there are 2 cores, and instances 2,3 x threads 2 are more"):
        shares(2, [2, 3], [2])
    with pytest.raises(InvalidInput, match="instances 4 x threads of any number"):
        shares(2, [4])
    with pytest.raises(InvalidInput, match="1 or more, got 0"):
        shares(2, [0])


def test_every_variant_is_tried_with_the_batching_that_suits_it() -> None:
    found = setups(
        ["a", "b"],
        2,
        instances=[1],
        batching=lambda variant, threads: (False, True) if (variant, threads) == ("b", 2) else (False,),
    )
    assert found == [Setup("a", 1, 2, False), Setup("b", 1, 2, False), Setup("b", 1, 2, True)]
    assert [str(setup) for setup in found][1:] == [
        "b, 1 instance x 2 threads",
        "b, 1 instance x 2 threads, batching",
    ]
