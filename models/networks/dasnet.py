"""dasNet: a finished network that looks again, with a gain on each of its feature maps that a policy sets
from what it saw before.

Stollenga, Masci, Gomez & Schmidhuber, "Deep Networks with Internal Selective Attention through Feedback
Connections", NIPS 2014, algorithm 1. https://arxiv.org/abs/1407.3068
Its network: Goodfellow, Warde-Farley, Mirza, Courville & Bengio, "Maxout Networks", ICML 2013.
https://arxiv.org/abs/1302.4389

    M(x, a): y_l = a_l * pool(max_k (W_lk * y_{l-1} + b_lk)),   v = softmax(W max_k (W_k y_L + b_k))
    a_0     = 1
    o_t     = the mean of every map y of M(x, a_t), and v_t
    a_{t+1} = dim(A) s / sum(s),   s = sigmoid(theta o_t)          t = 0..T - 1;  the answer is v_T

The policy theta is found by evolution, `training.snes`, for `losses.boosted`, while M stays as it is.

Departures and readings:
- That the gains are sigmoids scaled to a sum of dim(A), and T = 5, are from memory; theta has a column for a
  constant, and begins at 0, where every gain is 1 and dasNet is M.
- Maps are averaged after their gains, as the next layer reads them. One padding keeps their size up to the
  pooling by 2; kernels are of 3 x 3, where Goodfellow's go up to 8 x 8.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.contract.answers import Classes
from regard.models.classifiers import check_classes
from regard.models.interface import Interface, numbered_classes, plain_image
from regard.models.parts.image_size import check_square


class MaxoutConv(nn.Module):
    """The largest of several convolutions, then of each 2 x 2 positions: (B, C, H, W) ->
    (B, maps, H // 2, W // 2).

    Args:
        channels: C.
        maps: of the result.
        pieces: convolutions that each map is the largest of.
    """

    def __init__(self, channels: int, maps: int, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces
        self.conv = nn.Conv2d(channels, maps * pieces, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(self.conv(x).unflatten(1, (-1, self.pieces)).amax(dim=2), 2)


class MaxoutDense(nn.Module):
    """The largest of several linear layers: (B, F) -> (B, units)."""

    def __init__(self, features: int, units: int, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces
        self.fc = nn.Linear(features, units * pieces)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x).unflatten(1, (-1, self.pieces)).amax(dim=2)


class Maxout(nn.Module):
    """M: class scores (logits) of images under a gain for each of its maps.

    Args:
        num_classes: K.
        channels: C.
        image_size: H.
        maps: of each convolution.
        units: of the dense layer.
        pieces: of each maxout.
    """

    def __init__(
        self, num_classes: int, channels: int, image_size: int, maps: tuple[int, ...], units: int, pieces: int
    ) -> None:
        super().__init__()
        self.maps = maps
        self.convs = nn.ModuleList(
            MaxoutConv(before, after, pieces) for before, after in zip((channels, *maps), maps, strict=False)
        )
        side = image_size >> len(maps)
        self.dense = MaxoutDense(maps[-1] * side**2, units, pieces)
        self.classifier = nn.Linear(units, num_classes)

    def forward(self, x: Tensor, gates: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K), and the mean of every map (B, dim(A)): images (B, C, H, H), gates (B, dim(A))."""
        means = []
        for conv, gate in zip(self.convs, gates.split(self.maps, dim=1), strict=True):
            x = conv(x) * gate[:, :, None, None]
            means.append(x.mean(dim=(2, 3)))
        return self.classifier(self.dense(x.flatten(1))), torch.cat(means, dim=1)


class DasNet(nn.Module):
    """Class scores (logits) of images: (B, C, H, H) -> (B, num_classes), for H = `image_size`.

    Args:
        num_classes: K.
        channels: C, 1 or 3.
        image_size: H.
        passes: T, how often it looks again; with 0 it is the Maxout network alone.
        maps: of each convolution, which are pooled by 2.
        units: of the dense layer.
        pieces: of each maxout.
    """

    def __init__(
        self,
        *,
        num_classes: int = 10,
        channels: int = 3,
        image_size: int = 32,
        passes: int = 5,
        maps: tuple[int, ...] = (96, 192, 192),
        units: int = 500,
        pieces: int = 2,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        if passes < 0:
            raise ValueError(f"passes must be at least 0, got {passes}")
        if not maps or image_size >> len(maps) < 1:
            raise ValueError(
                f"maps must name 1 to {image_size.bit_length() - 1} convolutions for images of {image_size}, "
                f"got {len(maps)}"
            )
        self.channels, self.image_size, self.passes = channels, image_size, passes
        self.maxout = Maxout(num_classes, channels, image_size, tuple(maps), units, pieces)
        self.policy = nn.Linear(sum(maps) + num_classes, sum(maps))
        nn.init.zeros_(self.policy.weight)
        nn.init.zeros_(self.policy.bias)

    def interface(self) -> Interface:
        """A square image, 0 to 1, and numbered classes."""
        image = plain_image(self.image_size, self.channels)
        return Interface((image,), Classes(labels=numbered_classes(self.maxout.classifier.out_features)))

    def gates(self, seen: Tensor) -> Tensor:
        """Gains a, with mean 1, from the means of the maps and the probabilities of the pass before:
        (B, dim(A) + K) -> (B, dim(A)).
        """
        s = self.policy(seen).sigmoid()
        return s * (s.shape[1] / s.sum(dim=1, keepdim=True))

    def explained(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Scores, and the gains of every pass, layer by layer: (B, T + 1, dim(A))."""
        check_square(x, self.image_size, "dasNet")
        gates = [x.new_ones((x.shape[0], self.policy.out_features))]
        scores, means = self.maxout(x, gates[0])
        for _ in range(self.passes):
            gates.append(self.gates(torch.cat([means, scores.softmax(dim=1)], dim=1)))
            scores, means = self.maxout(x, gates[-1])
        return scores, {"gates": torch.stack(gates, dim=1)}

    def forward(self, x: Tensor) -> Tensor:
        return self.explained(x)[0]
