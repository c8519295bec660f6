"""Who is with Triton, and who is not sent there any more."""

import asyncio
import sys
from typing import Any

import pytest

from regard.serving.triton.front.app import instances_of, most_at_once
from regard.serving.triton.front.places import AHEAD, CallerGone, Places


def run(most: int, gone: set[int], *, cancelled: int | None = None) -> tuple[list[int], int, list[Any]]:
    """Five callers for so many places: who had one, how many at most had one at a time, and all outcomes."""
    had: list[int] = []
    now, peak = 0, 0

    async def caller(places: Places, number: int) -> int:
        nonlocal now, peak
        async with places.place(lambda: number in gone):
            had.append(number)
            now += 1
            peak = max(peak, now)
            await asyncio.sleep(0.01)
            now -= 1
        return number

    async def main() -> list[Any]:
        places = Places(most)
        tasks = [asyncio.create_task(caller(places, number)) for number in range(5)]
        await asyncio.sleep(0)
        if cancelled is not None:
            tasks[cancelled].cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        async with places.place(lambda: False):  # none has been lost
            pass
        return outcomes

    outcomes = asyncio.run(main())
    return had, peak, outcomes


def test_first_come_first_served_and_no_more_than_there_are_places() -> None:
    assert run(2, set())[:2] == ([0, 1, 2, 3, 4], 2)
    assert run(1, set())[:2] == ([0, 1, 2, 3, 4], 1)


def test_who_has_gone_takes_no_place() -> None:
    had, _, outcomes = run(1, {1, 2, 4})
    assert had == [0, 3]
    assert [isinstance(each, CallerGone) for each in outcomes] == [False, True, True, False, True]


@pytest.mark.parametrize("cancelled", [0, 2])
def test_a_task_that_is_cancelled_leaves_its_place(cancelled: int) -> None:
    had, _, outcomes = run(1, set(), cancelled=cancelled)
    assert isinstance(outcomes[cancelled], asyncio.CancelledError)
    assert set(range(5)) - {cancelled} <= set(had)


def test_who_has_gone_and_is_cancelled_in_the_same_moment_gives_back_no_place() -> None:
    async def main() -> None:
        places = Places(1)
        async with places.place(lambda: False):
            gone = asyncio.create_task(places.place(lambda: True).__aenter__())
            await asyncio.sleep(0)
        gone.cancel()  # after his turn came, and before he was told
        assert isinstance((await asyncio.gather(gone, return_exceptions=True))[0], asyncio.CancelledError)
        async with places.place(lambda: False):
            second = asyncio.create_task(places.place(lambda: False).__aenter__())
            await asyncio.sleep(0.01)
            assert not second.done(), "there is one place"
        await second

    asyncio.run(main())


@pytest.mark.parametrize(
    ("config", "instances", "most"),
    [
        ({"instance_group": [{"count": 2}]}, 2, 2 * AHEAD),
        ({"instance_group": [{"count": 2, "gpus": [0, 1]}, {"count": 1}]}, 5, 5 * AHEAD),
        ({"instance_group": [{"count": 1}], "max_batch_size": 8}, 1, AHEAD),
        ({"instance_group": [{"count": 1}], "max_batch_size": 8, "dynamic_batching": {}}, 1, 8 * AHEAD),
        ({"ensemble_scheduling": {}}, 1, sys.maxsize),
    ],
)
def test_as_many_as_keep_the_instances_busy(config: dict[str, Any], instances: int, most: int) -> None:
    assert (instances_of(config), most_at_once(config)) == (instances, most)
