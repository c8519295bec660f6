"""`regard verify` on a real server: both endpoints of both kinds of answer, and another graph's answers."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.serving.conftest import Served
from typer.testing import CliRunner

from regard.contract.goldens import read_goldens, write_answers
from regard.contract.reading import card_from_file
from regard.errors import InferenceError, InvalidInput, UnknownName
from regard.serving.cli.app import app
from regard.serving.protocol.address import address_of
from regard.serving.protocol.connect import connect
from regard.serving.protocol.credentials import Credentials
from regard.serving.verify.goldens import verify
from regard.serving.verify.served import verify_served


@pytest.fixture(params=["grpc", "http"])
def connection(served: Served, request: pytest.FixtureRequest) -> Any:
    url = served.grpc_url if request.param == "grpc" else served.http_url
    made = connect(address_of(url, request.param), Credentials())
    yield made
    made.close()


@pytest.mark.parametrize(("kind", "suffix"), [("classifier", ""), ("segmenter", "_image")])
def test_what_is_served_is_what_was_exported(served: Served, connection: Any, kind: str, suffix: str) -> None:
    model = getattr(served, kind)
    done = verify_served(connection, model + suffix, repository=served.repository)
    assert done.passed
    assert done.faults == ""
    assert [(check.endpoint, check.golden) for check in done.checks] == [
        (endpoint, golden.name)
        for endpoint in ("tensor", "image")
        for golden in read_goldens(served.repository / model / "1" / "goldens")
    ]
    assert max(check.error for check in done.checks) <= 1e-5
    assert done.version == "1"
    json.dumps(done.to_json(), allow_nan=False)


def test_another_networks_answers_are_noticed(served: Served, connection: Any, tmp_path: Path) -> None:
    version = served.repository / served.classifier / "1"
    goldens = Path(shutil.copytree(version / "goldens", tmp_path / "goldens"))
    answers = {golden.name: np.roll(golden.answer, 1) for golden in read_goldens(goldens)}
    write_answers(goldens / "answers.npz", answers)
    card = card_from_file(version / "card.json")
    done = verify(connection, served.classifier, card, read_goldens(goldens), version="1")
    assert not done.passed
    assert done.faults.startswith(
        "alpha.png at the tensor endpoint: departs from its own graph's answer: error "
    )
    assert done.faults.endswith(", and 11 of 12 more")
    write_answers(
        goldens / "answers.npz", {golden.name: golden.answer for golden in read_goldens(version / "goldens")}
    )
    write_answers(goldens / "reference.npz", answers)
    done = verify(connection, served.classifier, card, read_goldens(goldens), version="1")
    assert "departs from PyTorch" in done.faults


def test_what_cannot_be_verified(served: Served, connection: Any, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="no ready model named 'nothing_image'"):
        verify_served(connection, "nothing_image", repository=served.repository)
    with pytest.raises(UnknownName, match="no ready model named 'nothing'"):
        verify_served(connection, "nothing", repository=served.repository)
    with pytest.raises(InvalidInput, match=r"holds no card\.json: name the repository that is served"):
        verify_served(connection, served.classifier, repository=tmp_path)
    card = card_from_file(served.repository / served.classifier / "card.json")
    with pytest.raises(InvalidInput, match="has no goldens"):
        verify(connection, served.classifier, card, ())
    goldens = read_goldens(served.repository / served.classifier / "1" / "goldens")
    with pytest.raises(InvalidInput, match="was never proven"):
        verify(connection, served.classifier, card.updated(certificates=()), goldens)
    gone = verify(connection, "nothing", card, goldens[:1], endpoints=["tensor"])
    assert "no model named 'nothing'" in gone.faults


def test_the_command(served: Served, tmp_path: Path) -> None:
    arguments = ["verify", served.classifier, "--url", served.grpc_url]
    record = tmp_path / "records" / "verified.json"
    ours = [*arguments, "--repository", str(served.repository)]
    result = CliRunner().invoke(app, [*ours, "--record", str(record)], catch_exceptions=False)
    assert result.exit_code == 0
    assert "answers as it was exported" in result.stdout
    kept = json.loads(record.read_text())
    assert kept["passed"]
    assert kept["address"] == served.grpc_url
    assert kept["processor"]
    shown = CliRunner().invoke(app, [*ours, "--json"], catch_exceptions=False)
    assert json.loads(shown.stdout)["model"] == served.classifier
    # the other model's artifact: its labels, its images and its answers
    other = served.repository / served.segmenter / "1"
    with pytest.raises(InferenceError, match="not what was exported: alpha.png at the tensor endpoint"):
        CliRunner().invoke(app, [*arguments, "--artifact", str(other)], catch_exceptions=False)
