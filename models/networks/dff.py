"""Deep feature flow: features are computed on key frames, and carried to the frames between by the flow.

Zhu et al., "Deep Feature Flow for Video Recognition", CVPR 2017, eqs. 1-4. https://arxiv.org/abs/1611.07715

    key frame k       F_k = N_feat(I_k)                              every `interval` frames
    frame i           F_i = W(F_k, M) * S,   M, S = N_flow(I_k, I_i)
    answer            N_task(F)

W is the bilinear warp, S a factor for each channel and position that starts at 1. N_feat and N_task are a
segmenter's features and classifier. The flow network is ours, see `regard.models.parts.flow`; so is S from
its last layer alone, by a 1x1 convolution.

State: the key frame's features, the key frame, and the frames since.
"""

import torch
from torch import Tensor, nn

from regard.contract.state import StateTensor
from regard.models.heads.layers import resize
from regard.models.networks.video_segmenter import VideoSegmenter, full, per_image
from regard.models.parts.either import changed_if_any
from regard.models.parts.flow import HIDDEN, FlowNetwork
from regard.models.parts.warp import resize_flow, warp
from regard.models.segmenters.segmenter import Segmenter


class DeepFeatureFlow(VideoSegmenter):
    """Class scores (logits) of every pixel of a frame, by features of the last key frame.

    Args:
        segmenter: N_feat and N_task.
        interval: frames from one key frame to the next; 10 in the paper, and 1 makes every frame one.
        flow_levels: see `FlowNetwork`.
    """

    def __init__(self, segmenter: Segmenter, *, interval: int = 10, flow_levels: int = 3) -> None:
        super().__init__(segmenter)
        if interval < 1:
            raise ValueError(f"interval must be at least 1, got {interval}")
        self.interval = interval
        self.flow = FlowNetwork(flow_levels)
        self.scale = nn.Conv2d(HIDDEN, self.channels, kernel_size=1)
        for parameter, value in zip(self.scale.parameters(), (0, 1), strict=True):  # weight and bias
            nn.init.constant_(parameter, value)

    def state_tensors(self) -> tuple[StateTensor, ...]:
        return (
            StateTensor(name="features", dims=(self.channels, -1, -1)),
            StateTensor(name="key_frame", dims=(3, -1, -1)),
            StateTensor(name="since", dims=(1,)),
        )

    def initial_state(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.no_features(x), torch.zeros_like(x), full(x, self.interval)

    def step(
        self, x: Tensor, features: Tensor, key_frame: Tensor, since: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        key = since >= self.interval  # (B, 1)
        chosen = per_image(key)

        def renewed(x: Tensor, kept: Tensor) -> Tensor:
            return torch.where(chosen, self.segmenter.features(x), kept)

        now = changed_if_any(key, renewed, x, self.propagate(features, key_frame, x))
        return (
            self.scores(now, x),
            torch.where(chosen, now, features),
            torch.where(chosen, x, key_frame),
            torch.where(key, 1.0, since + 1),
        )

    def propagate(self, features: Tensor, key_frame: Tensor, x: Tensor) -> Tensor:
        """F_i of a frame from the key frame's features: (B, C, h, w)."""
        motion = self.flow(x, key_frame)
        carried = warp(features, resize_flow(motion.flow, features))
        return carried * resize(self.scale(motion.hidden), features)
