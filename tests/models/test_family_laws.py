"""What holds for every network of the catalog that says itself what it takes and answers: a new entry is
tested by being listed.
"""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.examples import examples
from torch import Tensor, nn

from regard.contract.answers import Sequence
from regard.contract.card import Card
from regard.contract.inputs import TokensInput
from regard.contract.reading import card_from_json
from regard.contract.state import State
from regard.models.catalog import CATALOG
from regard.models.checkpoint import load_weights, read_state_dict, save_weights
from regard.models.decoding.generated import END, PADDING
from regard.models.families import ENTRIES
from regard.models.load.catalog_network import build_seeded, default_card
from regard.models.losses.criterion import cross_entropy

NEAR = 1e-4  # of the largest score: what another batch may change
STEPS = 3  # of a session

Built = tuple[nn.Module, Card]


@pytest.fixture(scope="module", params=ENTRIES)
def built(request: pytest.FixtureRequest) -> Built:
    """A small network in evaluation mode, no parameter at its initial value, and its Card."""
    name = request.param
    network = build_seeded(name, ENTRIES[name].small)
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=random))
        for module in network.modules():  # which training leaves as it was
            if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                module.weight[module.padding_idx] = 0
    return network.eval(), default_card(name, network, ENTRIES[name].small)


def needs(built: Built, *, state: bool) -> tuple[Any, Card]:
    if (built[1].state is not None) is not state:
        pytest.skip("has a state" if built[1].state is not None else "has no state")
    return built


def state_of(card: Card) -> State:
    assert card.state is not None
    return card.state


def served(card: Card, returned: Any) -> dict[str, Tensor]:
    """What is served of a batch, and the scores it is made of where they are one tensor."""
    scores = {"scores": returned} if isinstance(returned, Tensor) else {}
    outputs: dict[str, Tensor] = card.answer.outputs(returned)
    return scores | outputs


