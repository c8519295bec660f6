"""An artifact in this process answers as the real server does."""

import numpy as np
import pytest
from tests.serving.conftest import Exported, Served, photo

from regard.errors import InvalidInput
from regard.serving.client.sync import Client
from regard.serving.local.model import LocalModel

IMAGES = [photo(seed, 40, 64) for seed in range(3)]


@pytest.fixture(params=["classifier", "segmenter"])
def exported(request: pytest.FixtureRequest) -> Exported:
    found: Exported = request.getfixturevalue(request.param)
    return found


def test_the_tensor_is_the_servers(served: Served, exported: Exported) -> None:
    model = LocalModel(exported.artifact.folder)
    assert (model.name, model.card) == (exported.card.name, exported.artifact.card)
    fitted = [exported.card.input.fit(image) for image in IMAGES]
    with Client(served.grpc_url) as client:
        for image in fitted:
            mine, theirs = (
                each.infer(model.name, {"image": image[None]})[model.card.answer.tensor]
                for each in (model.client, client)
            )
            assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape)
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)


def test_a_bad_image_has_its_name(classifier: Exported) -> None:
    model = LocalModel(classifier.artifact.folder)
    with pytest.raises(InvalidInput, match=r"images\[1\]: .*the 8 bytes are not"):
        [*model.client.classify(model.name, [IMAGES[0], b"no image"])]
