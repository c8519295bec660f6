"""What is judged: an artifact in this process, a served model, or a network in PyTorch. All decode and fit an
image by the same code, and answer with the client's results.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from regard.contract.card import Card
from regard.serving.client.batches import batches
from regard.serving.client.images import ImageLike, items
from regard.serving.client.sync import Client
from regard.serving.client.tasks import Classify, Segment
from regard.serving.client.version import Version
from regard.serving.evaluate.metrics.metrics import Result

if TYPE_CHECKING:
    from torch import nn

    from regard.export.artifact import Artifact


@dataclass(frozen=True)
class Subject:
    """A model that answers.

    Attributes:
        name: the model's.
        way: how it is run.
        graph: the file that is run, where it is known here.
        answers: images to their results, in their order; a classifier's `top` holds all labels. It reads
            ahead, and raises the error of a bad image.
    """

    name: str
    way: str
    card: Card
    answers: Callable[[Iterator[ImageLike]], Iterator[Result]]
    graph: Path | None = None

    def answer(self, image: ImageLike) -> Result:
        """The result of one image."""
        (result,) = self.answers(iter([image]))
        return result


def served(client: Client, model: str, *, version: Version = "") -> Subject:
    """A model on a server, several requests in flight.

    version: of the model; by default the server's choice, the latest.

    Raises:
        RegardError: no server, or no such model.
    """
    card = client.card(model, version=version)

    def answers(images: Iterator[ImageLike]) -> Iterator[Result]:
        if card.task == "segmentation":
            return client.segment(model, images, version=version)
        return client.classify(model, images, top_k=len(card.answer.labels), version=version)

    return Subject(model, "served", card, answers)


def artifact(folder: Path) -> Subject:
    """What `regard export` wrote, or a variant of it, by its runtime in this process.

    Raises:
        RegardError: as of `regard.serving.local.model.LocalModel`.
    """
    from regard.serving.local.model import LocalModel

    model = LocalModel(folder)
    return replace(served(model.client, model.name), way=f"{folder} in this process", graph=model.graph)


def opened(artifact: "Artifact") -> Subject:
    """An artifact, or a variant of one that may not be proven yet, by its runtime in this process.

    Raises:
        ExportError: that does not take its graph.
    """
    from regard.serving.local.model import local_client

    model = served(local_client(artifact), artifact.card.name)
    return replace(model, way=f"{artifact.folder} in this process", graph=artifact.model)


def network(module: "nn.Module", card: Card) -> Subject:
    """A network by PyTorch in this process, as a graph's proof runs it; neighbours of one size at once."""
    from regard.export.plain import plain
    from regard.export.proof.network_runner import NetworkRunner

    runner = NetworkRunner(plain(module.eval()), card)
    task = Segment(card) if card.task == "segmentation" else Classify(card, len(card.answer.labels))

    def answers(images: Iterator[ImageLike]) -> Iterator[Result]:
        for batch in batches(items(images), card, decode=True):
            if batch.refused:
                raise batch.refused
            yield from task.results({**runner.run(batch.tensors())}, batch.given)

    return Subject(card.name, runner.name, card, answers)
