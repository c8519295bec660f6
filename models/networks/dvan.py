"""DVAN: a recurrent network attends to one canvas of the image after the other, from the whole to its
details, each time elsewhere.

Zhao, Wu, Feng, Peng & Yan, "Diversified Visual Attention Networks for Fine-Grained Object Classification",
IEEE Transactions on Multimedia 2017. https://arxiv.org/abs/1606.08572

    X_t    = pool5 of VGG-16 on canvas t, a crop of the image resized to 224 x 224: 49 x 512
    l_t    = softmax(W h_{t-1}), over the 49 positions
    x_t    = sum_i l_{t,i} X_{t,i}
    h_t    = LSTM(x_t, h_{t-1})
    answer = mean_t softmax(U h_t)
    L      = mean_t CE(U h_t) + lambda sum over t of the overlap of l_{t-1} and l_t in the image

Departures and readings:
- Canvases of several scales and places, coarse to fine, one LSTM over them, the diversity of attention and
  the average over time are from the abstract and from summaries of the paper. Which canvases, the 512 units,
  and lambda = 1 are ours; so is the start: h_0 and c_0 are tanh of linear layers on the first canvas's mean
  feature.
- Attention maps are laid over a grid of the image before they are compared, each position covering what its
  canvas shows there. The paper's limit on the canvases' own overlap is a matter of choosing them.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from regard.models.backbones.by_name import build_backbone, pool_to_stride_32
from regard.models.classifiers import check_classes
from regard.models.losses.criterion import Criterion
from regard.models.losses.diversity import diversity_loss
from regard.models.parts.crop import crop
from regard.models.parts.mean_answer import log_mean_softmax
from regard.models.parts.proposals import Box, check_boxes, coverage, grid_boxes, pixels

CANVASES = grid_boxes([(1.0, 1), (0.75, 2), (0.5, 2)])
GRID = 14  # cells of the image on each side in which attention maps are compared


class Glance(nn.Module):
    """Where to look in a canvas, from what was seen before: state (B, hidden) and features (B, C, s, s) ->
    (B, C).

    Args:
        hidden: size of the state.
        side: s.
    """

    def __init__(self, hidden: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.scores = nn.Linear(hidden, side * side)

    def weights(self, state: Tensor) -> Tensor:
        """Attention l over the positions: (B, hidden) -> (B, s, s)."""
        return self.scores(state).softmax(dim=1).unflatten(1, (self.side, self.side))

    def forward(self, features: Tensor, attention: Tensor) -> Tensor:
        return (features * attention.unsqueeze(1)).sum(dim=(2, 3))


class DVAN(nn.Module):
    """Class scores (logits) of an image batch: (B, 3, H, W) -> (B, num_classes).

    Args:
        num_classes: K.
        backbone: a name of `BACKBONES`.
        width: channels of the backbone's first stage.
        hidden: size of the LSTM's state.
        canvas_size: side that a canvas is resized to, a multiple of 32.
        canvases: left, top, right, bottom in fractions of the image, at least two, none larger than one
            before.
        diversity: lambda, the weight of the diversity loss.
    """

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        backbone: str = "vgg16",
        width: int = 64,
        hidden: int = 512,
        canvas_size: int = 224,
        canvases: Sequence[Sequence[float]] = CANVASES,
        diversity: float = 1.0,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        if canvas_size < 32 or canvas_size % 32:
            raise ValueError(f"canvas_size must be a multiple of 32, got {canvas_size}")
        if hidden < 1:
            raise ValueError(f"hidden must be at least 1, got {hidden}")
        if not diversity >= 0:
            raise ValueError(f"diversity must be 0 or more, got {diversity}")
        self.canvases = check_canvases(canvases)
        self.canvas_size, self.diversity = canvas_size, diversity
        self.backbone = build_backbone(backbone, width)
        self.pool5 = pool_to_stride_32(self.backbone)
        channels = self.backbone.channels[-1]
        self.start = nn.Linear(channels, 2 * hidden)
        self.glance = Glance(hidden, canvas_size // 32)
        self.lstm = nn.LSTMCell(channels, hidden)
        self.classifier = nn.Linear(hidden, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """X of every canvas: (B, 3, H, W) -> (B, T, C, s, s)."""
        boxes = pixels(torch.tensor([self.canvases], dtype=x.dtype, device=x.device), x)  # (1, T, 4)
        canvases = crop(x, boxes, (self.canvas_size, self.canvas_size))
        maps = self.pool5(self.backbone.stages(canvases.flatten(0, 1))[-1])
        return maps.unflatten(0, (-1, len(self.canvases)))

    def glances(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Attention and answer at each step: (B, T, C, s, s) -> (B, T, s, s), (B, T, K)."""
        state, cell = self.start(features[:, 0].mean(dim=(2, 3))).tanh().chunk(2, dim=1)
        attention, states = [], []
        for canvas in features.unbind(dim=1):
            attention.append(self.glance.weights(state))
            state, cell = self.lstm(self.glance(canvas, attention[-1]), (state, cell))
            states.append(state)
        return torch.stack(attention, dim=1), self.classifier(torch.stack(states, dim=1))

    def forward(self, x: Tensor) -> Tensor:
        return log_mean_softmax(self.glances(self.features(x))[1])

    def training_loss(self, x: Tensor, targets: Tensor, criterion: Criterion) -> Tensor:
        """The mean criterion of all steps, and the diversity of their attention in the image."""
        attention, answers = self.glances(self.features(x))
        classification = torch.stack([criterion(answer, targets) for answer in answers.unbind(dim=1)]).mean()
        return classification + self.diversity * diversity_loss(laid_out(attention, self.canvases).flatten(2))


def laid_out(attention: Tensor, canvases: Sequence[Box], grid: int = GRID) -> Tensor:
    """Attention over canvases as attention over the image: (B, T, s, s) -> (B, T, grid, grid), with the same
    sums.
    """
    side = attention.shape[2]
    boxes = torch.tensor(canvases, dtype=attention.dtype, device=attention.device)  # (T, 4)
    edges = torch.arange(side + 1, dtype=attention.dtype, device=attention.device) / side

    def spread(start: Tensor, end: Tensor) -> Tensor:
        """How the positions along one axis spread over the grid's cells: (T,), (T,) -> (T, grid, s)."""
        places = start[:, None] + (end - start)[:, None] * edges  # (T, s + 1)
        covered = coverage(places[:, :-1].flatten(), places[:, 1:].flatten(), grid)  # (T s, grid)
        return (covered / covered.sum(dim=1, keepdim=True)).unflatten(0, (-1, side)).transpose(1, 2)

    rows, columns = spread(boxes[:, 1], boxes[:, 3]), spread(boxes[:, 0], boxes[:, 2])
    return rows @ attention @ columns.transpose(1, 2)


def check_canvases(canvases: Sequence[Sequence[float]]) -> tuple[Box, ...]:
    """The canvases as tuples, or a ValueError: at least two, in an order from coarse to fine."""
    boxes = check_boxes(canvases)
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in boxes]
    if len(boxes) < 2:
        raise ValueError(f"canvases must be at least two, got {len(boxes)}")
    if any(after > before + 1e-9 for before, after in pairwise(areas)):
        raise ValueError(
            f"canvases must go from coarse to fine, got areas {[round(area, 4) for area in areas]}"
        )
    return boxes
