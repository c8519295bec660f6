"""A model's answers to every image of a store, exactly once each, in a folder of Parquet files.

part-00000-000017.parquet   rows of answers, see rows.py; there whole, or not at all
_regard/                    what the output is of, and which image belongs to which part: job.py, plan.py

A part that is there is done; so a run that was killed goes on where it stopped.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from regard.errors import InvalidInput
from regard.serving.batch.images import ImageSource, image_source
from regard.serving.batch.job import Job
from regard.serving.batch.model import Model
from regard.serving.batch.plan import Part, plan
from regard.serving.batch.storage import Storage, open_storage
from regard.serving.batch.worker import Done, Worker
from regard.serving.one_image import check_one_image

PART = 256  # images: minutes of work at most, and files of some size
TOP = 5

Pool: TypeAlias = Callable[[Worker, Sequence[Part]], Iterable[Done]]


@dataclass(frozen=True)
class Summary:
    """What a run did.

    Attributes:
        output: its URL.
        images: that the output answers now; done before is what earlier runs did of them.
        failed: of the images of this run, rows with an error.
        parts: files written by this run.
        seconds: that this run computed.
    """

    output: str
    images: int
    done_before: int
    failed: int
    parts: int
    seconds: float

    @property
    def images_per_second(self) -> float:
        """Of this run."""
        return (self.images - self.done_before) / self.seconds if self.seconds else 0.0


def in_turn(worker: Worker, parts: Sequence[Part]) -> Iterable[Done]:
    """The pool without one: every part here, one after the other."""
    return map(worker.compute, parts)


def batch(
    model: Model,
    source: str,
    output: str,
    *,
    column: str | None = None,
    part_size: int = PART,
    top: int = TOP,
    limit: int | None = None,
    pool: Pool = in_turn,
    begin: Callable[[int, int], None] = lambda images, done: None,
    watch: Callable[[Done], None] = lambda done: None,
) -> Summary:
    """Answer the images that the output does not answer yet.

    Args:
        model: that answers.
        source: path or URL of a folder of images; or of a Parquet file or a folder of some.
        output: path or URL of a folder, which is made where it is missing.
        column: of Parquet files: whole images, or paths.
        part_size: images of a part, which is what a killed worker computes again; earlier parts keep theirs.
        top: classes of a classification in a row.
        limit: images of the source, the first ones.
        pool: who computes; `regard.serving.batch.ray_pool.on_ray` does so on many processors.
        begin: told how many images the output is of, and how many are done.
        watch: told of every part that is done.

    Raises:
        InvalidInput: no images; a model of more than one image at a time; an output of something else, or
            inside the source; a storage that fails.
        RegardError: the model does not answer.
    """
    images, target = image_source(source, column), open_storage(output)
    _check_apart(images, target)
    opened = model.open()
    card = opened.client.card(opened.name, version=opened.version)
    opened.client.close()
    check_one_image(card, "a batch of images", instead="ask it from Python, by Client.ask or in sessions")
    job = Job(opened.identity(), card.task, images.url, column, top)
    job.claim(target)
    parts = plan(target, images.keys(), part_size, limit)
    there = set(target.files())
    ahead = [part for part in parts if part.file not in there]
    total, left = (sum(len(part.keys) for part in some) for some in (parts, ahead))
    begin(total, total - left)
    started, failed = time.perf_counter(), 0
    if ahead:
        for done in pool(Worker(job, model, images, target), ahead):
            failed += done.failed
            watch(done)
    target.remove_drafts()
    seconds = time.perf_counter() - started
    return Summary(target.url, total, total - left, failed, len(ahead), seconds)


def _check_apart(images: ImageSource, output: Storage) -> None:
    if f"{output.url}/".startswith(f"{images.url}/"):
        raise InvalidInput(
            f"the output {output.url} lies in the input, of which it would become a part; give one outside"
        )
