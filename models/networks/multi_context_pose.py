"""Multi-context attention: a stack of hourglasses that attend to the whole figure first and to each joint
later, and say where the joints are.

Chu, Yang, Ouyang, Ma, Yuille & Wang, "Multi-Context Attention for Human Pose Estimation", CVPR 2017, sections
3 to 5. https://arxiv.org/abs/1702.07432

    U = sum_r up(U_r * f_r)                    scores of every place, of what the hourglass saw at scale r
    h = f . Q(U)                               holistic attention: Q by mean-field inference
    H_j = w_j * h                              heat of joint j, in the first stacks
    H_j = w_j * (h . Q_j(U_j * h))             part attention, in the later ones
    f'  = f' + W_h * h + W_H * H               what the next hourglass is given

U_r, U_j: 3x3 convolutions to one channel, U_r with batch norm and ReLU before it, without which what an
hourglass adds up soon shuts Q for good; w, W: 1x1; Q: `parts.mean_field`; f_r: `parts.stacked_hourglass`.
Trained by the mean square error of every stack's H to Gaussians about the joints; the answer is the soft
argmax of the last one's, `parts.soft_argmax`.

Eight stacks of 256 channels, the last one's head of 512, attention to parts from the fifth on, images of 256
pixels and maps of 64, 16 joints, kernels of 11: the paper's and its code's. Readings: the scales' scores are
summed before the one inference, and what is handed on is what was attended to.
"""

import torch
from torch import Tensor, nn

from regard.contract.answers import Points
from regard.contract.inputs import ImageInput
from regard.models.interface import Interface
from regard.models.parts.image_size import check_square
from regard.models.parts.mean_field import MeanFieldAttention
from regard.models.parts.soft_argmax import soft_argmax
from regard.models.parts.stacked_hourglass import (
    HourglassResidualUnit,
    StackedHourglass,
    activated,
    upsampled,
)

STRIDE = 4  # of the maps
ITERATIONS = 3  # of the mean field


