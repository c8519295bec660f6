"""Reading a map along a flow: the identity, shifts, and the bilinear kernel written out."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from regard.export.graph.opset import OPSET
from regard.export.graph.tracing import Input, to_onnx
from regard.models.parts.either import changed_if_any
from regard.models.parts.warp import resize_flow, warp


def naive(x, flow):
    """One map (C, H, W) read along (2, H, W): the sum over all positions of the bilinear kernel."""
    height, width = x.shape[1:]
    out = np.zeros_like(x)
    for i in range(height):
        for j in range(width):
            column = np.clip(j + flow[0, i, j], 0, width - 1)
            row = np.clip(i + flow[1, i, j], 0, height - 1)
            for r in range(height):
                for c in range(width):
                    kernel = max(0, 1 - abs(column - c)) * max(0, 1 - abs(row - r))
                    out[:, i, j] += kernel * x[:, r, c]
    return out


@pytest.mark.parametrize("size", [(5, 7), (1, 4), (3, 1)])
def test_equation(draw, size):
    x, flow = draw(2, 3, *size), 2 * draw(2, 2, *size, seed=1)
    found = warp(x, flow).numpy()
    for b in range(2):
        assert np.abs(found[b] - naive(x[b].numpy(), flow[b].numpy())).max() < 1e-12


def test_no_flow_is_the_identity(draw):
    x = draw(2, 3, 9, 13)
    assert (warp(x, torch.zeros_like(x[:, :2])) - x).abs().max() < 1e-13
    single = x.float()
    assert (warp(single, torch.zeros_like(single[:, :2])) - single).abs().max() < 1e-5


def test_a_flow_of_whole_pixels_is_a_shift(draw):
    x = draw(1, 3, 6, 8)
    flow = torch.tensor([2.0, -1.0], dtype=x.dtype)[None, :, None, None].expand(1, 2, 6, 8)
    assert (warp(x, flow)[:, :, 1:, :-2] - x[:, :, :-1, 2:]).abs().max() < 1e-13


def test_several_flows_of_one_map_lie_one_below_the_other(draw):
    x, flow = draw(2, 3, 4, 5), draw(2, 2, 12, 5, seed=1)
    apart = torch.cat([warp(x, part) for part in flow.split(4, dim=2)], dim=2)
    assert torch.equal(warp(x, flow), apart)


def test_a_flow_grows_with_its_map(draw):
    flow = torch.tensor([3.0, -1.0])[None, :, None, None].expand(1, 2, 4, 5)
    grown = resize_flow(flow, torch.zeros(1, 7, 8, 20))
    assert torch.allclose(grown, torch.tensor([12.0, -2.0])[None, :, None, None].expand(1, 2, 8, 20))


class Carried(nn.Module):
    """Each map along a flow of its own first two."""

    def forward(self, x):
        needed = x[:, :1, 0, 0] < torch.inf
        return changed_if_any(needed, lambda x, kept: warp(kept, 2 * x[:, :2].abs()), x, x)


def test_in_a_branch_of_a_graph_it_takes_any_size(draw):
    network, x = Carried(), Input(draw(1, 3, 4, 6).float(), {2: "height", 3: "width"})
    model = to_onnx(network, {"x": x}, ["y"], opset=OPSET, name="carried")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for size in ((5, 7), (1, 4), (3, 1)):
        x = draw(1, 3, *size).float()
        (found,) = session.run(None, {"x": x.numpy()})
        assert np.allclose(found, network(x), atol=1e-5)
