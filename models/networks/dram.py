"""DRAM: reads several objects in an image one after the other, through glimpses whose places a second LSTM
chooses.

Ba, Mnih & Kavukcuoglu, "Multiple Object Recognition with Visual Attention", ICLR 2015, sections 3 and 4.
https://arxiv.org/abs/1412.7755

    g_n      = G_image(x_n) * G_loc(l_n)              what times where, x_n being the patches around l_n
    r1_n     = LSTM(g_n, r1_{n-1}),   r1_0 = 0        what was seen
    r2_n     = LSTM(r1_n, r2_{n-1}),  r2_0 = C(x)     where to look, C sees a coarse image of the whole
    l_{n+1}  ~ N(mu_n, sigma^2 I),    mu_n = tanh(E r2_n)          mu_n in evaluation
    y_s      = softmax(O r1_{sN})                     a label after every N glimpses, the last one the end
    L        = -sum_s log y_s[target] + sum_n (b_n - R_n)^2 - weight sum_n (R_n - b_n) log pi(l_n)

R_n is the probability of the right label where glimpse n was made; b_n is linear in r2 before it. Labels are
words of an answer, so a search over `Stepwise` reads them, and an exported graph has one Loop.

Departures and readings:
- The network of the paper's pairs of digits; how many layers and channels it has is from memory or ours.
- mu is kept inside the image by tanh, where E is linear in the paper; the weight and sigma are RAM's. Words
  and squares are averaged, not summed.
- The paper's reward is 1 for a right label, 0 for a wrong one, summed over the labels. Here a glimpse answers
  for its own label alone, by the chance that a label drawn from y_s is right, which is less noisy.
- E begins at 0, so that the search begins around the centre.
- Answers are aligned: what each label's glimpses cover of the cells of the coarse map.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.contract.answers import Sequence
from regard.models.decoding.forcing import answer_loss
from regard.models.decoding.generated import PADDING, Generated
from regard.models.decoding.greedy import greedy
from regard.models.decoding.stepwise import Step, Tensors
from regard.models.interface import Interface, numbered_words, plain_image
from regard.models.losses.reinforce import gaussian_log_density, reinforce
from regard.models.networks.ram import DEVIATION, REINFORCE_WEIGHT
from regard.models.parts.glimpse import glimpse, glimpse_boxes
from regard.models.parts.image_size import check_square
from regard.models.parts.proposals import coverage

COARSE = 4  # pixels of the image to one that the context network sees
STRIDE = 8  # pixels of the image to a cell of its map


class GlimpseNetwork(nn.Module):
    """What was seen times where: patches (B, scales C, size, size) and places (B, 2) -> (B, hidden).

    Args:
        channels: scales C.
        size: of the patches, at least 4.
        width: channels of the first convolution.
        hidden: of the result.
    """

    def __init__(self, channels: int, size: int, width: int, hidden: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.what = nn.Linear(2 * width * (size // 4) ** 2, hidden)
        self.where = nn.Linear(2, hidden)

    def forward(self, patches: Tensor, place: Tensor) -> Tensor:
        features = F.max_pool2d(self.conv1(patches).relu(), 2)
        features = F.max_pool2d(self.conv2(features).relu(), 2)
        return self.what(features.flatten(1)).relu() * self.where(place).relu()


class Context(nn.Module):
    """A map of the coarse image: (B, C, H, H) -> (B, (H / 8)^2, 2 width), cell by cell."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        features = F.max_pool2d(self.conv1(F.avg_pool2d(x, COARSE)).relu(), STRIDE // COARSE)
        return self.conv2(features).relu().flatten(2).transpose(1, 2)


class Looked(NamedTuple):
    """What the N glimpses for one label give.

    Attributes:
        logits: of the label, (B, words).
        state: after them.
        places: l, (B, N, 2).
        means: mu, (B, N, 2).
        expected: b, (B, N).
    """

    logits: Tensor
    state: Tensors
    places: Tensor
    means: Tensor
    expected: Tensor