def answer(network: nn.Module, card: Card, inputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """What a network answers, at the first step of a session where it has a state."""
    with torch.no_grad():
        if card.state is None:
            return served(card, network(*inputs))
        module: Any = network
        scores, *_ = module.step(*inputs, *module.initial_state(*inputs))
        return served(card, scores)


def assert_near(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Equal words and labels, and numbers that differ no more than another batch makes them."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if value.is_floating_point():
            assert (found[name] - value).abs().max() <= NEAR * max(1.0, float(value.abs().max())), name
        elif value.dtype == torch.uint8:
            assert (found[name] != value).double().mean() <= 0.01, name
        else:
            assert torch.equal(found[name], value), name


def test_it_is_a_valid_card_of_the_task_that_is_listed(built: Built) -> None:
    card = built[1]
    assert card.task == CATALOG[card.name].task
    assert card_from_json(card.to_json(), source="its own text").to_json() == card.to_json()


def test_it_answers_as_its_kind_says(built: Built) -> None:
    network, card = built
    outputs = answer(network, card, examples(card))
    pixels = (-1, -1) if card.pixels is None else (card.pixels.height, card.pixels.width)
    for name, (dtype, dims) in card.answer.tensors(*pixels).items():
        array = outputs[name].numpy()
        assert array.dtype == dtype
        assert len(array) == 2
        assert all(dim in (-1, got) for dim, got in zip(dims, array.shape[1:], strict=True)), name
        assert np.isfinite(array).all()
    assert card.answer.fault(outputs[card.answer.tensor].numpy()) is None


def test_it_treats_the_entries_of_a_batch_apart(built: Built) -> None:
    network, card = built
    inputs = examples(card)
    together = answer(network, card, inputs)
    apart = [answer(network, card, tuple(each[i : i + 1] for each in inputs)) for i in range(2)]
    assert_near({name: torch.cat([one[name] for one in apart]) for name in together}, together)


def test_it_is_deterministic(built: Built) -> None:
    network, card = built
    inputs = examples(card)
    first, second = answer(network, card, inputs), answer(network, card, inputs)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_it_reads_every_input(built: Built) -> None:
    """Another image or text makes other scores."""
    network, card = built
    inputs, others = examples(card), examples(card, seed=1)
    scored = "scores" if card.answer.scored_as is None else card.answer.scored_as
    expected = answer(network, card, inputs)[scored]
    for place, other in enumerate(others):
        changed = answer(network, card, (*inputs[:place], other, *inputs[place + 1 :]))[scored]
        assert not torch.equal(changed, expected), card.inputs[place].tensor


def test_it_leaves_its_inputs_as_they_are(built: Built) -> None:
    network, card = built
    inputs = examples(card)
    kept = [each.clone() for each in inputs]
    answer(network, card, inputs)
    assert all(torch.equal(*pair) for pair in zip(inputs, kept, strict=True))


def test_padding_changes_nothing(built: Built) -> None:
    network, card = built
    if not card.texts:
        pytest.skip("reads no text")
    inputs = examples(card)
    padded = tuple(
        nn.functional.pad(value, (0, 2) if taken.sentences is None else (0, 2, 0, 1))
        if isinstance(taken, TokensInput)
        else value
        for taken, value in zip(card.inputs, inputs, strict=True)
    )
    expected, found = answer(network, card, inputs), answer(network, card, padded)
    if "alignment" in expected and card.pixels is None:  # to padding too, by 0
        places = expected["alignment"].shape[2]
        assert not found["alignment"][:, :, places:].any()
        found["alignment"] = found["alignment"][:, :, :places]
    assert_near(found, expected)


def own_loss(network: Any, card: Card) -> Tensor:
    """The loss that a network says it is trained by, of two right answers."""
    torch.manual_seed(0)  # of places that are drawn
    if isinstance(card.answer, Sequence):
        loss: Tensor = network.training_loss(*examples(card), torch.tensor([[3, 3, END], [3, END, PADDING]]))
    else:
        loss = network.training_loss(*examples(card), torch.tensor([0, 1]), cross_entropy())
    return loss


def test_its_gradients_are_finite(built: Built) -> None:
    network, card = copy.deepcopy(built[0]), built[1]
    inputs, module = examples(card), network
    if hasattr(network, "training_loss"):
        own_loss(network, card).backward()
    elif card.state is None:
        network(*inputs).pow(2).sum().backward()
    else:
        stateful: Any = module
        scores, *state = stateful.step(*inputs, *stateful.initial_state(*inputs))
        again, *_ = stateful.step(*inputs, *state)
        (scores + again).pow(2).sum().backward()
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    assert gradients
    assert all(torch.isfinite(each).all() for each in gradients)


def test_its_loss_trains_every_layer(built: Built) -> None:
    network, card = copy.deepcopy(built[0]), built[1]
    if not hasattr(network, "training_loss"):
        pytest.skip("has no loss of its own")
    own_loss(network, card).backward()
    trained = {name for name, each in network.named_parameters() if each.grad is not None and each.grad.any()}
    assert trained == {name for name, _ in network.named_parameters()}


def test_it_survives_a_round_trip(built: Built, tmp_path: Path) -> None:
    network, card = built
    save_weights(network, tmp_path / "w.safetensors")
    loaded = build_seeded(card.name, ENTRIES[card.name].small).eval()
    load_weights(loaded, read_state_dict(tmp_path / "w.safetensors"), source="w")
    expected, found = (answer(each, card, examples(card)) for each in (network, loaded))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def rollout(network: Any, frames: list[Tensor], state: tuple[Tensor, ...]) -> tuple[list[Tensor], list[Any]]:
    scores, states = [], []
    with torch.no_grad():
        for frame in frames:
            score, *kept = network.step(frame, *state)
            state = tuple(kept)
            scores.append(score)
            states.append(state)
    return scores, states


def session(card: Card, *, count: int = 2) -> list[Tensor]:
    return [examples(card, count=count, seed=seed)[0] for seed in range(STEPS)]


def test_its_state_keeps_the_shape_that_the_card_says(built: Built) -> None:
    network, card = needs(built, state=True)
    frames = session(card)
    begun = network.initial_state(frames[0])
    for state in (begun, *rollout(network, frames, begun)[1]):
        assert len(state) == len(state_of(card).tensors)
        for said, value, first in zip(state_of(card).tensors, state, begun, strict=True):
            assert value.dtype == torch.float32
            assert value.shape == first.shape, said.name
            assert all(dim in (-1, got) for dim, got in zip(said.dims, value.shape[1:], strict=True)), said
            assert torch.isfinite(value).all()


def test_a_session_goes_on_where_its_state_was_kept(built: Built) -> None:
    network, card = needs(built, state=True)
    frames = session(card)
    whole, states = rollout(network, frames, network.initial_state(frames[0]))
    kept = tuple(torch.from_numpy(each.numpy().copy()) for each in states[0])
    later, _ = rollout(network, frames[1:], kept)
    assert all(torch.equal(*pair) for pair in zip(whole[1:], later, strict=True))


def test_a_session_remembers(built: Built) -> None:
    """What came before makes a difference; else there would be no need for a state."""
    network, card = needs(built, state=True)
    frames = session(card)
    begun = network.initial_state(frames[0])
    remembered = rollout(network, frames[:2], begun)[0][1]
    assert not torch.equal(remembered, rollout(network, frames[1:2], begun)[0][0])


def test_sessions_are_apart(built: Built) -> None:
    network, card = needs(built, state=True)
    frames = session(card)
    together, _ = rollout(network, frames, network.initial_state(frames[0]))
    for i in range(2):
        alone = [frame[i : i + 1] for frame in frames]
        scores, _ = rollout(network, alone, network.initial_state(alone[0]))
        for whole, one in zip(together, scores, strict=True):
            assert_near({"scores": one}, {"scores": whole[i : i + 1]})


def test_other_sizes_have_a_state_of_their_own(built: Built) -> None:
    network, card = needs(built, state=True)
    if not card.input.dynamic_size:
        pytest.skip("takes one size")
    frame = session(card, count=1)[0]
    larger = nn.functional.pad(frame, (0, 32, 0, 32))
    scores, states = rollout(network, [larger] * 2, network.initial_state(larger))
    assert scores[0].shape[2:] == larger.shape[2:]
    assert [value.shape for value in states[1]] == [value.shape for value in network.initial_state(larger)]
