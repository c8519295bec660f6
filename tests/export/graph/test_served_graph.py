import pytest
import torch
from tests.export.conftest import TinyClassifier, TinySegmenter, seeded, tiny_card

from regard.contract.answers import ImageAnswer, LabelMap
from regard.contract.answers.kind import AnswerKind
from regard.contract.preprocess import Pixels
from regard.errors import ExportError
from regard.export.graph.opset import OPSET
from regard.export.graph.served_graph import Served, ServedGraph, output_names
from regard.export.graph.tracing import Input, to_onnx
from regard.export.proof.network_runner import normalized


def test_classification_answers_probabilities(noise: Pixels) -> None:
    network, card = seeded(TinyClassifier()), tiny_card("classification")
    (probabilities,) = ServedGraph(network, card)(torch.from_numpy(noise))
    torch.testing.assert_close(probabilities, network(normalized(noise, card)).softmax(dim=1))


def test_segmentation_answers_labels(noise: Pixels) -> None:
    network, card = seeded(TinySegmenter()), tiny_card()
    (labels,) = ServedGraph(network, card)(torch.from_numpy(noise))
    assert labels.dtype == torch.uint8
    assert torch.equal(labels, network(normalized(noise, card)).argmax(dim=1).to(torch.uint8))


def test_explain_adds_the_weights_that_the_forward_pass_used(noise: Pixels) -> None:
    network, card = seeded(TinySegmenter()), tiny_card()
    assert output_names(network, card, explain="weights") == ["label_map", "attention_gate"]
    _, weights = ServedGraph(network, card, explain="weights")(torch.from_numpy(noise))
    torch.testing.assert_close(weights, network.gate.weights(network.stem(normalized(noise, card))))


def test_nothing_to_explain_is_an_error() -> None:
    with pytest.raises(ExportError, match="nothing to explain.*weights"):
        output_names(seeded(TinyClassifier()), tiny_card("classification"), explain="weights")


@pytest.mark.parametrize(
    "answer", [ImageAnswer(), LabelMap(labels=("road", "sky", "tree"))], ids=["image", "labels"]
)
def test_bytes_are_made_last(answer: AnswerKind) -> None:
    """TensorRT moves no uint8 about."""
    scores = {"scores": Input(torch.rand(2, 3, 4, 5), {0: "batch"})}
    (node,) = [
        node
        for node in to_onnx(Served(answer), scores, [answer.tensor], opset=OPSET, name="tiny").graph.node
        if answer.tensor in node.output
    ]
    assert node.op_type == "Cast"
