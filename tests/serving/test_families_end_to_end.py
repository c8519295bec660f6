"""Every network that says itself what it takes and answers goes end to end: exported, certified, added to a
repository, served; answers are PyTorch's, in words exactly, whole and one by one, and in sessions step by
step.

A server takes a model up that answers its goldens at each of its endpoints alone, files and texts among them.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import numpy as np
import pytest
import torch
from tests.exports import Exports
from tests.models.examples import examples
from tests.serving.conftest import photo
from torch import nn

from regard.contract.answers import Classes, Sequence
from regard.contract.card import Card
from regard.contract.goldens import read_goldens
from regard.contract.names import GOLDENS, SEQUENCE, START, TEXT
from regard.contract.pixels_input import PixelsInput
from regard.export.proof.network_runner import NetworkRunner
from regard.models.families import ENTRIES
from regard.models.load.catalog_network import build_seeded, default_card
from regard.serving.protocol.wire import Array, Request
from regard.serving.repository import add, remove
from regard.serving.triton.ports import free_ports
from regard.serving.triton.server import EmbeddedTriton
from regard.serving.verify.endpoints import name_of, raw_inputs

SMALL = {"height": 64, "width": 96, "max_size": 256}  # larger images only take longer
STEPS = 8  # of a session
BEGINS_AGAIN = 5  # step of the first session


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    """One watching server for all of them, without a model to begin with."""
    folder = tmp_path_factory.mktemp("families")
    (folder / "repository").mkdir()
    http, grpc, metrics = free_ports(3)
    with EmbeddedTriton(
        folder / "repository",
        http_port=http,
        grpc_port=grpc,
        metrics_port=metrics,
        watch=True,
        log=folder / "log",
    ) as running:
        yield running


@pytest.mark.slow
@pytest.mark.sharded("name")
@pytest.mark.parametrize("name", ENTRIES)
def test_the_families(name: str, server: EmbeddedTriton, exports: Exports) -> None:
    network, card = small_network(name)
    artifact = exports.of(network, card, pictures(card))
    endpoints = add(artifact, server.repository, instances=1).endpoints
    server.update(at_once=True)
    try:
        assert server.refused == {}
        if card.state is not None:
            assert_sessions(server, network, card)
            return
        inputs = inputs_of(card)
        expected = NetworkRunner(network, card).run(inputs)
        answer = asked(server, name, inputs, tuple(card.answer.tensors()))
        assert_same(card, answer, expected)
        if name_of(name, "stream") in endpoints:
            assert_streams(server, name, card)
    finally:
        remove(server.repository, name)
        server.update(at_once=True)


def small_network(name: str) -> tuple[nn.Module, Card]:
    """A small network in evaluation mode, no parameter at its initial value, and its Card."""
    network = build_seeded(name, ENTRIES[name].small)
    random = torch.Generator().manual_seed(3)
    spread = 0.05 if hasattr(network, "step") else 0.2  # what remembers must not grow from step to step
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(spread * torch.randn(parameter.shape, generator=random))
        for module in network.modules():
            if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                module.weight[module.padding_idx] = 0
    card = default_card(name, network, ENTRIES[name].small)
    if card.pixels is not None and card.pixels.height > SMALL["height"]:  # a video's, whatever its size
        card = card.updated(inputs=[card.pixels.model_copy(update=SMALL)])
    return network.eval(), card


def pictures(card: Card, count: int = 4) -> list[Array]:
    contract = card.pixels
    return [] if contract is None else [photo(seed, contract.height, contract.width) for seed in range(count)]


def inputs_of(card: Card) -> dict[str, Array]:
    """A batch of two: photos, and texts of any words."""
    found = {}
    for each, example in zip(card.inputs, examples(card), strict=True):
        if isinstance(each, PixelsInput):
            pixels = [each.fit(image) for image in pictures(card, int(np.prod(example.shape[:-3])))]
            found[each.tensor] = np.stack(pixels).reshape(*example.shape[:-3], *pixels[0].shape)
        else:
            found[each.tensor] = example.numpy()
    return found


def asked(
    server: EmbeddedTriton,
    name: str,
    inputs: Mapping[str, Array],
    wanted: tuple[str, ...],
    **parameters: Any,
) -> Mapping[str, Array]:
    request = Request(name, "", inputs, wanted, parameters=parameters)
    return server.connection.infer(request, timeout=300).arrays


def assert_same(card: Card, answer: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    for name in card.answer.tensors():
        assert answer[name].shape == expected[name].shape
        if answer[name].dtype == np.float32:
            np.testing.assert_allclose(answer[name], expected[name], atol=1e-4)
    found, right = answer[card.answer.tensor], expected[card.answer.tensor]
    if isinstance(card.answer, Classes) or card.answer.tensor == SEQUENCE:
        assert card.answer.agreement(right, found) == 1
    assert card.answer.agreement(right, found) >= card.answer.min_agreement


def assert_streams(server: EmbeddedTriton, name: str, card: Card) -> None:
    """Word by word PyTorch's answers to the goldens."""
    assert isinstance(card.answer, Sequence)
    for golden in read_goldens(server.repository / name / "1" / GOLDENS):
        request = Request(name_of(name, "stream"), "", raw_inputs(golden, card))
        with closing(server.connection.stream(request, timeout=300)) as answers:
            words = tuple(answer.arrays[TEXT].item().decode() for answer in answers)
        assert "".join(words) == card.answer.joiner.join(card.answer.words(golden.reference))


def assert_sessions(server: EmbeddedTriton, network: nn.Module, card: Card) -> None:
    """Two interleaved, of sizes that nobody traced, one of which begins again in the middle."""
    runner = NetworkRunner(network, card)
    assert card.state is not None
    height, width = card.input.height, card.input.width
    sizes = [(height, width)] * 2
    if card.input.dynamic_size:
        sizes = [(height + 8, width + 3), (height - 4, width + 11)]
    states: list[dict[str, Array]] = [{}, {}]
    for step in range(STEPS):
        for session, size in enumerate(sizes):
            begins = step == 0 or (session == 0 and step == BEGINS_AGAIN)
            image = np.array(photo(10 * session + step, *size))[None]
            given = {"image": image, START: np.array([[begins]], np.float32), **states[session]}
            expected = runner.run(given)
            states[session] = {each.name: expected[each.next] for each in card.state.tensors}
            answer = asked(
                server,
                card.name,
                {"image": image},
                (card.answer.tensor,),
                sequence_id=session + 1,
                sequence_start=begins,
                sequence_end=step == STEPS - 1,
            )
            assert_same(card, answer, expected)
