"""What is exported: the network between the pixels a client has and the answer it wants.

image (B, H, W, C) uint8 -> (image / 255 - mean) / std -> network -> what the kind of answer appends:
                                                                    probabilities (B, K) float32, or
                                                                    label_map (B, H, W) uint8

`Normalize` and `Served` stand around a model that others exported as well.
"""

import torch
from torch import Tensor, nn

from regard.contract.answers.kind import AnswerKind
from regard.contract.card import Card
from regard.contract.image_input import ImageInput
from regard.errors import ExportError
from regard.models.explain import Explain
from regard.models.explain.explainers import EXPLAINERS
from regard.models.padding import continued, placed


class Normalize(nn.Module):
    """(image / 255 - mean) / std, in one multiplication and one addition.

    Shape: uint8 (B, H, W, C) -> float32 (B, C, H, W), C being 3 or 1.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, contract: ImageInput) -> None:
        super().__init__()
        mean = torch.tensor(contract.mean, dtype=torch.float64).view(-1, 1, 1)
        std = torch.tensor(contract.std, dtype=torch.float64).view(-1, 1, 1)
        self.register_buffer("scale", (1 / (255 * std)).float())
        self.register_buffer("shift", (-mean / std).float())

    def forward(self, image: Tensor) -> Tensor:
        # cast first: TensorRT moves no uint8 about
        return image.float().permute(0, 3, 1, 2) * self.scale + self.shift


class Served(nn.Module):
    """What is served of the scores, by the Card's kind of answer.

    Shape: as of its `scores_shape` and `served_shape`.
    """

    def __init__(self, answer: AnswerKind) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, scores: Tensor) -> Tensor:
        served: Tensor = self.answer.append(scores)
        return served


class ServedGraph(nn.Module):
    """The network of a Card with its input and output contracts inside.

    Shape: uint8 (B, H, W, C) -> a tuple of the answer and, with `explain`, of each map of the explanation in
    its order.

    Args:
        network: in evaluation mode; (B, C, H, W) to scores as the Card's answer says.
        card: what goes in and out.
        explain: the explanation to add, a name of EXPLAINERS.
    """

    def __init__(self, network: nn.Module, card: Card, *, explain: Explain | None = None) -> None:
        super().__init__()
        self.normalize = Normalize(card.input)
        self.network = network
        self.card = card
        self.answer = Served(card.answer)
        self.explainer = EXPLAINERS[explain]
        self.train(network.training)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        x = self.normalize(image)
        logits, maps = self.explainer(self.network, continued(x, self.card.input.pad_to))
        return self.answer(placed(logits, x, self.card)), *maps.values()


def image_dims(contract: ImageInput, *, rows: int = 1) -> dict[int, str]:
    """The dynamic axes of an image batch, and their names; `rows` is the axis of the height."""
    return {0: "batch", rows: "height", rows + 1: "width"} if contract.dynamic_size else {0: "batch"}


def output_names(network: nn.Module, card: Card, *, explain: Explain | None) -> list[str]:
    """Names of the served graph's outputs, in order; with `explain` the network runs once, on a black image.

    Raises:
        ExportError: the network cannot be explained that way, with the reason.
    """
    answer = card.answer.tensor
    if explain is None:
        return [answer]
    x = torch.zeros(1, card.input.channels, card.input.height, card.input.width)
    with torch.inference_mode():
        try:
            _, maps = EXPLAINERS[explain](network, continued(x, card.input.pad_to))
        except ExportError as error:
            raise ExportError(f"{card.name} cannot be explained by {explain}: {error}") from None
    return [answer, *maps]
