"""The network in PyTorch: what its graph is held against."""

import hashlib
from typing import Any

import torch
from torch import Tensor, nn

from regard.contract.answers.kind import AnswerKind
from regard.contract.card import Card
from regard.contract.names import START
from regard.contract.pixels_input import PixelsInput
from regard.contract.preprocess import Pixels
from regard.export.answer_size import check_answer, stopped_advice
from regard.export.proof.references import REFERENCES
from regard.export.proof.runner import SCORES, Arrays, CannotRun
from regard.models.explain import Explain
from regard.models.own_code import at_place
from regard.models.padding import meant, taken


def normalized(batch: Pixels, card: Card) -> Tensor:
    """(pixels / 255 - mean) / std as the Card says it, apart from the served graph: (..., H, W, C) ->
    (..., C, H, W).
    """
    x = torch.from_numpy(batch).movedim(-1, -3) / 255
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (card.input.mean, card.input.std))
    return (x - mean) / std


def entering(inputs: Arrays, card: Card, rows: slice = slice(None)) -> list[Tensor]:
    """The Card's inputs, in its order, as they enter the network but for the padding of images."""
    return [
        normalized(inputs[each.tensor][rows], card)
        if isinstance(each, PixelsInput)
        else torch.from_numpy(inputs[each.tensor][rows])
        for each in card.inputs
    ]


def answered(returned: Any, answer: AnswerKind) -> Arrays:
    """The scores that a network returned, and what is served of them."""
    served = {name: value.numpy() for name, value in answer.outputs(returned).items()}
    return served if answer.scored_as else {SCORES: returned.numpy(), **served}


def weights_sha256(network: nn.Module) -> str:
    """SHA-256 of a network's parameters and buffers, by name: names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


class NetworkRunner:
    """A network on a Card's inputs, with the explanation that its graph gives."""

    def __init__(self, network: nn.Module, card: Card, *, explain: Explain | None = None) -> None:
        self.network = network
        self.card = card
        self.explain: Explain | None = explain
        self.reference = REFERENCES[explain]
        self.name = f"PyTorch {torch.__version__}"

    @property
    def sha256(self) -> str:
        """Of the network's weights."""
        return weights_sha256(self.network)

    def run(self, inputs: Arrays) -> Arrays:
        """Scores, answer and maps; of a network with state scores, answer and the next state.

        Raises:
            CannotRun: the network stops at this shape.
            InvalidInput: its scores have another shape than the Card means.
        """
        tensors = entering(inputs, self.card)
        try:
            with torch.no_grad():
                returned, more = self._asked(tensors, inputs)
                returned = meant(returned, tensors, self.card)
        except Exception as error:  # whatever the network's own code meets
            advice = stopped_advice(self.network, tensors, self.card)
            raise CannotRun(f"{at_place(error)}{advice}") from error
        check_answer(returned, tensors, self.network, self.card)
        return {
            **answered(returned, self.card.answer),
            **{name: values.numpy() for name, values in more.items()},
        }

    def _asked(self, tensors: list[Tensor], inputs: Arrays) -> tuple[Any, dict[str, Tensor]]:
        """What the network returns, and its maps or its next state by their names."""
        ready, state = taken(tensors, self.card), self.card.state
        if state is None:
            return self.reference(self.network, *ready)
        network: Any = self.network
        before = (
            network.initial_state(*ready)
            if inputs[START][0, 0]
            else [torch.from_numpy(inputs[name]) for name in state.names]
        )
        returned, *following = network.step(*ready, *before)
        return returned, dict(zip((each.next for each in state.tensors), following, strict=True))
