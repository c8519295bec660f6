"""The glimpse sensor against patches that are cut from a padded image by slices, at the edges too."""

import numpy as np
import pytest
import torch

from regard.export.graph.opset import OPSET
from regard.export.graph.tracing import Input, to_onnx
from regard.export.session import open_session
from regard.models.parts.glimpse import glimpse, glimpse_boxes


def retina(image: np.ndarray, x: float, y: float, size: int, scales: int) -> np.ndarray:
    """Pad, slice and average, in NumPy: (C, H, W) -> (scales C, size, size)."""
    channels, height, width = image.shape
    column, row = int(np.floor((x + 1) / 2 * width)), int(np.floor((y + 1) / 2 * height))
    patches = []
    for scale in range(scales):
        side, step = size * 2**scale, 2**scale
        canvas = np.pad(image, ((0, 0), (side, side), (side, side)))
        top, left = row - side // 2 + side, column - side // 2 + side
        patch = canvas[:, top : top + side, left : left + side]
        patches.append(patch.reshape(channels, size, step, size, step).mean(axis=(2, 4)))
    return np.concatenate(patches)


PLACES = [(0.0, 0.0), (-1.0, -1.0), (1.0, 1.0), (-1.0, 1.0), (0.31, -0.87), (-0.999, 0.62)]


@pytest.mark.parametrize("size", [1, 4, 5])
@pytest.mark.parametrize("scales", [1, 2, 3])
def test_is_the_padded_slice(size, scales, draw):
    x = draw(len(PLACES), 2, 9, 13)
    seen = glimpse(x, torch.tensor(PLACES, dtype=torch.float64), size, scales).numpy()
    for image, place, patch in zip(x.numpy(), PLACES, seen, strict=True):
        expected = retina(image, *place, size, scales)
        assert patch.shape == expected.shape
        assert np.abs(patch - expected).max() < 1e-15
        if scales == 1:
            assert np.array_equal(patch, expected)


def test_boxes_are_what_the_sharpest_patch_covers(draw):
    x, places = draw(1, 1, 12, 20), torch.tensor([[[0.0, 0.0], [-1.0, 0.5], [0.95, -0.2]]])
    boxes = glimpse_boxes(places, 4, width=20, height=12)
    for place, box in zip(places[0], boxes[0], strict=True):
        left, top, right, bottom = (box * torch.tensor([20, 12, 20, 12])).round().int().tolist()
        assert (right - left, bottom - top) == (4, 4)
        canvas = torch.nn.functional.pad(x, (8, 8, 8, 8))
        cut = canvas[:, :, top + 8 : bottom + 8, left + 8 : right + 8]
        assert torch.equal(glimpse(x, place[None].double(), 4), cut)


def test_exported_it_is_the_same_to_the_bit():
    class Sensor(torch.nn.Module):
        def forward(self, x, place):
            return glimpse(x, place, 4, 2)

    sizes = {0: "batch", 2: "height", 3: "width"}
    inputs = {
        "x": Input(torch.rand(2, 1, 9, 9), sizes),
        "place": Input(torch.rand(2, 2), {0: "batch"}),
    }
    model = to_onnx(Sensor().eval(), inputs, ["patches"], opset=OPSET, name="the sensor")
    assert [node.op_type for node in model.graph.node].count("GatherElements") == 4
    session = open_session(model.SerializeToString(), name="the sensor")
    x, place = torch.rand(len(PLACES), 1, 11, 8), torch.tensor(PLACES)
    (answer,) = session.run(None, {"x": x.numpy(), "place": place.numpy()})
    assert np.abs(answer - glimpse(x, place, 4, 2).numpy()).max() < 1e-6
    assert np.array_equal(answer[:, 0], glimpse(x, place, 4, 2)[:, 0].numpy())
