"""How much memory an exported model takes, measured where nothing else runs: in a fresh process."""

import multiprocessing
import re
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from regard.serving.client.images import ImageLike
from regard.serving.evaluate.data import Data
from regard.serving.evaluate.subject import Subject, artifact

IMAGES = 16  # that it answers one by one
STATUS = Path("/proc/self/status")


def memory_of(subject: Subject, data: Data) -> int | None:
    """Bytes by which a process grows at most that opens the model's file and answers images; None of a model
    that has no file here.

    It is a spawned process: a script that calls this needs `if __name__ == "__main__":`.

    Raises:
        RegardError: the model does not answer.
    """
    if subject.graph is None:
        return None
    images = [image.image for image in data.images[:IMAGES]]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(_growth, subject.graph.parent, images).result()


def _growth(folder: Path, images: Sequence[ImageLike]) -> int:
    import onnxruntime  # noqa: F401 - its libraries are the same for every model, and not counted

    before = _resident("VmRSS")
    subject = artifact(folder)
    for image in images:
        subject.answer(image)
    return _resident("VmHWM") - before


def _resident(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", STATUS.read_text(), re.M)
    assert found is not None
    return 1024 * int(found[1])
