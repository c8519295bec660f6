"""The catalog in four shards. A commit's slow tests try one of them, which its hash tells: few commits pass
until all were tried.
"""

import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

COUNT = 4
COMMIT, ALL = "commit", "all"
OPTIONS = (COMMIT, ALL, *map(str, range(COUNT)))


@dataclass(frozen=True)
class Choice:
    """Which shards run, and why these."""

    shards: Collection[int]
    reason: str

    def __str__(self) -> str:
        return f"shard {', '.join(map(str, self.shards))} of the catalog's {COUNT} ({self.reason})"


def shard_of(name: str) -> int:
    """The shard that a network of the catalog is in, 0 to COUNT - 1; the same on every machine."""
    return crc32(name.encode()) % COUNT


def choose(option: str, root: Path) -> Choice:
    """What one of OPTIONS stands for in the checkout at `root`."""
    if option == ALL:
        return Choice(range(COUNT), "all of it")
    if option != COMMIT:
        return Choice([int(option)], "as asked")
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[0]
        return Choice([0], f"no commit: {said}")
    return Choice([int(found, 16) % COUNT], f"commit {found}")
