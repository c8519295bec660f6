"""What is exported: the network between the pixels a client has and the answer it wants.

image (B, H, W, 3) uint8 RGB -> (image / 255 - mean) / std -> network -> softmax: probabilities (B, K) float32
                                                                      -> argmax: label_map (B, H, W) uint8

`Normalize` and `Answer` stand around a model that others exported as well.
"""

import torch
from torch import Tensor, nn

from regard.contract.card import Card, InputContract
from regard.contract.names import ANSWERS, Task
from regard.errors import ExportError
from regard.models.explain import Explain
from regard.models.explain.explainers import EXPLAINERS


class Normalize(nn.Module):
    """(image / 255 - mean) / std, in one multiplication and one addition.

    Shape: uint8 (B, H, W, 3) -> float32 (B, 3, H, W).
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, contract: InputContract) -> None:
        super().__init__()
        mean = torch.tensor(contract.mean, dtype=torch.float64).view(3, 1, 1)
        std = torch.tensor(contract.std, dtype=torch.float64).view(3, 1, 1)
        self.register_buffer("scale", (1 / (255 * std)).float())
        self.register_buffer("shift", (-mean / std).float())

    def forward(self, image: Tensor) -> Tensor:
        return image.permute(0, 3, 1, 2).float() * self.scale + self.shift


class Answer(nn.Module):
    """What is served of the logits.

    Shape: (B, K) -> probabilities float32 (B, K); for segmentation (B, K, H, W) -> label map uint8 (B, H, W).
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task

    def forward(self, logits: Tensor) -> Tensor:
        if self.task == "classification":
            return logits.softmax(dim=1)
        return logits.argmax(dim=1).to(torch.uint8)


class ServedGraph(nn.Module):
    """The network of a Card with its input and output contracts inside.

    Shape: uint8 (B, H, W, 3) -> a tuple of the answer and, with `explain`, of each map of the explanation in
    its order.

    Args:
        network: in evaluation mode; (B, 3, H, W) to logits (B, K), or (B, K, H, W) for segmentation.
        card: task, mean and std.
        explain: the explanation to add, a name of EXPLAINERS.
    """

    def __init__(self, network: nn.Module, card: Card, *, explain: Explain | None = None) -> None:
        super().__init__()
        self.normalize = Normalize(card.input)
        self.network = network
        self.answer = Answer(card.task)
        self.explainer = EXPLAINERS[explain]
        self.train(network.training)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        logits, maps = self.explainer(self.network, self.normalize(image))
        return self.answer(logits), *maps.values()


def image_dims(contract: InputContract, *, rows: int = 1) -> dict[int, str]:
    """The dynamic axes of an image batch, and their names; `rows` is the axis of the height."""
    return {0: "batch", rows: "height", rows + 1: "width"} if contract.dynamic_size else {0: "batch"}


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
            raise ExportError(f"{card.name} cannot be explained by {explain}: {error}") from None
    return [answer, *maps]
