"""What an operator must at least do: the bytes it must move, each input read once and each answer written
once, and its operations.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class LocalShape:
    """Of local attention: `channels` in `groups`, footprints of side x side, on a map."""

    OPERATOR: ClassVar[str] = "local attention"
    batch: int
    channels: int
    groups: int
    side: int
    height: int
    width: int

    def __str__(self) -> str:
        return (
            f"{self.OPERATOR} k={self.side}, {self.batch}x{self.channels}x{self.height}x{self.width}, "
            f"{self.groups} groups"
        )

    @property
    def values(self) -> int:
        """Read, a margin around the map included; written; and weights, read."""
        seen = (self.height + self.side - 1) * (self.width + self.side - 1)
        position = self.channels + self.groups * self.side**2
        return self.batch * (self.channels * seen + position * self.height * self.width)

    @property
    def operations(self) -> int:
        """A product and a sum for each channel of each position of a footprint."""
        return 2 * self.batch * self.channels * self.side**2 * self.height * self.width


@dataclass(frozen=True)
class CrossShape:
    """Of criss-cross attention: queries and keys of `depth`, values of `channels`, on a map."""

    OPERATOR: ClassVar[str] = "criss-cross attention"
    batch: int
    depth: int
    channels: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.OPERATOR}, {self.batch}x{self.channels}x{self.height}x{self.width}, depth {self.depth}"

    @property
    def values(self) -> int:
        """Queries, keys and values, read; the answer, written."""
        return 2 * self.batch * (self.depth + self.channels) * self.height * self.width

    @property
    def operations(self) -> int:
        """The products with the keys and those with the values; the exponentials are left out."""
        cross = self.height + self.width - 1
        return 2 * self.batch * (self.depth + self.channels) * cross * self.height * self.width


Shape = LocalShape | CrossShape


def floor_seconds(shape: Shape, itemsize: int, copy: float) -> float:
    """The time that the bytes alone take. itemsize: bytes of a value; copy: bytes per second that the card
    was measured to move, read and written.
    """
    return shape.values * itemsize / copy
