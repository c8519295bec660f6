"""FCAN: hard attention to several parts at once, on feature maps that are computed once, trained by a greedy
reward.

Liu et al., "Fully Convolutional Attention Networks for Fine-Grained Recognition", 2016.
https://arxiv.org/abs/1603.06765

    F        = features of the image
    pi_t     = softmax over all positions of conv(relu(conv(F))), one map for each part t = 1..T
    l_t      ~ pi_t in training, argmax pi_t in evaluation
    answer   = mean over the whole image and the parts of softmax(classifier_t(F around l_t))
    J        = E[sum_t r_t] - classification loss,   r_t = 1 if right after part t, and t = 1 or the loss fell

Departures and readings:
- That feature maps are shared, that all parts are found at once, and the greedy reward are the paper's
  abstract; that training crops the shared feature maps, one location is sampled from a softmax in training
  and the most probable taken in testing, and answers are averaged are from summaries. For testing the paper
  crops the image anew, at a higher resolution; here the same features serve.
- 64 channels in the attention layers are from memory. The number of parts, the window and the part
  classifiers' layers are ours.
- The answer after part t, that the reward compares, is the mean of the whole image's and of the first t
  parts'.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.models.backbones.by_name import build_backbone
from regard.models.classifiers import GlobalAveragePool, check_classes
from regard.models.losses.criterion import Criterion
from regard.models.losses.greedy_reward import greedy_reward
from regard.models.losses.reinforce import reinforce
from regard.models.parts.crop import cells, crop, squares
from regard.models.parts.hard import sampled
from regard.models.parts.mean_answer import log_mean_softmax

HIDDEN = 64


class PartAttention(nn.Module):
    """Scores of every position for each part: (B, C, h, w) -> (B, T, h, w).

    Args:
        channels: C.
        parts: T.
    """

    def __init__(self, channels: int, parts: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, parts * HIDDEN, 3, padding=1)
        self.conv2 = nn.Conv2d(parts * HIDDEN, parts, 3, padding=1, groups=parts)

    def weights(self, scores: Tensor) -> Tensor:
        """Probability pi of each position, from the scores: (B, T, h, w) -> (B, T, h, w)."""
        return scores.flatten(2).softmax(dim=2).view_as(scores)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x).relu())


class FCAN(nn.Module):
    """Class scores (logits) of an image batch: (B, 3, H, W) -> (B, num_classes), for feature maps of at least
    `window`.

    Args:
        num_classes: K.
        backbone: a name of `BACKBONES`.
        width: channels of the backbone's first stage.
        parts: T.
        window: side of the crop around a location, in positions of the feature map.
    """

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        backbone: str = "resnet50",
        width: int = 64,
        parts: int = 4,
        window: int = 7,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        if parts < 1 or window < 1:
            raise ValueError(f"parts and window must be at least 1, got {parts} and {window}")
        self.window = window
        self.backbone = build_backbone(backbone, width)
        channels = self.backbone.channels[-1]
        self.attention = PartAttention(channels, parts)
        self.whole = nn.Linear(channels, num_classes)
        self.parts = nn.ModuleList(_part_classifier(channels, num_classes) for _ in range(parts))

    def features(self, x: Tensor) -> Tensor:
        """F: (B, 3, H, W) -> (B, C, h, w)."""
        features = self.backbone.stages(x)[-1]
        if min(features.shape[2:]) < self.window:
            height, width = features.shape[2:]
            raise ValueError(
                f"images of {x.shape[2]} x {x.shape[3]} give {height} x {width} features, smaller than "
                f"window = {self.window}"
            )
        return features

    def answers(self, features: Tensor, locations: Tensor) -> Tensor:
        """Logits of the whole image and of each part at its location, an index of a position: (B, T) ->
        (B, T + 1, K).
        """
        height, width = features.shape[2:]
        centres = cells(locations, width) + 0.5
        # Even windows reach one position further down and right: half a position is added before the corner
        # is taken.
        shift = 0.0 if self.window % 2 else 0.5
        boxes = squares(centres + shift, self.window, width=width, height=height)
        windows = crop(features, boxes, (self.window, self.window)).unbind(dim=1)
        parts = [classify(each) for classify, each in zip(self.parts, windows, strict=True)]
        return torch.stack([self.whole(features.mean(dim=(2, 3))), *parts], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        probabilities = self.attention.weights(self.attention(features))
        return log_mean_softmax(self.answers(features, probabilities.flatten(2).argmax(dim=2)))

    def training_loss(self, x: Tensor, targets: Tensor, criterion: Criterion) -> Tensor:
        """The mean criterion of all classifiers at sampled locations, and the surrogate that trains the
        attention by its rewards.
        """
        features = self.features(x)
        # (B, T, positions)
        log_probabilities = self.attention(features).flatten(2).float().log_softmax(dim=2)
        locations = sampled(log_probabilities)
        answers = self.answers(features, locations)
        classification = torch.stack([criterion(answer, targets) for answer in answers.unbind(dim=1)]).mean()
        rewards = greedy_reward(*_after_each_part(answers.detach().float(), targets))
        return classification + reinforce(
            log_probabilities.gather(2, locations.unsqueeze(2))[:, :, 0], rewards
        )


def _part_classifier(channels: int, num_classes: int) -> nn.Sequential:
    inner = max(1, channels // 4)
    return nn.Sequential(
        nn.Conv2d(channels, inner, 3, padding=1),
        nn.ReLU(inplace=True),
        GlobalAveragePool(),
        nn.Linear(inner, num_classes),
    )


def _after_each_part(answers: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Loss of the mean answer after each part, and whether it is right: (B, T + 1, K), (B,) -> (B, T),
    (B, T).
    """
    # (B, T, K)
    means = torch.stack(
        [log_mean_softmax(answers[:, : part + 1]) for part in range(1, answers.shape[1])], dim=1
    )
    losses = F.nll_loss(
        means.flatten(0, 1), targets.repeat_interleave(means.shape[1]), reduction="none"
    ).view(means.shape[:2])
    return losses, means.argmax(dim=2) == targets[:, None]
