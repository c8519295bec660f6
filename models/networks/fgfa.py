"""Flow-guided feature aggregation, causal: each frame's features are averaged with those of the frames before
it, each position by how alike they are there.

Zhu et al., "Flow-Guided Feature Aggregation for Video Object Detection", ICCV 2017, eqs. 1-3.
https://arxiv.org/abs/1703.10025

    F_j->i   = W(F_j, M_i->j)                                   j: the frame i and the `past` before it
    w_j      = softmax_j cos(E(F_j->i), E(F_i))                 at each position
    answer   = N_task(sum_j w_j F_j->i)

The paper looks as far ahead as back; a camera has no later frames. E is its embedding, 1x1 - 3x3 - 1x1, here
of a quarter of the features' channels. The flow network is ours, see `regard.models.parts.flow`.

State: features and frames of the last `past` frames, the newest first, and how many there are. No frame is
spared: every one's features are computed, once.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.contract.state import StateTensor
from regard.models.networks.video_segmenter import VideoSegmenter, full
from regard.models.parts.flow import FlowNetwork
from regard.models.parts.warp import resize_flow, warp
from regard.models.segmenters.segmenter import Segmenter


class FlowGuidedAggregation(VideoSegmenter):
    """Class scores (logits) of every pixel of a frame, by its features and those of the frames before it.

    Args:
        segmenter: N_feat and N_task.
        past: frames that are remembered.
        flow_levels: see `FlowNetwork`.
    """

    def __init__(self, segmenter: Segmenter, *, past: int = 2, flow_levels: int = 3) -> None:
        super().__init__(segmenter)
        if past < 1:
            raise ValueError(f"past must be at least 1, got {past}")
        self.past = past
        self.flow = FlowNetwork(flow_levels)
        inner = max(1, self.channels // 4)
        self.embed = nn.Sequential(
            nn.Conv2d(self.channels, inner, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, inner, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(inner, self.channels, kernel_size=1),
        )

    def state_tensors(self) -> tuple[StateTensor, ...]:
        return (
            StateTensor(name="features", dims=(self.past * self.channels, -1, -1)),
            StateTensor(name="frames", dims=(self.past * 3, -1, -1)),
            StateTensor(name="held", dims=(1,)),
        )

    def initial_state(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.no_features(x, self.past), torch.zeros_like(x).repeat(1, self.past, 1, 1), full(x, 0)

    def step(
        self, x: Tensor, features: Tensor, frames: Tensor, held: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        own = self.segmenter.features(x)
        all_frames = torch.cat([own.unsqueeze(1), self.carried(features, frames, x)], dim=1)
        weights = self.weights(all_frames, held)
        return (
            self.scores((weights.unsqueeze(2) * all_frames).sum(dim=1), x),
            torch.cat([own, features], dim=1)[:, : features.shape[1]],
            torch.cat([x, frames], dim=1)[:, : frames.shape[1]],
            (held + 1).clamp(max=self.past),
        )

    def carried(self, features: Tensor, frames: Tensor, x: Tensor) -> Tensor:
        """F_j->i of each remembered frame: (B, past, C, h, w)."""
        before = frames.unflatten(1, (self.past, 3)).flatten(0, 1)  # (B past, 3, H, W)
        remembered = features.unflatten(1, (self.past, self.channels)).flatten(0, 1)
        flow = self.flow(x.repeat_interleave(self.past, dim=0), before).flow
        return warp(remembered, resize_flow(flow, remembered)).unflatten(0, (-1, self.past))

    def weights(self, features: Tensor, held: Tensor) -> Tensor:
        """w_j of each frame, the present one first; 0 for those not seen yet: (B, frames, C, h, w), (B, 1) ->
        (B, frames, h, w).
        """
        embedded = F.normalize(self.embed(features.flatten(0, 1)), dim=1).unflatten(0, features.shape[:2])
        alike = (embedded * embedded[:, :1]).sum(dim=2)  # (B, frames, h, w)
        seen = torch.arange(self.past + 1, device=held.device) <= held  # (B, frames)
        return alike.masked_fill(~seen[:, :, None, None], torch.finfo(alike.dtype).min).softmax(dim=1)
