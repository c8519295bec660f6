"""Locally weighted deformable neighbours: features carried without a flow, each position's from those around
it.

Jiang et al., "Video Object Detection with Locally-Weighted Deformable Neighbors", AAAI 2019.
https://doi.org/10.1609/aaai.v33i01.33018529

    c           = correlation of the low-level features of a frame and of the key frame
    N(F)(p)     = sum_n w_n(p) F(p + p_n + d_n(p))          p_n: a square of k x k positions; w, d from c
    frame i     F_i = N(m), d = 0                           every frame but the key ones
    key frame   m   <- a * N(m) + (1 - a) * N_feat(I_k),    a = sigmoid(conv([N(m); N_feat(I_k)]))
    answer      N_task(F_i), N_task(m)

The sum over weighted and displaced neighbours, that they come from low-level features' correlation, and the
memory that keys alone change are the paper's. From a reader's notes, and doubtful: that key to key has
displacements d and key to other frames weights alone. Ours: weights that sum to 1 and start near the
identity, the gate a, and low-level features of a few convolutions of their own, so that a frame between
leaves the segmenter's backbone alone.

State: the memory m, the key frame's low-level features, and the frames since, -1 before the first.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.contract.state import StateTensor
from regard.models.networks.video_segmenter import VideoSegmenter, full, per_image
from regard.models.parts.correlation import correlation, displacements
from regard.models.parts.either import changed_if_any
from regard.models.parts.warp import warp
from regard.models.segmenters.segmenter import Segmenter

LOW = 32  # channels of the low-level features
CENTRE = 4.0  # what the middle weight's score starts with


class LocallyWeightedNeighbours(VideoSegmenter):
    """Class scores (logits) of every pixel of a frame, by a memory that key frames change.

    Args:
        segmenter: N_feat and N_task.
        interval: frames from one key frame to the next.
        radius: of the square of neighbours and of the correlation, in positions of the features.
    """

    def __init__(self, segmenter: Segmenter, *, interval: int = 10, radius: int = 2) -> None:
        super().__init__(segmenter)
        if min(interval, radius) < 1:
            raise ValueError(f"interval and radius must be at least 1, got {interval} and {radius}")
        self.interval, self.radius = interval, radius
        halvings = segmenter.stride.bit_length() - 1
        self.low_level = nn.Sequential(
            *(_conv(3 if i == 0 else LOW, LOW, stride=2) for i in range(halvings)), _conv(LOW, LOW)
        )
        count = (2 * radius + 1) ** 2
        scores, places = (nn.Conv2d(LOW, n * count, kernel_size=3, padding=1) for n in (1, 2))
        self.score = nn.Sequential(_conv(count + LOW, LOW), scores)
        self.displace = nn.Sequential(_conv(count + LOW, LOW), places)
        self.gate = nn.Conv2d(2 * self.channels, 1, kernel_size=1)
        for parameter in (*scores.parameters(), *places.parameters()):
            nn.init.zeros_(parameter)
        with torch.no_grad():
            scores.get_parameter("bias")[count // 2] = CENTRE

    def state_tensors(self) -> tuple[StateTensor, ...]:
        return (
            StateTensor(name="memory", dims=(self.channels, -1, -1)),
            StateTensor(name="low_level", dims=(LOW, -1, -1)),
            StateTensor(name="since", dims=(1,)),
        )

    def initial_state(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        memory = self.no_features(x)
        return memory, memory[:, :1].repeat(1, LOW, 1, 1), full(x, -1)

    def step(
        self, x: Tensor, memory: Tensor, key_low: Tensor, since: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        first = since < 0  # (B, 1)
        key = first | (since >= self.interval)
        low = self.low_level(x)
        seen = self.compare(low, key_low)
        displaced = torch.where(per_image(key), self.displace(seen), 0.0)

        def renewed(x: Tensor, carried: Tensor) -> Tensor:
            own = self.segmenter.features(x)
            a = self.gate(torch.cat([carried, own], dim=1)).sigmoid()
            updated = torch.where(per_image(first), own, a * carried + (1 - a) * own)
            return torch.where(per_image(key), updated, carried)

        carried = gather(memory, self.score(seen).softmax(dim=1), displaced)
        now = changed_if_any(key, renewed, x, carried)
        return (
            self.scores(now, x),
            torch.where(per_image(key), now, memory),
            torch.where(per_image(key), low, key_low),
            torch.where(key, 1.0, since + 1),
        )

    def compare(self, low: Tensor, key_low: Tensor) -> Tensor:
        """What weights and displacements are predicted from."""
        alike = correlation(F.normalize(low, dim=1), F.normalize(key_low, dim=1), self.radius) * LOW
        return torch.cat([alike, low], dim=1)


def gather(x: Tensor, weights: Tensor, displaced: Tensor) -> Tensor:
    """Each position's weighted neighbours: x (B, C, H, W), weights (B, N, H, W) of a square's positions row
    by row, and where each is displaced to, (B, 2 N, H, W), to the right and down -> (B, C, H, W).
    """
    count, height = weights.shape[1:3]
    side = int(count**0.5)
    flow = displacements(side // 2, x)[None, :, :, None, None] + displaced.unflatten(1, (count, 2))
    stacked = flow.transpose(1, 2).flatten(2, 3)  # (B, 2, N H, W)
    around = warp(x, stacked).unflatten(2, (count, height))
    return (around * weights.unsqueeze(1)).sum(dim=2)


def _conv(channels: int, out: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel_size=3, stride=stride, padding=1), nn.ReLU(inplace=True)
    )
