"""RAM: a recurrent network that sees one small patch of the image at a time, and says itself where the next
one lies.

Mnih, Heess, Graves & Kavukcuoglu, "Recurrent Models of Visual Attention", NIPS 2014, sections 3 and 4.
https://arxiv.org/abs/1406.6247

    g_t      = relu(W3 relu(W1 rho(x, l_t)) + W4 relu(W2 l_t))        glimpse network
    h_t      = relu(W5 g_t + W6 h_{t-1})                              core
    l_{t+1}  ~ N(mu_t, sigma^2 I),   mu_t = tanh(W7 h_t)              where to look next; mu_t in evaluation
    answer   = W8 h_T
    L        = CE(answer) + sum_t (b_t - R)^2 - weight sum_t (R - b_t) log pi(l_{t+1}),   b_t = W9 h_t

R = 1 if the answer is right and 0 otherwise, for every step. rho is the sensor of `parts.glimpse`.

Departures and readings:
- The first place is the image's centre. The paper draws it at random, which a served network cannot.
- Policy and baseline read h_t without training it, and places carry no gradient: the core learns from the
  classification alone.
- The weight 0.01 and sigma = 0.17 are those of public ports; the paper searches sigma by experiment and
  states no weight. As in the ports, the squares are averaged over
  the steps, not summed.
- A place that is drawn beyond the image is looked at at the edge; its probability is that of the place drawn.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.contract.answers import Classes
from regard.models.classifiers import check_classes
from regard.models.interface import Interface, numbered_classes, plain_image
from regard.models.losses.criterion import Criterion
from regard.models.losses.reinforce import gaussian_log_density, reinforce
from regard.models.parts.glimpse import glimpse, glimpse_boxes
from regard.models.parts.image_size import check_square

DEVIATION = 0.17  # sigma, in half sides of the image
REINFORCE_WEIGHT = 0.01


class GlimpseNetwork(nn.Module):
    """What was seen, and where, as one vector g: patches (B, scales C, size, size) and places (B, 2) ->
    (B, hidden).

    Args:
        pixels: scales C size^2.
        units: of the layers for what and for where.
        hidden: of the result.
    """

    def __init__(self, pixels: int, units: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(pixels, units)
        self.fc2 = nn.Linear(2, units)
        self.fc3 = nn.Linear(units, hidden)
        self.fc4 = nn.Linear(units, hidden)

    def forward(self, patches: Tensor, place: Tensor) -> Tensor:
        what = self.fc3(self.fc1(patches.flatten(1)).relu())
        where = self.fc4(self.fc2(place).relu())
        return (what + where).relu()


class Core(nn.Module):
    """The next state h: glimpse (B, hidden) and state (B, hidden) -> (B, hidden)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(hidden, hidden)
        self.fc2 = nn.Linear(hidden, hidden)

    def forward(self, seen: Tensor, state: Tensor) -> Tensor:
        return (self.fc1(seen) + self.fc2(state)).relu()


class Looked(NamedTuple):
    """What T glimpses give.

    Attributes:
        states: h_1..h_T, (B, T, hidden).
        places: l_1..l_T, (B, T, 2).
        means: mu_1..mu_{T-1}, (B, T - 1, 2).
    """

    states: Tensor
    places: Tensor
    means: Tensor


class RAM(nn.Module):
    """Class scores (logits) of images: (B, C, H, H) -> (B, num_classes), for H = `image_size`.

    Args:
        num_classes: K.
        channels: C, 1 or 3.
        image_size: H.
        glimpses: T, at least 2.
        glimpse_size: side of the sharpest patch, in pixels.
        scales: number of patches, each twice as wide as the one before.
        hidden: size of the core's state.
    """

    def __init__(
        self,
        *,
        num_classes: int = 10,
        channels: int = 1,
        image_size: int = 28,
        glimpses: int = 6,
        glimpse_size: int = 8,
        scales: int = 1,
        hidden: int = 256,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        if glimpses < 2:
            raise ValueError(f"glimpses must be at least 2, got {glimpses}: the first place is not chosen")
        if glimpse_size < 1 or scales < 1:
            raise ValueError(f"glimpse_size and scales must be at least 1, got {glimpse_size} and {scales}")
        self.channels, self.image_size = channels, image_size
        self.glimpses, self.glimpse_size, self.scales = glimpses, glimpse_size, scales
        self.glimpse = GlimpseNetwork(scales * channels * glimpse_size**2, hidden // 2, hidden)
        self.core = Core(hidden)
        self.locator = nn.Linear(hidden, 2)
        self.classifier = nn.Linear(hidden, num_classes)
        self.baseline = nn.Linear(hidden, 1)

    def interface(self) -> Interface:
        """A square image, 0 to 1, and numbered classes."""
        image = plain_image(self.image_size, self.channels)
        return Interface((image,), Classes(labels=numbered_classes(self.classifier.out_features)))

    def look(self, x: Tensor, noise: Tensor | None = None) -> Looked:
        """Glimpse after glimpse: images (B, C, H, H) and standard normal noise (B, T - 1, 2), none in
        evaluation.
        """
        check_square(x, self.image_size, "RAM")
        place = x.new_zeros((x.shape[0], 2))
        state = x.new_zeros((x.shape[0], self.core.fc1.in_features))
        states, places, means = [], [], []
        for step in range(self.glimpses):
            if step:
                mean = self.locator(state.detach()).tanh()
                means.append(mean)
                place = mean.detach() if noise is None else mean.detach() + DEVIATION * noise[:, step - 1]
            places.append(place)
            inside = place if noise is None else place.clamp(-1, 1)
            seen = self.glimpse(glimpse(x, inside, self.glimpse_size, self.scales), inside)
            state = self.core(seen, state)
            states.append(state)
        return Looked(*(torch.stack(each, dim=1) for each in (states, places, means)))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.look(x).states[:, -1])

    def explained(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Scores, and the sharpest patch of each glimpse as fractions of the image: left, top, right, bottom
        (B, T, 4).
        """
        looked = self.look(x)
        boxes = glimpse_boxes(looked.places, self.glimpse_size, width=self.image_size, height=self.image_size)
        return self.classifier(looked.states[:, -1]), {"glimpses": boxes}

    def training_loss(self, x: Tensor, targets: Tensor, criterion: Criterion) -> Tensor:
        """The hybrid loss L at places that are drawn."""
        noise = torch.randn(x.shape[0], self.glimpses - 1, 2, device=x.device)
        looked = self.look(x, noise)
        scores = self.classifier(looked.states[:, -1])
        reward = (scores.argmax(dim=1) == targets).float()[:, None].expand(-1, self.glimpses - 1)
        expected = self.baseline(looked.states[:, :-1].detach())[:, :, 0]  # (B, T - 1)
        policy = gaussian_log_density(looked.places[:, 1:], looked.means, DEVIATION)
        return (
            criterion(scores, targets)
            + F.mse_loss(expected, reward)
            + REINFORCE_WEIGHT * reinforce(policy, reward - expected)
        )
