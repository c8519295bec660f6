"""The same verb on a real embedded server that watches its repository."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from tests.serving.deploy.rollout.models import crashing
from typer.testing import CliRunner

from regard.errors import InvalidInput
from regard.export.artifact import Artifact
from regard.serving.cli.app import app
from regard.serving.client.sync import Client
from regard.serving.deploy.rollout.embedded import deploy_embedded, roll_back_embedded
from regard.serving.deploy.rollout.settings import Refused, Teller
from regard.serving.deploy.rollout.snapshots import Addition
from regard.serving.protocol.connection import Connection
from regard.serving.repository.listing import find
from regard.serving.triton import served_now
from regard.serving.triton.server import EmbeddedTriton
from regard.serving.triton.supervisor import Supervisor

LIMIT = 120.0
QUIET = Teller()


@pytest.fixture
def watching(repository: Path, embedded: Callable[..., EmbeddedTriton]) -> Iterator[EmbeddedTriton]:
    stop = threading.Event()
    with embedded(repository, watch=True, strict=False) as server:
        supervisor = threading.Thread(target=Supervisor(server, look=0.1, update=0.2).run, args=(stop,))
        supervisor.start()
        try:
            yield server
        finally:
            stop.set()
            supervisor.join()


def test_a_version_is_taken_up_or_taken_back(
    watching: EmbeddedTriton, repository: Path, biased: Artifact, tmp_path: Path
) -> None:
    """By the command line too, which goes back in the end; what cannot be loaded is taken back at once."""
    image = np.zeros((1, 48, 64, 3), np.uint8)
    where = ["--embedded", "--url", watching.grpc_url, "--repository", str(repository), "--json"]
    told = CliRunner().invoke(app, ["deploy", str(biased.folder), *where], catch_exceptions=False)
    assert json.loads(told.stdout) == {"model": "largest", "version": 2}
    with Client(watching.grpc_url) as client:
        assert (client.infer("largest", {"image": image})["label_map"] == 1).all()
        bad = Addition(artifact=crashing(tmp_path / "crashing"), name="largest")
        with pytest.raises(
            Refused, match="largest version 3 is not taken: the server refuses largest.*ended"
        ):
            deploy_embedded(repository, watching.connection, bad, QUIET, start=LIMIT)
        assert find(repository, "largest").versions == (1, 2)
        assert (client.infer("largest", {"image": image})["label_map"] == 1).all()
        told = CliRunner().invoke(app, ["deploy", "--rollback", "--name", "largest", *where])
        assert json.loads(told.stdout) == {"model": "largest", "version": 1}
        assert (client.infer("largest", {"image": image})["label_map"] == 0).all()
    with pytest.raises(InvalidInput, match="1 is the only version of largest"):
        roll_back_embedded(repository, "largest", QUIET, start=LIMIT)


def test_without_a_server_that_watches_nothing_is_changed(repository: Path, biased: Artifact) -> None:
    addition, none = Addition(artifact=biased, name="largest"), cast("Connection", None)
    with pytest.raises(
        InvalidInput, match="no server of this machine runs on .*; let `regard serve` watch it"
    ):
        deploy_embedded(repository, none, addition, QUIET, start=LIMIT)
    served_now.tell(repository, served_now.ServedNow(watches=False))
    with pytest.raises(InvalidInput, match="the server does not watch"):
        deploy_embedded(repository, none, addition, QUIET, start=LIMIT)
    reason = {"largest": "it is broken"}
    served_now.tell(repository, served_now.ServedNow(watches=True, refused=reason))
    with pytest.raises(InvalidInput, match="refuses what lies there of largest already: it is broken"):
        deploy_embedded(repository, none, addition, QUIET, start=LIMIT)
    assert find(repository, "largest").versions == (1,)


def test_a_version_is_taken_back_at_once_where_the_server_has_ended(
    repository: Path, biased: Artifact
) -> None:
    served_now.tell(repository, served_now.ServedNow(watches=True))
    ending = Teller(step=lambda line: served_now.forget(repository))
    with pytest.raises(Refused, match="largest version 2 is not taken: the server on .* has ended"):
        deploy_embedded(
            repository,
            cast("Connection", None),
            Addition(artifact=biased, name="largest"),
            ending,
            start=LIMIT,
        )
    assert find(repository, "largest").versions == (1,)
