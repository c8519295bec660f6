"""The exported search: a Loop that says what PyTorch says, for any batch and length."""

import onnxruntime
import pytest
import torch
from tests.models.decoding.toy import sources, toy

from regard.export.graph.opset import OPSET
from regard.export.graph.tracing import Input, to_onnx
from regard.models.decoding.generated import Generated
from regard.models.decoding.greedy import greedy


@pytest.fixture(scope="module", params=[1, 3], ids=["greedy", "beam"])
def exported(request):
    network = toy(beams=request.param).float()
    example = Input(sources(2, 5), {0: "batch", 1: "length"})
    return network, to_onnx(network, {"source": example}, Generated._fields, opset=OPSET, name="toy")


def test_is_one_loop(exported):
    _, model = exported
    assert [node.op_type for node in model.graph.node].count("Loop") == 1
    assert len(model.graph.node) < 60


@pytest.mark.parametrize(("batch", "length"), [(1, 1), (2, 5), (7, 11)])
def test_says_what_pytorch_says(exported, batch, length):
    network, model = exported
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    source = sources(batch, length, seed=length)
    tokens, scores, alignment = map(torch.from_numpy, session.run(None, {"source": source.numpy()}))
    with torch.inference_mode():
        expected = network(source)
    assert torch.equal(tokens, expected.tokens)
    assert torch.allclose(scores, expected.log_probabilities, atol=1e-5)
    assert torch.allclose(alignment, expected.alignment, atol=1e-6)


def test_the_loop_begins_with_what_a_stream_needs(exported):
    """The order that `greedy` and `beam` state: what cuts a step out of the Loop relies on it."""
    network, model = exported
    (loop,) = (node for node in model.graph.node if node.op_type == "Loop")
    carried = loop.attribute[0].g.input[2:]
    ranks = [len(value.type.tensor_type.shape.dim) for value in carried]
    assert ranks == ([0, 1, 2, 2, 3, 1, 2] if network.beams == 1 else [0, 2, 3, 3, 4, 2, 2, 1, 2])


def test_torchs_own_loop_agrees_with_plain_python(monkeypatch):
    network, source = toy().requires_grad_(False), sources(4, 5)
    plain = greedy(network, source)
    monkeypatch.setattr("torch.compiler.is_exporting", lambda: True)
    for one, other in zip(plain, greedy(network, source), strict=True):
        assert torch.allclose(one, other, atol=1e-12, rtol=0)
