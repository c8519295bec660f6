"""An exported model in this process: the answers of a server without one."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from regard.export.artifact import read_artifact
from regard.export.variant import VARIANT_FILE, read_variant
from regard.serving.client.batches import batches
from regard.serving.client.images import ImageLike, items
from regard.serving.client.sync import Client
from regard.serving.local.transport import LocalTransport
from regard.serving.protocol.address import LOCAL
from regard.serving.protocol.wire import Array

TIMEOUT = 86_400.0  # seconds: there is no server to give up


class LocalModel:
    """What `regard export` wrote, asked by a `regard.Client` that needs no server.

        model = LocalModel(Path("exported/garments"))
        for result in model.client.classify(model.name, ["bag.png", "coat.png"]):
            print(result.label, result.probability)

    Several threads may share one.

    Args:
        folder: of the artifact, or of one of its variants.

    Attributes:
        name, card: of the model.
        graph: its file.
        client: its only model is this one.

    Raises:
        InvalidInput: no artifact, or its parts contradict each other.
        ExportError: its runtime does not take its graph.
    """

    def __init__(self, folder: Path) -> None:
        is_variant = (folder / VARIANT_FILE).is_file()
        artifact = read_variant(folder) if is_variant else read_artifact(folder)
        self.card = artifact.card
        self.name = artifact.card.name
        self.graph = artifact.model
        # the address is said in errors of servers that do not answer, and there is none
        self.client = Client(
            LOCAL["grpc"], transport=LocalTransport(artifact), timeout=TIMEOUT, shared_memory=False
        )

    def answers(self, images: Iterable[ImageLike]) -> Iterator[Array]:
        """The tensor that a server would answer to each image alone: probabilities float32 (1, K), or a
        label map uint8 (1, height, width) of what the network saw.

        images: files' bytes, uint8 arrays (H, W, 3), or whatever else the client takes for an image.

        Raises:
            InvalidInput: a bad image.
            InferenceError: the graph fails on one, or answers NaN.
        """
        tensor = self.card.answer.tensor
        for item in items(iter(images)):
            for single in batches([item], self.card, decode=True):
                if single.refused:
                    raise single.refused
                model, name, pixels = single.tensor(self.name)
                yield self.client.infer(model, {name: pixels}, [tensor])[tensor]
