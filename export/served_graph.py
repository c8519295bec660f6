"""What is exported: the network between the pixels a client has and the answer it wants.

image (B, H, W, 3) uint8 RGB -> (image / 255 - mean) / std -> network -> softmax: probabilities (B, K) float32
                                                                      -> argmax: label_map (B, H, W) uint8
"""

import torch
from torch import Tensor, nn

from regard.errors import ExportError
from regard.export.attention_maps import captured
from regard.models.card import Card

INPUT = "image"
ANSWERS = {"classification": "probabilities", "segmentation": "label_map"}


class ServedGraph(nn.Module):
    """The network of a Card with its input and output contracts inside.

    Shape: uint8 (B, H, W, 3) -> a tuple of the answer and, with `explain`, of each attention map in the order of `captured`.

    Args:
        network: in evaluation mode; (B, 3, H, W) to logits (B, K), or (B, K, H, W) for segmentation.
        card: task, mean and std.
        explain: add the attention maps.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, card: Card, *, explain: bool = False) -> None:
        super().__init__()
        self.network = network
        self.task = card.task
        self.explain = explain
        mean = torch.tensor(card.input.mean, dtype=torch.float64).view(3, 1, 1)
        std = torch.tensor(card.input.std, dtype=torch.float64).view(3, 1, 1)
        self.register_buffer("scale", (1 / (255 * std)).float())  # (x / 255 - mean) / std in one multiplication and one addition
        self.register_buffer("shift", (-mean / std).float())
        self.train(network.training)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        x = image.permute(0, 3, 1, 2).float() * self.scale + self.shift  # (B, 3, H, W)
        if not self.explain:
            return (self.answer(self.network(x)),)
        with captured(self.network) as maps:
            logits = self.network(x)
        return self.answer(logits), *maps.values()

    def answer(self, logits: Tensor) -> Tensor:
        """Probabilities, or the label of each pixel."""
        if self.task == "classification":
            return logits.softmax(dim=1)  # (B, K)
        return logits.argmax(dim=1).to(torch.uint8)  # (B, H, W)


def output_names(network: nn.Module, card: Card, *, explain: bool) -> list[str]:
    """Names of the served graph's outputs, in order; with `explain` the network runs once, on a black image.

    Raises:
        ExportError: nothing to explain.
    """
    answer = ANSWERS[card.task]
    if not explain:
        return [answer]
    with torch.inference_mode(), captured(network) as maps:
        network(torch.zeros(1, 3, card.input.height, card.input.width))
    if not maps:
        raise ExportError(
            f"{card.name} has nothing to explain: no module of it computes attention in a method weights(x); export it without --explain"
        )
    return [answer, *maps]
