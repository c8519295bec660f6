"""A model that is new to a deployment, and then another variant of it, for another runtime."""

from pathlib import Path

import numpy as np
import pytest
from tests.serving.deploy.local_stack import LocalStack
from tests.serving.deploy.rollout.conftest import QUICK
from tests.serving.variants import stripes, stripes_int8, variant_of

from regard.serving.client.sync import Client
from regard.serving.deploy.rollout.rollout import Place, roll_out
from regard.serving.deploy.rollout.settings import Settings, Teller
from regard.serving.deploy.rollout.snapshots import Addition

pytestmark = pytest.mark.slow


def test_a_new_model_and_then_its_int8_variant(stack: LocalStack, place: Place, tmp_path: Path) -> None:
    artifact = stripes(tmp_path / "stripes")
    int8 = variant_of(artifact, "int8", precision="int8", graph=stripes_int8(artifact))
    settings, tell = Settings(objectives=QUICK, mirror=0.2, watch=0.2, clients=2), Teller()
    addition = {"name": "stripes", "instances": 1}
    first = roll_out(place, Addition(artifact=artifact, **addition), settings, tell)  # type: ignore[arg-type]
    assert (first.version, first.before, first.figures["agreement"]) == (1, None, None)
    second = roll_out(place, Addition(artifact=int8, **addition), settings, tell)  # type: ignore[arg-type]
    assert (second.version, second.before, second.colour) == (2, 1, "a")
    assert second.figures["least_agreement"] == 0.99
    models = stack.status("a")["models"]
    assert {name: models[name]["versions"] for name in ("stripes", "largest")} == {
        "stripes": [2],
        "largest": [1],
    }
    image = np.random.default_rng(1).integers(0, 256, (16, 16, 3), np.uint8)
    gateway = stack.gateway
    with Client(gateway.grpc_url, ca=gateway.ca, api_key=gateway.api_key) as client:
        (result,) = client.classify("stripes", [image])
    assert result.label in artifact.card.answer.labels
