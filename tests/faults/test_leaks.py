"""The checkers of memory, descriptors and shared memory can fail."""

import os
from pathlib import Path

import pytest
from tests.faults import leaks
from tests.faults.leaks import MIB, Footprint, footprint
from tests.faults.soak import flat


def test_what_a_process_holds_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "SHARED_MEMORY", tmp_path)
    before = footprint([os.getpid()], [os.getpid()])
    held = b"x" * (40 * MIB)
    (tmp_path / "region").write_bytes(bytes(MIB))
    with (tmp_path / "file").open("wb"):
        after = footprint([os.getpid()], [os.getpid()])
    assert len(held) > 0
    found = after.growth(before, Footprint(memory=20 * MIB, descriptors=0, regions=0, shared=0))
    assert [line.split(" grew")[0] for line in found] == [
        "memory",
        "descriptors",
        "regions in /dev/shm",
        "/dev/shm",
    ]
    assert not before.growth(before, Footprint(0, 0, 0, 0))


@pytest.mark.parametrize(
    ("mebibytes", "wrong"),
    [
        ([100, 200, 300] + [300] * 6, False),  # pools that fill
        ([300] * 9, False),
        ([300] * 6 + [305] * 3, False),
        ([300] * 6 + [330] * 3, True),
        (list(range(300, 390, 10)), True),  # ever more
    ],
)
def test_memory_that_grows_is_seen(mebibytes: list[int], wrong: bool) -> None:
    assert (flat([MIB * each for each in mebibytes], 0.05) is not None) is wrong
