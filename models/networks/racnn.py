"""RA-CNN: look at the image, zoom in on a region that the features propose, look again, and once more.

Fu, Zheng & Mei, "Look Closer to See Better: Recurrent Attention Convolutional Neural Network for Fine-grained
Image Recognition", CVPR 2017.
https://openaccess.thecvf.com/content_cvpr_2017/html/Fu_Look_Closer_to_CVPR_2017_paper.html

    [t_x, t_y, t_l] = sigmoid(W2 tanh(W1 pool5(X)))
    M(t)  = [h(x - t_left) - h(x - t_right)] [h(y - t_top) - h(y - t_bottom)]
    X'    = the square of X * M, resized bilinearly to the next scale's size
    L     = sum_s CE(Y_s, Y) + sum_s max(0, p_t(s) - p_t(s + 1) + 0.05)

t is a square's centre and half side, h(x) = 1 / (1 + exp(-k x)) with k = 10.

Three scales of VGG-19, at 448, 224 and 224 pixels. The answer is a linear layer on the three descriptors,
each scaled to length 1.

Departures and readings:
- Layers, k and the alternation are those of public ports and summaries of the paper; that the descriptors are
  scaled to length 1 before they are fused is from memory.
- The paper alternates between training the classifiers and training the proposals. Here both happen in one
  pass: classification does not reach the proposals, the ranking loss reaches nothing else, and the layer that
  fuses reads descriptors that it does not train.
- The paper's gradient of the crop is written by hand from sign maps; here it is the exact one, of the mask
  and of the bilinear sampling.
- Limits on the square are passed straight through by the gradient, as the hand-written one does. The half
  side is at least 1/6 of the image's: from memory, the paper asks for a third of the one before, which is 1/2
  at the whole image. Public ports take a third of the image's side; but the paper starts from squares of half
  the image's side, a half side of 1/4, which such a limit would forbid.
- The paper first fits the proposals to the square of half the image's side around the strongest response of
  the last map; they start at the centre with that side here, and the option `guide` adds the fit to the loss.
"""

from collections.abc import Iterable
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.models.backbones.by_name import build_backbone, pool_to_stride_32
from regard.models.classifiers import ImageClassifier, check_classes
from regard.models.losses.criterion import Criterion
from regard.models.losses.ranking import ranking_loss
from regard.models.parts.crop import crop, peaks
from regard.models.parts.image_size import check_square

SCALES = 3
HIDDEN = 1024  # units of a proposal network


