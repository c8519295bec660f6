"""The graphs that a Loop is cut into say the same words, one by one, as the whole graph at once."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto
from tests.export.toys import toys
from tests.exports import Exports

from regard.contract.answers.kind import Array
from regard.contract.preprocess import Pixels
from regard.export.artifact import Artifact, read_graph
from regard.export.graph.step_graphs import StepGraphs, cut
from regard.export.proof.trials import trials_of


def session(model: ModelProto) -> onnxruntime.InferenceSession:
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def streamed(graphs: StepGraphs, inputs: dict[str, Array]) -> tuple[list[Array], list[Array]]:
    """Words and their log-probabilities, step by step, of a batch of one."""
    encode, step = session(graphs.encode), session(graphs.step)
    given = encode.run(None, {each.name: inputs[each.name] for each in encode.get_inputs()})
    held = dict(zip((each.name for each in encode.get_outputs()), given, strict=True))
    tokens, scores, more = [], [], True
    while more:
        position = int(held["position"])
        given = step.run(None, {each.name: held[each.name] for each in step.get_inputs()})
        found = dict(zip((each.name for each in step.get_outputs()), given, strict=True))
        more = bool(found.pop("more"))
        held |= {name.removeprefix("next_"): values for name, values in found.items()}
        tokens.append(held["sequence"][:, position])
        scores.append(held["log_probabilities"][:, position])
    return tokens, scores


@pytest.fixture(scope="module")
def captioner(exports: Exports, images: list[Pixels]) -> Artifact:
    network, card = toys()["caption"]
    return exports.of(network, card, images)


def counting(name: str) -> ModelProto:
    """Writes as many words as it reads: an input (1, words) of this name."""
    body = onnx.parser.parse_graph(
        f"""
        body (int64 number, bool before, int64[1, words] tokens, float[1, words] scores, int64[1] last)
          => (bool again, int64[1, words] said, float[1, words] judged, int64[1] next)
        {{
          said = Add (tokens, {name})
          judged = Identity (scores)
          next = Add (last, number)
          again = Identity (before)
        }}
        """
    )
    model = onnx.parser.parse_model(
        f"""
        <ir_version: 10, opset_import: ["": 20]>
        counting (int64[1, words] {name}) => (int64[1, words] sequence, float[1, words] log_probabilities)
        {{
          scores = Cast <to = 1> ({name})
          count = Constant <value = int64 {{3}}> ()
          goes_on = Constant <value = bool {{1}}> ()
          first = Constant <value = int64[1] {{0}}> ()
          sequence, log_probabilities, last = Loop (count, goes_on, {name}, scores, first)
        }}
        """
    )
    loop = model.graph.node[-1]
    loop.attribute.append(onnx.helper.make_attribute("body", body))
    return model


def test_a_stream_says_what_the_whole_graph_says(captioner: Artifact, images: list[Pixels]) -> None:
    model = read_graph(captioner.model)
    graphs = cut(model)
    assert graphs is not None
    for trial in trials_of(images, captioner.card)[1:]:
        image = {"image": trial.image[:1]}
        whole, scores, _ = session(model).run(None, image)
        words, likelihoods = streamed(graphs, image)
        count = len(words)
        assert np.array_equal(np.stack(words, axis=1), whole[:, :count])
        assert np.array_equal(np.stack(likelihoods, axis=1), scores[:, :count])
        assert not whole[:, count:].any()


def test_a_graph_without_a_loop_has_no_steps(exported: "object") -> None:
    assert cut(read_graph(exported.artifact.model)) is None


@pytest.mark.parametrize("name", ["memory_0", "state_0", "text"])
def test_a_card_may_name_its_text_as_it_likes(name: str) -> None:
    """A Loop that carries one more tensor than words and scores, and reads the input."""
    graphs = cut(counting(name))
    assert graphs is not None
    for model in (graphs.encode, graphs.step):
        onnx.checker.check_model(model, full_check=True)
    (taken,) = session(graphs.encode).get_inputs()
    assert taken.name == name
