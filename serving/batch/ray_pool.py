"""Workers of a batch as actors of Ray Data, on this machine or on a cluster.

Ray carries descriptions of parts to the workers and counts of images back; images and answers go between a
worker and the storage. A worker that dies is started again, and what it was at is computed again.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from regard.errors import InvalidInput, RegardError, ServerError
from regard.serving.batch.plan import Part
from regard.serving.batch.ray_running import ray_running
from regard.serving.batch.run import Pool
from regard.serving.batch.worker import Done, Worker

DEATHS = 3  # of the workers that compute a part, before it is given up


def on_ray(workers: int | None = None, *, address: str | None = None) -> Pool:
    """A pool of actors, each on a processor of its own.

    workers: how many; by default as many as there are processors.
    address: of a Ray cluster, on whose machines regard, the model and the images are reached in the same way
        as here; by default as of `ray_running`.
    """

    def pool(worker: Worker, parts: Sequence[Part]) -> Iterator[Done]:
        with ray_running(workers, address) as processors:
            count = min(workers or processors, len(parts))
            if count > processors:
                raise InvalidInput(
                    f"the cluster has {processors} processors, and {workers} workers need one each"
                )
            with _quiet():
                yield from _computed(worker, parts, count)

    return pool


class _Actor:
    """A worker in a process of Ray's."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def __call__(self, row: Mapping[str, Any]) -> dict[str, int]:
        part = Part(str(row["file"]), tuple(map(str, row["keys"])))
        return asdict(self._worker.compute(part))


def _computed(worker: Worker, parts: Sequence[Part], count: int) -> Iterator[Done]:
    import ray.data
    import ray.exceptions

    actor: Any = _Actor  # Ray makes it before it calls it
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.raise_original_map_exception = True
    rows = [{"file": part.file, "keys": list(part.keys)} for part in parts]
    done = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
        actor,
        fn_constructor_args=(worker,),
        compute=ray.data.ActorPoolStrategy(size=count),
        num_cpus=1,
        ray_remote_args_fn=lambda: {"max_task_retries": DEATHS - 1},
    )
    try:
        for row in done.iter_rows():
            yield Done(int(row["images"]), int(row["failed"]))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, RegardError):
            raise error.cause from None
        raise
    except ray.exceptions.RayActorError:
        raise ServerError(
            f"a part of the batch was given up: {DEATHS} workers died at it one after the other. Try fewer "
            "workers, which take less memory; else an image kills them: smaller parts show which"
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the words of Ray Data, which are of its insides."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ray.data  # sets its loggers up

        logger = logging.getLogger(ray.data.__name__)
        level = logger.level
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)
