"""One worker of a batch: a part's images to a file of rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from regard.errors import InferenceError, InvalidInput
from regard.serving.batch.images import ImageSource
from regard.serving.batch.job import Job
from regard.serving.batch.model import Model, OpenModel
from regard.serving.batch.plan import Part
from regard.serving.batch.rows import Result, parquet_of, row_of
from regard.serving.batch.storage import Storage

MANY = 8  # images; so many that failed on the server, and no other, are not the images' fault


@dataclass(frozen=True)
class Done:
    """What became of a part: how many images it holds, and how many of them failed."""

    images: int
    failed: int


@dataclass
class Worker:
    """Computes parts, whole or not at all. The same part gives the same file, so that it does no harm if one
    is computed twice: by a worker that was thought dead, or by two runs at the same time.
    """

    job: Job
    model: Model
    source: ImageSource
    output: Storage

    @cached_property
    def _model(self) -> OpenModel:
        opened = self.model.open()
        self._check(opened)
        return opened

    def compute(self, part: Part) -> Done:
        """Ask the model for every image of a part, and write its file.

        Raises:
            RegardError: what concerns all images: no server, another model than before, no storage.
        """
        model = self._model
        rows, faults = [], []
        for key, result in zip(part.keys, self._results(model, part), strict=True):
            if isinstance(result, InferenceError):
                faults.append(result)
            rows.append(row_of(key, result))
        if len(faults) == len(rows) >= MANY:
            raise faults[0]
        self._check(model)
        self.output.write(part.file, parquet_of(rows, self.job.task, self.job.to_json()))
        return Done(len(rows), sum("error" in row for row in rows))

    def _results(self, model: OpenModel, part: Part) -> Iterator[Result]:
        images = self.source.images(part.keys)
        given: dict[str, Any] = {"version": model.version, "on_error": "return"}
        if self.job.task == "segmentation":
            return model.client.segment(model.name, images, **given)
        return model.client.classify(model.name, images, top_k=self.job.top, **given)

    def _check(self, model: OpenModel) -> None:
        """Refuse rows of two models in one output."""
        if (now := model.identity()) != self.job.model:
            differing = sorted(name for name in now if now[name] != self.job.model.get(name))
            raise InvalidInput(
                f"another model answers than when the batch began ({', '.join(differing)} changed); what was "
                "written before is of the first: bring that back, or give another output"
            )
