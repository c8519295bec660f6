"""Limits of control groups, written as both versions of the kernel's files."""

from pathlib import Path

import pytest

from regard.serving.machine.cgroup import Limits, limits

GIB = 2**30


def process(folder: Path, groups: str, mounts: list[tuple[str, str, str, str]]) -> Path:
    """A process's folder below /proc: its groups, and mounts of (root, place, type, options)."""
    made = folder / "process"
    made.mkdir()
    (made / "cgroup").write_text(groups)
    lines = [f"31 23 0:28 {root} {place} rw - {kind} cgroup {how}" for root, place, kind, how in mounts]
    (made / "mountinfo").write_text("".join(f"{line}\n" for line in lines))
    return made


def group(folder: Path, **files: str) -> None:
    """A group's folder with its files; the first _ of a name stands for a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".", 1)).write_text(text + "\n")


@pytest.mark.parametrize(
    ("inner", "found"),
    [
        ({"cpu_max": "max 100000", "memory_max": "max"}, Limits(4.0, 8 * GIB)),
        ({"cpu_max": "150000 100000", "memory_max": str(GIB)}, Limits(1.5, GIB)),
        ({"cpu_max": "800000 100000"}, Limits(4.0, 8 * GIB)),
        ({}, Limits(4.0, 8 * GIB)),
    ],
)
def test_version_2(tmp_path: Path, inner: dict[str, str], found: Limits) -> None:
    top = tmp_path / "cgroup"
    group(top / "service", cpu_max="400000 100000", memory_max=str(8 * GIB))
    group(top / "service" / "worker", **inner)
    assert limits(process(tmp_path, "0::/service/worker\n", [("/", str(top), "cgroup2", "rw")])) == found


def test_version_1(tmp_path: Path) -> None:
    groups = "4:memory:/docker/1\n1:cpu,cpuacct:/docker/1\n0::/\n"
    mounts = [
        ("/", str(tmp_path / "memory"), "cgroup", "rw,memory"),
        ("/", str(tmp_path / "cpu"), "cgroup", "rw,cpu,cpuacct"),
    ]
    group(tmp_path / "memory" / "docker" / "1", memory_limit_in_bytes=str(2 * GIB))
    group(tmp_path / "memory", memory_limit_in_bytes="9223372036854771712")
    group(tmp_path / "cpu" / "docker" / "1", cpu_cfs_quota_us="50000", cpu_cfs_period_us="100000")
    assert limits(process(tmp_path, groups, mounts)) == Limits(0.5, 2 * GIB)


def test_in_a_container_the_mount_is_the_group_itself(tmp_path: Path) -> None:
    top = tmp_path / "cgroup"
    group(top, cpu_max="200000 100000", memory_max="max")
    mounts = [("/docker/1", str(top), "cgroup2", "rw")]
    assert limits(process(tmp_path, "0::/docker/1\n", mounts)) == Limits(2.0, None)


def test_without_limits_or_without_the_kernels_files(tmp_path: Path) -> None:
    top = tmp_path / "cgroup"
    group(top, cpu_cfs_quota_us="-1", memory_limit_in_bytes="9223372036854771712")
    assert limits(process(tmp_path, "1:memory,cpu:/\n", [("/", str(top), "cgroup", "rw,memory,cpu")])) == (
        Limits()
    )
    assert limits(tmp_path / "nothing") == Limits()
