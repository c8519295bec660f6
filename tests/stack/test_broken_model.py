"""A model that cannot be served, beside others that can."""

import numpy as np
import pytest
from tests.serving.conftest import CLASSES
from tests.stack.compose import Stack
from tests.stack.gateway import GatewayKeys
from tests.stack.models import ARITHMETIC, BROKEN, TRAINED

from regard import Client
from regard.errors import RegardError

pytestmark = pytest.mark.stack


def test_it_does_not_keep_the_others_from_serving(client: Client, keys: GatewayKeys) -> None:
    said = keys.status("a")["models"]
    assert said[BROKEN]["state"] == "refused"
    assert said[BROKEN]["reason"]
    assert {said[name]["state"] for name in (TRAINED, ARITHMETIC)} == {"ok"}
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    with pytest.raises(RegardError):
        client.segment(BROKEN, [pixels])
    (result,) = client.segment(ARITHMETIC, [pixels])
    np.testing.assert_array_equal(result.label_map, pixels.max(2) % CLASSES)


def test_the_smoke_test_tells_it(stack: Stack) -> None:
    finished = stack.start("--profile", "client", "run", "--rm", "--no-deps", "client")
    assert finished.returncode == 1
    assert finished.stdout.count("answers as it was exported") == 4  # two models, by two protocols
    assert finished.stdout.count(f" {BROKEN}: ") == 2
