"""What is exported: the network between the pixels a client has and the answer it wants.

image (B, H, W, 3) uint8 RGB -> (image / 255 - mean) / std -> network -> softmax: probabilities (B, K) float32
                                                                      -> argmax: label_map (B, H, W) uint8
"""

import torch
from torch import Tensor, nn

from regard.contract.card import Card
from regard.contract.names import ANSWERS
from regard.errors import ExportError
from regard.export.explanations import EXPLAINERS
from regard.models.explain import Explain


class ServedGraph(nn.Module):
    """The network of a Card with its input and output contracts inside.

    Shape: uint8 (B, H, W, 3) -> a tuple of the answer and, with `explain`, of each map of the explanation in
    its order.

    Args:
        network: in evaluation mode; (B, 3, H, W) to logits (B, K), or (B, K, H, W) for segmentation.
        card: task, mean and std.
        explain: the explanation to add, a name of EXPLAINERS.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, card: Card, *, explain: Explain | None = None) -> None:
        super().__init__()
        self.network = network
        self.task = card.task
        self.explainer = EXPLAINERS[explain]
        mean = torch.tensor(card.input.mean, dtype=torch.float64).view(3, 1, 1)
        std = torch.tensor(card.input.std, dtype=torch.float64).view(3, 1, 1)
        # (x / 255 - mean) / std in one multiplication and one addition
        self.register_buffer("scale", (1 / (255 * std)).float())
        self.register_buffer("shift", (-mean / std).float())
        self.train(network.training)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        x = image.permute(0, 3, 1, 2).float() * self.scale + self.shift  # (B, 3, H, W)
        logits, maps = self.explainer(self.network, x)
        return self.answer(logits), *maps.values()

    def answer(self, logits: Tensor) -> Tensor:
        """Probabilities, or the label of each pixel."""
        if self.task == "classification":
            return logits.softmax(dim=1)  # (B, K)
        return logits.argmax(dim=1).to(torch.uint8)  # (B, H, W)


def output_names(network: nn.Module, card: Card, *, explain: Explain | None) -> list[str]:
    """Names of the served graph's outputs, in order; with `explain` the network runs once, on a black image.

    Raises:
        ExportError: the network cannot be explained that way, with the reason.
    """
    answer = ANSWERS[card.task]
    if explain is None:
        return [answer]
    x = torch.zeros(1, 3, card.input.height, card.input.width)
    with torch.inference_mode():
        try:
            _, maps = EXPLAINERS[explain](network, x)
        except ExportError as error:
            raise ExportError(f"{card.name} cannot be exported with --explain {explain}: {error}") from None
    return [answer, *maps]
