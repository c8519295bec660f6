"""HAN and AdaHAN: their equations, what they keep, what trains it, and the exported graph."""

from functools import partial

import numpy as np
import pytest
import torch

from regard.errors import UnknownName
from regard.export.graph.opset import OPSET
from regard.export.graph.tracing import Input, to_onnx
from regard.export.session import open_session
from regard.models.networks.han import adahan, han

SMALL = {
    "num_classes": 4,
    "words": 9,
    "backbone": "strided3",
    "width": 6,
    "embedding": 5,
    "hidden": 7,
    "fused": 8,
}
BUILDERS = {"han": partial(han, cells=3), "adahan": adahan}
QUESTION = torch.tensor([[4, 7, 2, 0], [1, 8, 3, 5]])


@pytest.fixture(params=BUILDERS)
def network(request, randomized):
    return randomized(BUILDERS[request.param](**SMALL))


def test_equations(network, draw, arrays):
    """From features and the question's vector on, cell by cell."""
    image = draw(2, 3, 24, 32)
    features, questions = network.features(image), network.question(QUESTION)
    n = arrays(network)
    scores = network(image, QUESTION).detach().numpy()
    for x, q, got in zip(features.detach().numpy(), questions.detach().numpy(), scores, strict=True):
        cells = [x[:, row, column] for row in range(3) for column in range(4)]
        mixed = []
        for cell in cells:
            inner = n["fusion.v.weight"] @ cell + n["fusion.v.bias"] + n["fusion.w.weight"] @ q
            mixed.append(n["fusion.u.weight"] @ np.maximum(inner, 0) + n["fusion.u.bias"])
        presence = np.array([np.sqrt((m**2).sum()) for m in mixed])
        if hasattr(network.attention, "count"):
            chosen = np.argsort(-presence)[:3]
        else:
            chosen = np.flatnonzero(np.exp(presence) / np.exp(presence).sum() >= 1 / 12)
        total = sum(mixed[i] for i in chosen)
        inner = np.maximum(n["classifier.0.weight"] @ total + n["classifier.0.bias"], 0)
        expected = n["classifier.2.weight"] @ inner + n["classifier.2.bias"]
        assert np.abs(got - expected).max() < 1e-9 * np.abs(expected).max()


def test_kept_cells_are_explained(network, draw):
    image = draw(2, 3, 24, 32)
    scores, maps = network.explained(image, QUESTION)
    assert torch.equal(scores, network(image, QUESTION))
    assert maps["kept"].shape == (2, 3, 4)
    fused = network.fuse(network.features(image), QUESTION)
    assert torch.equal(maps["kept"].flatten(1), network.attention.mask(fused))


def test_only_kept_cells_train(network, draw):
    features = network.features(draw(2, 3, 24, 32)).detach().requires_grad_()
    fused = network.fuse(features, QUESTION)
    (gradient,) = torch.autograd.grad(network.answer(fused).square().sum(), features)
    assert torch.equal(gradient.abs().amax(dim=1).flatten(1) > 0, network.attention.mask(fused).bool())


def test_the_question_chooses_the_cells(network, draw):
    image, questions = draw(1, 3, 64, 64).expand(8, -1, -1, -1), torch.arange(1, 9).unsqueeze(1)
    kept = network.explained(image, questions)[1]["kept"]
    assert len(kept.unique(dim=0)) > 1


@pytest.mark.parametrize("aggregator", ["sum", "relations", "pairs"])
@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_permuting_cells_changes_nothing(build, aggregator, randomized, draw):
    network, fused = randomized(build(**SMALL, aggregator=aggregator)), 0.3 * draw(2, 12, 8)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    out = network.answer(fused)
    assert (network.answer(fused[:, order]) - out).abs().max() < 1e-9 * out.abs().max()


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_training_learns_where_to_look(build):
    """One bright cell somewhere decides, and the question asks for it or for its opposite."""
    torch.manual_seed(0)
    network = build(**SMALL | {"num_classes": 2})
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(150):
        images, questions, answers = _bright_cells(32)
        loss = torch.nn.functional.cross_entropy(network(images, questions), answers)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    images, questions, answers = _bright_cells(200)
    assert (network.eval()(images, questions).argmax(dim=1) == answers).double().mean() > 0.9


def _bright_cells(count):
    images, sign = 0.1 * torch.randn(count, 3, 32, 32), torch.randint(2, (count,))
    places = torch.randint(4, (count, 2)) * 8
    for image, (top, left), bright in zip(images, places.tolist(), sign.tolist(), strict=True):
        image[:, top : top + 8, left : left + 8] += 2.0 if bright else -2.0
    asked = torch.randint(2, (count,))
    questions = torch.stack(
        [torch.full((count,), 3), asked + 1, torch.zeros(count, dtype=torch.int64)], dim=1
    )
    return images, questions, sign ^ asked


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_the_graph_is_the_network(build):
    """At a batch, a size and a length that were never traced."""
    torch.manual_seed(0)
    network = build(**SMALL).eval()
    inputs = {
        "image": Input(torch.randn(2, 3, 32, 40), {0: "batch", 2: "height", 3: "width"}),
        "question": Input(QUESTION, {0: "batch", 1: "length"}),
    }
    model = to_onnx(network, inputs, ["scores"], opset=OPSET, name="han")
    session = open_session(model.SerializeToString(), name="han")
    image, question = torch.randn(5, 3, 48, 32), torch.randint(1, 9, (5, 7))
    question[2, 3:] = 0
    (scores,) = session.run(None, {"image": image.numpy(), "question": question.numpy()})
    with torch.inference_mode():
        assert np.abs(scores - network(image, question).numpy()).max() < 1e-5


def test_refuses_unknown_aggregators():
    with pytest.raises(UnknownName, match="no aggregator named 'sums'.*'sum'"):
        han(**SMALL, aggregator="sums")
