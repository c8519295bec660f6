"""Translators and MemN2N in ONNX: the same words and scores as PyTorch's, at batches and lengths that were
never traced; and the same words step by step.
"""

import onnxruntime
import pytest
import torch
from torch import nn

from regard.export.graph.opset import OPSET
from regard.export.graph.step_graphs import cut
from regard.export.graph.tracing import Input, to_onnx
from regard.models.catalog import CATALOG, build

pytestmark = pytest.mark.slow


def exported(network, inputs, outputs):
    for parameter in network.parameters():  # as if trained
        nn.init.normal_(parameter, std=0.4)
    return to_onnx(network, inputs, outputs, opset=OPSET, name="network")


def running(model):
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def streamed(model, source):
    """The words of one source, step by step, by the graphs that the model's Loop is cut into."""
    graphs = cut(model)
    encode, step = running(graphs.encode), running(graphs.step)
    names = [each.name for each in encode.get_outputs()]
    state = dict(zip(names, encode.run(None, {"tokens": source}), strict=True))
    more = True
    while more:
        given = {each.name: state[each.name] for each in step.get_inputs()}
        after = dict(zip([each.name for each in step.get_outputs()], step.run(None, given), strict=True))
        more = bool(after.pop("more"))
        state |= {name.removeprefix("next_"): value for name, value in after.items()}
    return state["sequence"]


def words(random, *shape):
    """Words, of which every second row is padded to half its length."""
    tokens = torch.randint(3, 20, shape, generator=random)
    tokens[1::2, ..., (shape[-1] + 1) // 2 :] = 0
    return tokens


@pytest.mark.parametrize(("name", "beams"), [("rnnsearch", 1), ("transformer", 1), ("transformer", 3)])
def test_translators_say_the_same(name, beams):
    torch.manual_seed(0)
    random = torch.Generator().manual_seed(0)
    network = build(name, **CATALOG[name].small, beams=beams).eval()
    example = Input(words(random, 2, 5), {0: "batch", 1: "length"})
    model = exported(network, {"tokens": example}, ["sequence", "log_probabilities", "alignment"])
    session = running(model)
    for shape in ((1, 1), (3, 2), (7, 12)):
        source = words(random, *shape)
        tokens, scores, alignment = map(torch.from_numpy, session.run(None, {"tokens": source.numpy()}))
        with torch.inference_mode():
            expected = network(source)
        assert torch.equal(tokens, expected.tokens)
        assert torch.allclose(scores, expected.log_probabilities, atol=1e-4)
        assert torch.allclose(alignment, expected.alignment, atol=1e-5)
        if beams == 1:
            assert streamed(model, source.numpy()).tolist() == tokens.tolist()
    assert (cut(model) is None) == (beams > 1)


def test_memn2n_answers_the_same():
    torch.manual_seed(0)
    random = torch.Generator().manual_seed(0)
    network = build("memn2n", **CATALOG["memn2n"].small).eval()
    inputs = {
        "story": Input(words(random, 2, 5, 4), {0: "batch", 1: "sentences", 2: "words"}),
        "question": Input(words(random, 2, 3), {0: "batch", 1: "length"}),
    }
    session = running(exported(network, inputs, ["scores"]))
    for batch, sentences, length, asked in ((1, 1, 1, 1), (3, 8, 6, 2), (5, 2, 3, 7)):
        story, question = words(random, batch, sentences, length), words(random, batch, asked)
        story[0, (sentences + 1) // 2 :] = 0
        (scores,) = session.run(None, {"story": story.numpy(), "question": question.numpy()})
        with torch.inference_mode():
            assert torch.allclose(torch.from_numpy(scores), network(story, question), atol=1e-4)
