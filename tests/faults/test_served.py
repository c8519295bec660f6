"""A real `regard serve`: a part of the malformed requests, and one kill, in a few seconds."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.faults.catalog import FAULTS
from tests.faults.malformed_grpc import request_of
from tests.faults.malformed_http import infer, tensor
from tests.faults.models import COLOUR, ENDPOINTS, artifacts, repository_of
from tests.faults.raw import Wire
from tests.faults.run import plant
from tests.faults.scene import SHORT, Scene
from tests.faults.servers import Serve

from regard.serving.protocol.grpc_codec import SERVICE

BRIEF = replace(SHORT, malformed=120)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("served")
    made = artifacts(folder / "artifacts")
    server = Serve(repository_of(made, folder / "repository"))
    try:
        server.wait_until_ready(ENDPOINTS)
        yield Scene(server, BRIEF, folder, made)
    finally:
        server.stop()


def test_the_malformed_are_one_change_away_from_what_is_answered(scene: Scene) -> None:
    wire = Wire(scene.server)
    assert wire.http(infer(COLOUR, tensor(), kind="right").content) == "200"
    assert wire.grpc(f"{SERVICE}ModelInfer", request_of().SerializeToString()) == "OK"
    answered = wire.refused(infer(COLOUR, tensor(), kind="right"))
    assert (answered.outcome, answered.said.startswith("right: 200")) == ("lost", True)
    wire.close()


@pytest.mark.parametrize("name", ["malformed requests", "kill -9 of a model's process"])
def test_nothing_is_lost(scene: Scene, name: str) -> None:
    (fault,) = [fault for fault in FAULTS if fault.name == name]
    result = plant(fault, replace(scene, events=[], notes=[], faults=[]), "serve")
    assert (result.standing.reasons, result.others.reasons, result.faults) == ([], [], [])
    assert result.standing.right == result.standing.sent > 0
    assert result.others.refused == result.others.sent == (BRIEF.malformed if result.own else 0)
