"""The model that answers a batch: described so that every worker opens it for itself."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from regard.contract.card import Card
from regard.serving.client.sync import Client

Identity = dict[str, str]  # what must stay the same for all rows of an output


@dataclass(frozen=True)
class OpenModel:
    """A model that is ready to be asked.

    Attributes:
        client: that asks it.
        name, version: under which it does.
        identity: looks who answers now.
    """

    client: Client
    name: str
    version: str
    identity: Callable[[], Identity]


class Model(Protocol):
    """What can be sent to a worker and opened there."""

    def open(self) -> OpenModel: ...


@dataclass(frozen=True)
class ArtifactModel:
    """What `regard export` wrote, or a variant of it, computed in the worker's process."""

    folder: Path

    def open(self) -> OpenModel:
        """Read and check the folder, and load its graph.

        Raises:
            RegardError: as of `regard.serving.local.model.LocalModel`.
        """
        from regard.export.variant import read_artifact_or_variant
        from regard.serving.local.model import local_client

        artifact = read_artifact_or_variant(self.folder)
        identity = {
            "way": "artifact",
            **_of_card(artifact.card),
            "runtime": artifact.runtime,
            "precision": artifact.precision,
            "graph_sha256": artifact.sha256,
        }
        return OpenModel(local_client(artifact), artifact.card.name, "", lambda: identity)


@dataclass(frozen=True)
class ServedModel:
    """A model on a server.

    server: how it is reached, as a Client takes it.
    """

    name: str
    version: str
    server: Mapping[str, Any] = field(repr=False)  # it holds keys

    def open(self) -> OpenModel:
        """Ask for its Card.

        Raises:
            RegardError: no server, or no such model.
        """
        client = Client(**self.server)
        client.card(self.name, version=self.version)
        return OpenModel(client, self.name, self.version, self._identity)

    def _identity(self) -> Identity:
        with Client(**self.server) as client:  # another would know the Card from before
            card = client.card(self.name, version=self.version)
        proven = {found.candidate_sha256 for found in card.certificates}
        graphs = ", ".join(sorted(each for each in proven if each))
        facts = {"served_as": self.name, "version": self.version or "latest", "graph_sha256": graphs}
        return {"way": "served", **_of_card(card), **facts}


def _of_card(card: Card) -> Identity:
    """What of a Card its answers hang on: not when it was proven, and with which tools."""
    text = card.updated(certificates=(), tools={}).to_json()
    return {"name": card.name, "card_sha256": hashlib.sha256(text.encode()).hexdigest()}
