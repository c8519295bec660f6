"""The embedded server, which has no TensorRT, on a snapshot: by the link, and by the graphs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from tests.serving.conftest import CLASSES
from tests.serving.deploy.stand_in import SERVER, StandIn

from regard.serving.deploy.engine_snapshot import take_snapshot
from regard.serving.triton.server import EmbeddedTriton


def test_a_server_follows_the_link_when_it_starts_and_the_fallback_serves(
    repository: Path, tmp_path: Path, embedded: Callable[..., EmbeddedTriton], connect: Callable[..., object]
) -> None:
    """Whether a build failed or not. What is taken while it runs does not disturb it, though its own snapshot
    is removed in the end.
    """
    volume = tmp_path / "engines"
    volume.mkdir()
    broken = StandIn(largest=RuntimeError("a fault"))
    take_snapshot(repository, volume, SERVER, broken)
    assert (volume / "current" / "colour" / "1" / "model.plan").is_file()
    image = np.random.default_rng(0).integers(0, 256, (1, 48, 64, 3), np.uint8)
    with embedded(volume / "current") as server, connect(server.grpc_url) as infer:
        assert set(server.served) == {"colour", "colour_image", "largest", "largest_image"}
        red = np.full((1, 8, 8, 3), (255, 0, 0), np.uint8)
        assert infer("colour", red).as_numpy("probabilities").argmax() == 0
        for _ in range(3):
            answer = infer("largest", image).as_numpy("label_map")
            np.testing.assert_array_equal(answer, image.max(axis=3) % CLASSES)
            take_snapshot(repository, volume, SERVER, broken)
        assert (volume / "current").resolve().name == "4"
