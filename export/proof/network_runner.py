"""The network in PyTorch: what its graph is held against."""

import torch
from torch import Tensor, nn

from regard.contract.card import Card
from regard.contract.names import ANSWERS, IMAGE, Task
from regard.contract.preprocess import Pixels
from regard.export.proof.references import REFERENCES
from regard.export.proof.runner import SCORES, Arrays
from regard.models.explain import Explain


def normalized(batch: Pixels, card: Card) -> Tensor:
    """(pixels / 255 - mean) / std as the Card says it, apart from the served graph: (B, H, W, 3) -> (B, 3, H,
    W).
    """
    x = torch.from_numpy(batch).permute(0, 3, 1, 2) / 255
    return (x - torch.tensor(card.input.mean).view(3, 1, 1)) / torch.tensor(card.input.std).view(3, 1, 1)


def answered(logits: Tensor, task: Task) -> Arrays:
    """Logits (B, K) or (B, K, H, W), and what is served of them, apart from the served graph."""
    answer = logits.softmax(dim=1) if task == "classification" else logits.argmax(dim=1).to(torch.uint8)
    return {SCORES: logits.numpy(), ANSWERS[task]: answer.numpy()}


class NetworkRunner:
    """A network on the pixels of a Card's input, with the explanation that its graph gives."""

    def __init__(self, network: nn.Module, card: Card, *, explain: Explain | None = None) -> None:
        self.network = network
        self.card = card
        self.reference = REFERENCES[explain]
        self.name = f"PyTorch {torch.__version__}"

    def run(self, inputs: Arrays) -> Arrays:
        """Scores, answer and maps."""
        with torch.no_grad():
            logits, maps = self.reference(self.network, normalized(inputs[IMAGE], self.card))
        return {**answered(logits, self.card.task), **{name: values.numpy() for name, values in maps.items()}}
