"""Work that is done only where an image needs it: the same answer, in a graph by an If."""

import onnxruntime
import torch
from torch import Tensor, nn

from regard.export.graph.opset import OPSET
from regard.export.graph.tracing import Input, to_onnx
from regard.models.parts.either import changed_if_any


class Smoothed(nn.Module):
    """Smooths the images that are marked."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor, needed: Tensor) -> Tensor:
        def change(x: Tensor, kept: Tensor) -> Tensor:
            return torch.where(needed[:, :, None, None] > 0, self.conv(x), kept)

        return changed_if_any(needed > 0, change, x, 2 * x)


def marked(*marks: float) -> Tensor:
    return torch.tensor(marks)[:, None]


def test_each_image_has_its_own_answer_and_none_costs_no_work():
    network, x, runs = Smoothed().eval(), torch.randn(3, 3, 4, 5), []
    network.conv.register_forward_hook(lambda *_: runs.append(1))
    assert torch.equal(network(x, marked(0, 0, 0)), 2 * x)
    assert not runs
    found = network(x, marked(0, 1, 0))
    assert len(runs) == 1
    assert torch.equal(found[[0, 2]], 2 * x[[0, 2]])
    assert torch.allclose(found[1], network.conv(x[1:2])[0], atol=1e-6)


def test_in_a_graph_the_work_lies_in_a_branch():
    network, dims = Smoothed().eval(), {0: "batch", 2: "height", 3: "width"}
    model = to_onnx(
        network,
        {
            "x": Input(torch.randn(1, 3, 4, 6).to(memory_format=torch.channels_last), dims),
            "needed": Input(marked(1), {0: "batch"}),
        },
        ["y"],
        opset=OPSET,
        name="smoothed",
    )
    assert "Conv" not in {node.op_type for node in model.graph.node}
    (branches,) = (node for node in model.graph.node if node.op_type == "If")
    works = [any(node.op_type == "Conv" for node in branch.g.node) for branch in branches.attribute]
    assert sorted(works) == [False, True]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = torch.randn(2, 3, 7, 5)  # of a size never traced
    for needed in (marked(0, 0), marked(1, 0), marked(1, 1)):
        (found,) = session.run(None, {"x": x.numpy(), "needed": needed.numpy()})
        assert torch.allclose(torch.from_numpy(found), network(x, needed), atol=1e-6)
