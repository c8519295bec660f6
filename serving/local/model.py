"""An exported model in this process: the answers of a server without one."""

from pathlib import Path

from regard.export.artifact import Artifact
from regard.export.variant import read_artifact_or_variant
from regard.serving.client.sync import Client
from regard.serving.local.transport import LocalTransport
from regard.serving.protocol.address import LOCAL

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
        artifact = read_artifact_or_variant(folder)
        self.card = artifact.card
        self.name = artifact.card.name
        self.graph = artifact.model
        self.client = local_client(artifact)


def local_client(artifact: Artifact) -> Client:
    """A client whose only model is an artifact, or a variant of one, in this process.

    Raises:
        ExportError: its runtime does not take its graph.
    """
    transport = LocalTransport(artifact)
    # the address is said in errors of servers that do not answer, and there is none
    return Client(LOCAL["grpc"], transport=transport, timeout=TIMEOUT, shared_memory=False)