class DRAM(nn.Module):
    """The labels in an image: (B, C, H, H), for H = `image_size`, -> `Generated`, aligned to the image's
    cells of 8 x 8 pixels.

    Args:
        words: labels, with padding, unknown and end.
        longest: labels that are read at most, the end among them.
        channels: C, 1 or 3.
        image_size: H, a multiple of 8.
        glimpses: N, for each label.
        glimpse_size: side of the sharpest patch, at least 4.
        scales: number of patches, each twice as wide as the one before.
        width: channels of the first convolution of either network.
        hidden: size of the LSTMs' states.
    """

    def __init__(
        self,
        *,
        words: int = 13,
        longest: int = 3,
        channels: int = 1,
        image_size: int = 104,
        glimpses: int = 2,
        glimpse_size: int = 16,
        scales: int = 2,
        width: int = 32,
        hidden: int = 256,
    ) -> None:
        super().__init__()
        numbered_words(words)  # refuses too few
        if image_size < STRIDE or image_size % STRIDE:
            raise ValueError(f"image_size must be a multiple of {STRIDE}, got {image_size}")
        if min(longest, glimpses, scales) < 1 or glimpse_size < 4:
            raise ValueError(
                "longest, glimpses and scales must be at least 1 and glimpse_size at least 4, got "
                f"{longest}, {glimpses}, {scales} and {glimpse_size}"
            )
        self.channels, self.image_size = channels, image_size
        self.words, self.longest = words, longest
        self.glimpses, self.glimpse_size, self.scales = glimpses, glimpse_size, scales
        self.context = Context(channels, width)
        self.start_place = nn.Linear(2 * width * (image_size // STRIDE) ** 2, hidden)
        self.glimpse = GlimpseNetwork(scales * channels, glimpse_size, width, hidden)
        self.r1 = nn.LSTMCell(hidden, hidden)
        self.r2 = nn.LSTMCell(hidden, hidden)
        self.locator = nn.Linear(hidden, 2)
        self.classifier = nn.Linear(hidden, words)
        self.baseline = nn.Linear(hidden, 1)
        nn.init.zeros_(self.locator.weight)
        nn.init.zeros_(self.locator.bias)

    def interface(self) -> Interface:
        """A square image, 0 to 1, and numbered words."""
        words = numbered_words(self.words)
        return Interface(
            (plain_image(self.image_size, self.channels),),
            Sequence(vocabulary=words, longest=self.longest, joiner="", aligned=True),
        )

    def encode(self, x: Tensor) -> Tensors:
        """The coarse map (B, S, D), and the image itself."""
        check_square(x, self.image_size, "DRAM")
        return self.context(x), x

    def start(self, *memory: Tensor) -> Tensors:
        """State and cell of r1, all 0, and of r2, whose state is the context."""
        where = self.start_place(memory[0].flatten(1)).tanh()
        nothing = torch.zeros_like(where)
        return nothing, nothing.clone(), where, nothing.clone()

    def look(self, memory: Tensors, state: Tensors, noise: Tensor | None = None) -> Looked:
        """The glimpses for the next label, at places moved by standard normal noise (B, N, 2) if there is
        some.
        """
        h1, c1, h2, c2 = state
        places, means, expected = [], [], []
        for n in range(self.glimpses):
            mean = self.locator(h2).tanh()
            place = mean.detach() if noise is None else mean.detach() + DEVIATION * noise[:, n]
            inside = place if noise is None else place.clamp(-1, 1)
            places.append(place)
            means.append(mean)
            expected.append(self.baseline(h2.detach())[:, 0])
            seen = self.glimpse(glimpse(memory[1], inside, self.glimpse_size, self.scales), inside)
            h1, c1 = self.r1(seen, (h1, c1))
            h2, c2 = self.r2(h1, (h2, c2))
        found = (torch.stack(each, dim=1) for each in (places, means, expected))
        return Looked(self.classifier(h1), (h1, c1, h2, c2), *found)

    def decode(self, token: Tensor, position: Tensor, memory: Tensors, state: Tensors) -> Step:
        """The next label, whatever the one before."""
        looked = self.look(memory, state)
        return Step(looked.logits, looked.state, self.covered(looked.places))

    def covered(self, places: Tensor) -> Tensor:
        """What part of the glimpses' sharpest patches lies in each cell of the map: (B, N, 2) -> (B, S)."""
        cells = self.image_size // STRIDE
        boxes = glimpse_boxes(places, self.glimpse_size, width=self.image_size, height=self.image_size)
        left, top, right, bottom = boxes.flatten(0, 1).unbind(dim=1)  # (B N,)
        grid = coverage(top, bottom, cells)[:, :, None] * coverage(left, right, cells)[:, None, :]
        summed = grid.flatten(1).unflatten(0, (-1, self.glimpses)).sum(dim=1)
        return summed / summed.sum(dim=1, keepdim=True)

    def forward(self, x: Tensor) -> Generated:
        return greedy(self, x)

    def explained(self, x: Tensor) -> tuple[Generated, dict[str, Tensor]]:
        """The labels, and the sharpest patch of every glimpse as fractions of the image, left, top, right,
        bottom, also of those behind the end: (B, longest N, 4).
        """
        memory = self.encode(x)
        state, places = self.start(*memory), []
        for _ in range(self.longest):
            looked = self.look(memory, state)
            state = looked.state
            places.append(looked.places)
        boxes = glimpse_boxes(
            torch.cat(places, dim=1), self.glimpse_size, width=self.image_size, height=self.image_size
        )
        return self(x), {"glimpses": boxes}

    def training_loss(self, x: Tensor, target: Tensor) -> Tensor:
        """L at places that are drawn, for the right labels int64 (B, longest) -> ()."""
        memory = self.encode(x)
        state, steps = self.start(*memory), []
        for _ in range(self.longest):
            steps.append(self.look(memory, state, torch.randn(len(x), self.glimpses, 2, device=x.device)))
            state = steps[-1].state
        logits = torch.stack([step.logits for step in steps], dim=1)  # (B, L, V)
        chances = logits.softmax(dim=2).gather(2, target.unsqueeze(2))[:, :, 0]
        rewards = chances.detach().repeat_interleave(self.glimpses, dim=1)  # (B, L N)
        counted = (target != PADDING).float().repeat_interleave(self.glimpses, dim=1)
        expected = torch.cat([step.expected for step in steps], dim=1)
        policy = torch.cat(
            [gaussian_log_density(step.places, step.means, DEVIATION) for step in steps], dim=1
        )
        return (
            answer_loss(logits, target)
            + ((expected - rewards).square() * counted).mean()
            + REINFORCE_WEIGHT * reinforce(policy * counted, rewards - expected)
        )