class HolisticAttention(nn.Module):
    """f . Q, and Q: of maps f (B, C, H, W) and the scales (B, channels, ...), the finest of f's size."""

    def __init__(self, channels: int, scales: int, kernel: int) -> None:
        super().__init__()
        self.unary = nn.ModuleList(activated(channels, 1, 3) for _ in range(scales))
        self.field = MeanFieldAttention(kernel, ITERATIONS)

    def forward(self, x: Tensor, scales: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        scores = [score(scale) for score, scale in zip(self.unary, scales, strict=True)]
        q = self.field(scores[0] + sum(upsampled(score, scores[0]) for score in scores[1:]))
        return x * q, q


class PartAttention(nn.Module):
    """The heat H and attention Q of each joint: (B, C, H, W) -> two of (B, J, H, W)."""

    def __init__(self, channels: int, joints: int, kernel: int) -> None:
        super().__init__()
        self.unary = nn.Conv2d(channels, joints, 3, padding=1)
        self.fields = nn.ModuleList(MeanFieldAttention(kernel, ITERATIONS) for _ in range(joints))
        self.heat = nn.Conv2d(channels, joints, 1, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.unary(x).split(1, dim=1)
        q = torch.cat([field(score) for field, score in zip(self.fields, scores, strict=True)], dim=1)
        # w_j * (h . Q_j) = (w_j * h) . Q_j, as w_j sees one place and Q_j is the same for all channels
        return self.heat(x) * q, q


class Stack(nn.Module):
    """One hourglass and its heat maps: (B, width, H, W) -> features (B, out, H, W), heat (B, J, H, W), and
    its attention: to the whole (B, 1, H, W) and to parts (B, J, H, W), None where there is none.
    """

    def __init__(
        self, width: int, out: int, joints: int, depth: int, kernel: int, *, attention: bool, parts: bool
    ) -> None:
        super().__init__()
        self.hourglass = StackedHourglass(width, depth)
        self.features = nn.Sequential(
            HourglassResidualUnit(width, out), nn.Conv2d(out, out, 1), nn.BatchNorm2d(out), nn.ReLU()
        )
        self.whole = HolisticAttention(width, depth + 1, kernel) if attention else None
        self.parts = PartAttention(out, joints, kernel) if attention and parts else None
        self.heat = nn.Conv2d(out, joints, 1) if self.parts is None else nn.Identity()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        scales = self.hourglass(x)
        features, whole = self.features(scales[0]), None
        if self.whole is not None:
            features, whole = self.whole(features, scales)
        if self.parts is None:
            return features, self.heat(features), whole, None
        heat, parts = self.parts(features)
        return features, heat, whole, parts


class MultiContextPose(nn.Module):
    """The joints of the one figure in an image: (B, 3, image_size, image_size) -> points (B, joints, 3), x
    and y as fractions of the image, and confidence.

    Args:
        joints: how many.
        width: channels of the hourglasses.
        stacks: how many there are.
        part_stacks: so many of them, the last ones, attend to parts.
        depth: poolings of each hourglass.
        kernel: side of K, odd.
        attention: False leaves all attention out: the baseline.
        image_size: side of the images in pixels, a multiple of 4 x 2^(depth + 1).
    """

    def __init__(
        self,
        *,
        joints: int = 16,
        width: int = 256,
        stacks: int = 8,
        part_stacks: int = 4,
        depth: int = 4,
        kernel: int = 11,
        attention: bool = True,
        image_size: int = 256,
    ) -> None:
        super().__init__()
        for name, value in (("joints", joints), ("stacks", stacks), ("depth", depth)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not 0 <= part_stacks <= stacks:
            raise ValueError(f"part_stacks must be from 0 to stacks, got {part_stacks} of {stacks}")
        if width < 4 or width % 4:
            raise ValueError(f"width must be a multiple of 4, got {width}")
        multiple = STRIDE * 2 ** (depth + 1)
        if image_size < multiple or image_size % multiple:
            raise ValueError(f"image_size must be a multiple of {multiple}, got {image_size}")
        self.joints, self.image_size = joints, image_size
        self.stem = nn.Sequential(
            nn.Conv2d(3, width // 4, 7, stride=2, padding=3),
            nn.BatchNorm2d(width // 4),
            nn.ReLU(),
            HourglassResidualUnit(width // 4, width // 2),
            nn.MaxPool2d(2),
            HourglassResidualUnit(width // 2, width // 2),
            HourglassResidualUnit(width // 2, width),
        )
        outs = [width] * (stacks - 1) + [2 * width]
        self.stacks = nn.ModuleList(
            Stack(
                *(width, out, joints, depth, kernel),
                attention=attention,
                parts=index >= stacks - part_stacks,
            )
            for index, out in enumerate(outs)
        )
        self.remembered = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(stacks - 1))
        self.believed = nn.ModuleList(nn.Conv2d(joints, width, 1) for _ in range(stacks - 1))

    def interface(self) -> Interface:
        """An image, and points by number."""
        image = ImageInput(height=self.image_size, width=self.image_size, resize="stretch")
        return Interface((image,), Points(names=tuple(f"joint {index}" for index in range(self.joints))))

    def forward(self, x: Tensor) -> Tensor:
        return soft_argmax(self.heat(x)[-1])

    def heat(self, x: Tensor) -> list[Tensor]:
        """Heat maps of every stack, (B, joints, image_size / 4, image_size / 4), for training."""
        return [heat for heat, _, _ in self._stacked(x)]

    def explained(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The points, and where attention was given: "whole" (B, stacks, h, w), and "parts" of the last stack
        (B, joints, h, w).
        """
        stacked = self._stacked(x)
        whole = [whole for _, whole, _ in stacked if whole is not None]
        maps = {"whole": torch.cat(whole, dim=1)} if whole else {}
        heat, _, parts = stacked[-1]
        return soft_argmax(heat), maps if parts is None else maps | {"parts": parts}

    def _stacked(self, x: Tensor) -> list[tuple[Tensor, Tensor | None, Tensor | None]]:
        """Heat and attention of every stack."""
        check_square(x, self.image_size, "multi-context pose network")
        x = self.stem(x)
        found = []
        for index, stack in enumerate(self.stacks):
            features, heat, whole, parts = stack(x)
            found.append((heat, whole, parts))
            if index + 1 < len(self.stacks):
                x = x + self.remembered[index](features) + self.believed[index](heat)
        return found
