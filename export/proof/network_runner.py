"""The network in PyTorch: what its graph is held against."""

import hashlib

import torch
from torch import Tensor, nn

from regard.contract.answers.kind import AnswerKind
from regard.contract.card import Card
from regard.contract.names import IMAGE
from regard.contract.preprocess import Pixels
from regard.export.answer_size import check_scores, stopped_advice
from regard.export.proof.references import REFERENCES
from regard.export.proof.runner import SCORES, Arrays, CannotRun
from regard.models.explain import Explain
from regard.models.own_code import at_place
from regard.models.padding import continued, placed


def normalized(batch: Pixels, card: Card) -> Tensor:
    """(pixels / 255 - mean) / std as the Card says it, apart from the served graph: (B, H, W, C) -> (B, C, H,
    W).
    """
    x = torch.from_numpy(batch).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (card.input.mean, card.input.std))
    return (x - mean) / std


def answered(scores: Tensor, answer: AnswerKind) -> Arrays:
    """A network's scores, and what is served of them."""
    return {SCORES: scores.numpy(), answer.tensor: answer.append(scores).numpy()}


def weights_sha256(network: nn.Module) -> str:
    """SHA-256 of a network's parameters and buffers, by name: names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


class NetworkRunner:
    """A network on the pixels of a Card's input, with the explanation that its graph gives."""

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
        """Scores, answer and maps.

        Raises:
            CannotRun: the network stops at this shape.
            InvalidInput: its scores have another shape than the Card means.
        """
        x = normalized(inputs[IMAGE], self.card)
        try:
            with torch.no_grad():
                scores, maps = self.reference(self.network, continued(x, self.card.input.pad_to))
                scores = placed(scores, x, self.card)
        except Exception as error:  # whatever the network's own code meets
            advice = stopped_advice(self.network, x, self.card)
            raise CannotRun(f"{at_place(error)}{advice}") from error
        check_scores(scores, x, self.network, self.card)
        return {
            **answered(scores, self.card.answer),
            **{name: values.numpy() for name, values in maps.items()},
        }