class AttentionProposal(nn.Module):
    """Centre and half side of the square to look at next, as fractions of the image: features (B, C, h, w) ->
    (B, 3).

    Args:
        features: C h w.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(features, HIDDEN)
        self.fc2 = nn.Linear(HIDDEN, 3)
        nn.init.normal_(self.fc2.weight, std=1e-3)
        with torch.no_grad():
            self.fc2.bias.copy_(torch.tensor([0.5, 0.5, 0.25]).logit())

    def forward(self, features: Tensor) -> Tensor:
        return self.fc2(self.fc1(features.flatten(1)).tanh()).float().sigmoid()


def limited(proposal: Tensor, least: float) -> Tensor:
    """The square moved and scaled to lie inside the image: (B, 3) -> (B, 3). The gradient passes as if it had
    not been.
    """
    half = proposal[:, 2:].clamp(least, 0.5)
    centre = torch.minimum(torch.maximum(proposal[:, :2], half), 1 - half)
    return proposal + (torch.cat([centre, half], dim=1) - proposal).detach()


class Zoom(nn.Module):
    """The square of the masked image, resized: image (B, 3, H, H) and square (B, 3) in fractions ->
    (B, 3, size, size).

    Args:
        size: of the result.
        sharpness: k of the mask's edges, per pixel.
    """

    def __init__(self, size: int, sharpness: float = 10.0) -> None:
        super().__init__()
        self.size, self.sharpness = size, sharpness

    def weights(self, x: Tensor, boxes: Tensor) -> Tensor:
        """The mask M, near 1 inside and near 0 outside: boxes (B, 4) in pixels -> (B, 1, H, W)."""
        left, top, right, bottom = boxes[:, :, None].unbind(dim=1)  # (B, 1)
        columns, rows = (
            torch.arange(count, dtype=boxes.dtype, device=boxes.device) + 0.5
            for count in (x.shape[3], x.shape[2])
        )
        # (B, W)
        across = (self.sharpness * (columns - left)).sigmoid() - (
            self.sharpness * (columns - right)
        ).sigmoid()
        # (B, H)
        down = (self.sharpness * (rows - top)).sigmoid() - (self.sharpness * (rows - bottom)).sigmoid()
        return (down[:, :, None] * across[:, None, :]).unsqueeze(1)

    def forward(self, x: Tensor, square: Tensor) -> Tensor:
        centre, half = square[:, :2], square[:, 2:]
        boxes = torch.cat([centre - half, centre + half], dim=1) * x.shape[3]
        return crop(x * self.weights(x, boxes), boxes.unsqueeze(1), (self.size, self.size))[:, 0]


class Look(NamedTuple):
    """What one pass over the scales gives.

    Attributes:
        descriptors: pooled features of each scale, (B, C).
        proposed: squares (B, 3) as the proposal networks gave them, for each scale but the last.
        entered: the squares as the zooms took them.
        responses: squares of half the image's side around the strongest response of each scale but the last.
    """

    descriptors: list[Tensor]
    proposed: list[Tensor]
    entered: list[Tensor]
    responses: list[Tensor]


class RACNN(nn.Module):
    """Class scores (logits) of square images of `image_size`: (B, 3, H, H) -> (B, num_classes).

    Args:
        num_classes: K.
        image_size: H, a multiple of 64; the second and third scale have half of it.
        backbone: a name of `BACKBONES`, one for each scale.
        width: channels of the backbones' first stage.
        least: the smallest half side of a square, as a fraction of the image's side.
        guide: weight in the training loss of the squared distance from the strongest responses; 1 for the
            paper's first stage.
    """

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        image_size: int = 448,
        backbone: str = "vgg19",
        width: int = 64,
        least: float = 1 / 6,
        guide: float = 0.0,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        if image_size < 64 or image_size % 64:
            raise ValueError(f"image_size must be a multiple of 64, got {image_size}")
        if not 0 < least <= 0.5:
            raise ValueError(f"least must be in (0, 0.5], got {least}")
        if not guide >= 0:
            raise ValueError(f"guide must be 0 or more, got {guide}")
        self.image_size, self.least, self.guide = image_size, least, guide
        sizes = [image_size, image_size // 2, image_size // 2]
        backbones = [build_backbone(backbone, width) for _ in sizes]
        self.scales = nn.ModuleList(ImageClassifier(each, num_classes=num_classes) for each in backbones)
        channels = backbones[0].channels[-1]
        self.pool5 = pool_to_stride_32(backbones[0])
        self.proposals = nn.ModuleList(AttentionProposal(channels * (size // 32) ** 2) for size in sizes[:-1])
        self.zooms = nn.ModuleList(Zoom(size) for size in sizes[1:])
        self.fusion = nn.Linear(SCALES * channels, num_classes)

    def look(self, x: Tensor, *, apart: bool) -> Look:
        """Pass over the scales. With `apart`, the zooms take copies of the squares, through which no gradient
        reaches the proposals.
        """
        check_square(x, self.image_size, "RA-CNN")
        found = Look([], [], [], [])
        for index, scale in enumerate(cast("Iterable[ImageClassifier]", self.scales)):
            features = scale.backbone.stages(x)[-1]
            found.descriptors.append(features.mean(dim=(2, 3)))
            if index == SCALES - 1:
                break
            proposed = self.proposals[index](self.pool5(features).detach())
            entered = proposed.detach().requires_grad_() if apart else proposed
            found.proposed.append(proposed)
            found.entered.append(entered)
            found.responses.append(strongest_response(features.detach()))
            x = self.zooms[index](x, limited(entered, self.least))
        return found

    def fuse(self, descriptors: list[Tensor]) -> Tensor:
        return self.fusion(torch.cat([F.normalize(descriptor, dim=1) for descriptor in descriptors], dim=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.fuse(self.look(x, apart=False).descriptors)

    def training_loss(self, x: Tensor, targets: Tensor, criterion: Criterion) -> Tensor:
        """Classification at each scale and fused, and the ranking of neighbouring scales."""
        found = self.look(x, apart=True)
        scales = cast("Iterable[ImageClassifier]", self.scales)
        logits = [scale.fc(descriptor) for scale, descriptor in zip(scales, found.descriptors, strict=True)]
        fused = self.fuse([descriptor.detach() for descriptor in found.descriptors])
        classification = torch.stack([criterion(scores, targets) for scores in (*logits, fused)]).sum()
        ranking = torch.stack(
            [ranking_loss(logits[s], logits[s + 1], targets) for s in range(SCALES - 1)]
        ).sum()
        # Its gradient is taken at the squares and handed on to the proposals alone; the backbones' share of
        # it is never formed.
        gradients = torch.autograd.grad(ranking, found.entered, retain_graph=True)
        onward = torch.stack([(t * g).sum() for t, g in zip(found.proposed, gradients, strict=True)]).sum()
        misfit = torch.stack(
            [F.mse_loss(t, goal) for t, goal in zip(found.proposed, found.responses, strict=True)]
        ).sum()
        return classification + ranking.detach() + (onward - onward.detach()) + self.guide * misfit


def strongest_response(features: Tensor) -> Tensor:
    """The square of half the image's side around the position where the features' sum is largest:
    (B, C, h, w) -> (B, 3).
    """
    height, width = features.shape[2:]
    peak = (peaks(features.sum(dim=1, keepdim=True))[:, 0] + 0.5) / torch.tensor(
        [width, height], device=features.device
    )
    return F.pad(peak.clamp(0.25, 0.75), (0, 1), value=0.25)
