"""Video segmentation that decides itself which frames, and which places of a frame, it computes anew.

Zhu et al., "Towards High Performance Video Object Detection", CVPR 2018, eqs. 3-7.
https://arxiv.org/abs/1711.11577

    M, Q        = N_flow(I_k, I_i)            motion, and how well the key frame's features can be carried
    key         if mean_p [Q(p) <= tau] > gamma
    frame i     F_i(p) = N_feat(I_i)(p) where Q(p) <= tau, else W(F_k, M)(p)
    key frame   F_k' = w * W(F_k, M) + w' * N_feat(I_k'),    w + w' = 1 at every position
    answer      N_task(F)

w and w' come from how alike embeddings of both are to that of the new features, as in flow-guided feature
aggregation. The paper computes features anew in the places alone, layer by layer; a dense graph computes all
of them or none, so a frame is spared if all its places can be carried. tau and gamma are ours, and so is the
flow network, see `regard.models.parts.flow`. The choice passes Q no gradient: it needs a
loss of its own.

State: the key frame's features, the key frame, and 1 once there is one.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.contract.state import StateTensor
from regard.models.heads.layers import resize
from regard.models.networks.video_segmenter import VideoSegmenter, full, per_image
from regard.models.parts.either import changed_if_any
from regard.models.parts.flow import HIDDEN, FlowNetwork
from regard.models.parts.warp import resize_flow, warp
from regard.models.segmenters.segmenter import Segmenter


class AdaptiveKeyFrames(VideoSegmenter):
    """Class scores (logits) of every pixel of a frame, by features that are carried wherever that is good
    enough.

    Args:
        segmenter: N_feat and N_task.
        tau: quality up to which a position is computed anew.
        gamma: fraction of such positions beyond which the frame becomes the key frame.
        flow_levels: see `FlowNetwork`.
    """

    def __init__(
        self, segmenter: Segmenter, *, tau: float = 0.0, gamma: float = 0.2, flow_levels: int = 3
    ) -> None:
        super().__init__(segmenter)
        if not 0 <= gamma < 1:
            raise ValueError(f"gamma must be in [0, 1), got {gamma}")
        if math.isnan(tau):
            raise ValueError("tau must be a number, got nan")
        self.tau, self.gamma = tau, gamma
        self.flow = FlowNetwork(flow_levels)
        self.quality = nn.Conv2d(HIDDEN, 1, kernel_size=1)
        self.embed = nn.Conv2d(self.channels, self.channels, kernel_size=1)

    def state_tensors(self) -> tuple[StateTensor, ...]:
        return (
            StateTensor(name="features", dims=(self.channels, -1, -1)),
            StateTensor(name="key_frame", dims=(3, -1, -1)),
            StateTensor(name="begun", dims=(1,)),
        )

    def initial_state(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.no_features(x), torch.zeros_like(x), full(x, 0)

    def step(
        self, x: Tensor, features: Tensor, key_frame: Tensor, begun: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        carried, quality = self.propagate(features, key_frame, x)
        stale = quality <= self.tau  # (B, 1, h, w)
        first = begun < 1  # (B, 1)
        key = first | (stale.to(x.dtype).mean(dim=(2, 3)) > self.gamma)

        def renewed(x: Tensor, carried: Tensor) -> Tensor:
            own = self.segmenter.features(x)
            old, new = self.weights(carried, own).split(1, dim=1)
            aggregated = torch.where(per_image(first), own, old * carried + new * own)
            return torch.where(per_image(key), aggregated, torch.where(stale, own, carried))

        now = changed_if_any(key | stale.flatten(1).any(dim=1, keepdim=True), renewed, x, carried)
        return (
            self.scores(now, x),
            torch.where(per_image(key), now, features),
            torch.where(per_image(key), x, key_frame),
            torch.ones_like(begun),
        )

    def propagate(self, features: Tensor, key_frame: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """W(F_k, M) and Q of a frame: (B, C, h, w), (B, 1, h, w)."""
        motion = self.flow(x, key_frame)
        carried = warp(features, resize_flow(motion.flow, features))
        return carried, resize(self.quality(motion.hidden), features)

    def weights(self, carried: Tensor, own: Tensor) -> Tensor:
        """What both features weigh at each position, w and w': (B, 2, h, w)."""
        old, new = (F.normalize(self.embed(each), dim=1) for each in (carried, own))
        return torch.stack([(old * new).sum(dim=1), (new * new).sum(dim=1)], dim=1).softmax(dim=1)
