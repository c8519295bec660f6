"""The images that were answered worst, with their answers, while all others pass by."""

import heapq
from dataclasses import dataclass

from regard.serving.evaluate.layouts import LabelledImage
from regard.serving.evaluate.metrics.metrics import Judged, Result


@dataclass(frozen=True)
class Kept:
    """An image and what was answered."""

    image: LabelledImage
    result: Result
    judged: Judged


class Worst:
    """Keeps the `count` images of the least score; of equal ones those that came first."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._heap: list[tuple[float, int, Kept]] = []  # its least is the best that is kept
        self._seen = 0

    def watch(self, image: LabelledImage, result: Result, judged: Judged) -> None:
        """See an image."""
        entry = (-judged.score, -self._seen, Kept(image, result, judged))
        self._seen += 1
        if len(self._heap) < self.count:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    def kept(self) -> list[Kept]:
        """The worst first."""
        return [kept for _, _, kept in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]
