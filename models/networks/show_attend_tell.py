"""Show, Attend and Tell: a caption word by word, each from a place of the image (hard) or from all, weighted
(soft).

Xu, Ba, Kiros, Cho, Courville, Salakhutdinov, Zemel & Bengio, "Show, Attend and Tell: Neural Image Caption
Generation with Visual Attention", ICML 2015. https://arxiv.org/abs/1502.03044

    a_i         = place i of the image's features, i = 1..S
    h_0, c_0    = tanh of a linear layer each, of mean_i a_i
    e_ti        = v^T tanh(W a_i + U h_{t-1}),   alpha_t = softmax_i e_ti                eqs. 4-5
    soft        z_t = sigmoid(f_beta(h_{t-1})) sum_i alpha_ti a_i                        eq. 13, section 4.2.1
    hard        z_t = a_s,   s ~ alpha_t in training, argmax_i alpha_ti in evaluation    eqs. 8-9
    h_t, c_t    = LSTM([E y_{t-1}, z_t], h_{t-1}, c_{t-1})                               eqs. 1-3
    p(y_t)      = softmax(L_o (E y_{t-1} + L_h h_t + L_z z_t))                           eq. 7
    L soft      = -log p(y) + lambda sum_i (1 - sum_t alpha_ti)^2                        eq. 14
    grad L hard = -grad log p(y | s) - lambda_r (log p(y | s) - b) grad log p(s) - lambda_e grad H(alpha)
    b           = 0.9 b + 0.1 log p(y | s)                                               section 4.1

The features are 14 x 14 x 512 from VGG-19 on images of 224 x 224, before the last pooling; E y_0 is 0.

Departures and readings:
- The initial state's networks have one layer; widths of 512, 1000 units and the lambdas are from memory.
- In half of the paper's hard training the sampled place is replaced by the expected one; here it never is.
- The paper samples the place when it describes an image too; the most probable one makes answers repeatable.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from regard.models.backbones.by_name import build_backbone
from regard.models.decoding.beam import check_beams
from regard.models.decoding.forcing import answer_loss, fed, forced
from regard.models.decoding.generated import PADDING, Generated
from regard.models.decoding.greedy import word_scores
from regard.models.decoding.search import search
from regard.models.decoding.stepwise import Step, Tensors
from regard.models.interface import Interface, captions
from regard.models.losses.doubly_stochastic import doubly_stochastic_loss
from regard.models.losses.reinforce import reinforce
from regard.models.parts.hard import sampled
from regard.models.parts.scoring import Additive
from regard.models.signatures import passes_options_to


class ShowAttendTell(nn.Module, ABC):
    """Captions of an image batch: (B, 3, H, W) -> `Generated`, aligned to the S = h w places of the features.

    Args:
        words: in the captions' vocabulary, padding included.
        longest: words of a caption, its end included.
        backbone: a name of `BACKBONES`; the places are those of its last map.
        width: channels of its first stage.
        image_size: side of the images that it is meant for.
        embedding: width of E y.
        hidden: units of the LSTM.
        attending: rows of W and U.
        beams: captions kept side by side; 1 is greedy search.
    """

    def __init__(
        self,
        *,
        words: int = 10000,
        longest: int = 20,
        backbone: str = "vgg19",
        width: int = 64,
        image_size: int = 224,
        embedding: int = 512,
        hidden: int = 1000,
        attending: int = 512,
        beams: int = 1,
    ) -> None:
        super().__init__()
        check_beams(beams, words)
        self.words, self.longest, self.beams, self.image_size = words, longest, beams, image_size
        self.backbone = build_backbone(backbone, width)
        channels = self.backbone.channels[-1]
        self.first_hidden, self.first_cell = nn.Linear(channels, hidden), nn.Linear(channels, hidden)
        self.score = Additive(channels, hidden, attending)
        self.embedding = nn.Embedding(words, embedding, padding_idx=PADDING)
        self.lstm = nn.LSTMCell(embedding + channels, hidden)
        self.from_hidden = nn.Linear(hidden, embedding)  # L_h
        self.from_context = nn.Linear(channels, embedding, bias=False)  # L_z
        self.out = nn.Linear(embedding, words)  # L_o

    def interface(self) -> Interface:
        return captions(self.image_size, self.words, self.longest)

    def encode(self, image: Tensor) -> Tensors:
        """A (B, S, C) and W a (B, S, attending)."""
        places = self.backbone.stages(image)[-1].flatten(2).transpose(1, 2)
        return places, self.score.key(places)

    def start(self, places: Tensor, projected: Tensor) -> Tensors:
        mean = places.mean(dim=1)
        return self.first_hidden(mean).tanh(), self.first_cell(mean).tanh()

    def log_weights(self, memory: Tensors, hidden: Tensor) -> Tensor:
        """Log alpha: (B, S)."""
        return self.score.compared(memory[1], hidden.unsqueeze(1)).squeeze(1).log_softmax(dim=1)

    @abstractmethod
    def look(self, memory: Tensors, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Z (B, C), and how much each place had a part in it (B, S)."""

    def write(self, token: Tensor, context: Tensor, state: Tensors) -> tuple[Tensor, Tensors]:
        """Scores of the next word and the state after it, from z: (B, V)."""
        word = self.embedding(token)
        hidden, cell = self.lstm(torch.cat([word, context], dim=1), state)
        return self.out(word + self.from_hidden(hidden) + self.from_context(context)), (hidden, cell)

    def decode(self, token: Tensor, position: Tensor, memory: Tensors, state: Tensors) -> Step:
        context, weights = self.look(memory, state[0])
        logits, state = self.write(token, context, state)
        return Step(logits, state, weights)

    def forward(self, image: Tensor) -> Generated:
        return search(self, image, beams=self.beams)


@passes_options_to(ShowAttendTell)
class SoftShowAttendTell(ShowAttendTell):
    """Attention to all places, weighted, and gated as a whole.

    Args:
        spread: lambda, the weight in training of looking at every place once.
    """

    def __init__(self, *, spread: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        if not spread >= 0:
            raise ValueError(f"spread must be 0 or more, got {spread}")
        self.spread = spread
        self.gate = nn.Linear(self.lstm.hidden_size, 1)  # f_beta

    def beta(self, hidden: Tensor) -> Tensor:
        """How much the image counts against the words: (B, hidden) -> (B, 1), in (0, 1)."""
        return self.gate(hidden).sigmoid()

    def look(self, memory: Tensors, hidden: Tensor) -> tuple[Tensor, Tensor]:
        weights = self.log_weights(memory, hidden).exp()
        context = torch.matmul(weights.unsqueeze(1), memory[0]).squeeze(1)
        return self.beta(hidden) * context, weights

    def training_loss(self, image: Tensor, caption: Tensor) -> Tensor:
        """Along the right captions int64 (B, T), padded with 0."""
        logits, alignment = forced(self, caption, image)
        alignment = alignment * (caption != PADDING).unsqueeze(2)
        return answer_loss(logits, caption) + self.spread * doubly_stochastic_loss(alignment)


@passes_options_to(ShowAttendTell)
class HardShowAttendTell(ShowAttendTell):
    """Attention to one place for each word, trained by REINFORCE.

    Args:
        reward: lambda_r.
        entropy: lambda_e.
    """

    baseline: Tensor

    def __init__(self, *, reward: float = 1.0, entropy: float = 0.01, **options: Any) -> None:
        super().__init__(**options)
        if not (reward >= 0 and entropy >= 0):
            raise ValueError(f"reward and entropy must be 0 or more, got {reward} and {entropy}")
        self.reward, self.entropy = reward, entropy
        self.register_buffer("baseline", torch.zeros(()), persistent=False)  # b

    def look(self, memory: Tensors, hidden: Tensor) -> tuple[Tensor, Tensor]:
        return self.at(memory, self.log_weights(memory, hidden).argmax(dim=1))

    def at(self, memory: Tensors, place: Tensor) -> tuple[Tensor, Tensor]:
        """A at a place (B,), bit for bit, and 1 there, 0 elsewhere."""
        places = memory[0]
        index = place[:, None, None].expand(-1, 1, places.shape[2])
        chosen = torch.arange(places.shape[1], device=place.device) == place.unsqueeze(1)
        return places.gather(1, index).squeeze(1), chosen.to(places.dtype)

    def training_loss(self, image: Tensor, caption: Tensor) -> Tensor:
        """Along the right captions int64 (B, T), padded with 0, looking at sampled places; its gradient is
        the estimate above.
        """
        counts = caption != PADDING
        memory = self.encode(image)
        state = self.start(*memory)
        said, chosen, entropies = [], [], []
        for token, target in zip(fed(caption).unbind(dim=1), caption.unbind(dim=1), strict=True):
            log_weights = self.log_weights(memory, state[0])
            place = sampled(log_weights.detach())
            context, _ = self.at(memory, place)
            logits, state = self.write(token, context, state)
            said.append(_of(word_scores(logits), target.clamp(min=1)))
            chosen.append(_of(log_weights, place))
            entropies.append(-(log_weights.exp() * log_weights).sum(dim=1))
        # (B, T)
        log_words, log_places, entropy = (torch.stack(each, 1) * counts for each in (said, chosen, entropies))
        log_caption = log_words.sum(dim=1)
        surprise = (log_caption - self.baseline).detach().unsqueeze(1).expand_as(log_places)
        self.baseline.lerp_(log_caption.detach().mean(), 0.1)
        return (
            -log_caption.mean()
            + self.reward * reinforce(log_places, surprise)
            - self.entropy * entropy.sum(dim=1).mean()
        )


def _of(scores: Tensor, index: Tensor) -> Tensor:
    """The score at each row's index: (B, N), (B,) -> (B,)."""
    return scores.gather(1, index.unsqueeze(1)).squeeze(1)
