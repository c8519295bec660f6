"""The Transformer: an encoder of the source and a decoder of the answer, of attention and perceptrons alone.

Vaswani et al., "Attention Is All You Need", NeurIPS 2017, sections 3.1-3.5. https://arxiv.org/abs/1706.03762

    attention(Q, K, V) = softmax(Q K^T / sqrt(d)) V,  in h heads of d = D / h
    encoder layer   x = norm(x + attention(x, x, x)),  x = norm(x + W_2 relu(W_1 x))
    decoder layer   x = norm(x + attention(x, x, x) of no later word),  x = norm(x + attention(x, m, m)),
                    x = norm(x + W_2 relu(W_1 x)),  m being what the encoder gives
    input           sqrt(D) E y + PE,  PE(p, 2i) = sin(p / 10000^(2i / D)),  PE(p, 2i + 1) = cos of the same
    p(y_i | y_<i)   = softmax(E x_i):  the words' vectors are those that they are embedded with

Base is N = 6 layers, D = 512, h = 8, 2048 units; big D = 1024, h = 16, 4096 units; 37 000 words, source and
answer of one vocabulary. Word by word, a layer keeps the keys and values of the words before.
Departures: no dropout, and no smoothing of labels.
"""

import math
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.models.decoding.beam import check_beams
from regard.models.decoding.forcing import answer_loss, fed
from regard.models.decoding.generated import PADDING, Generated
from regard.models.decoding.search import search
from regard.models.decoding.stepwise import Step, Tensors
from regard.models.interface import Interface, translations
from regard.models.parts.scoring import ScaledDot


class MultiHeadAttention(nn.Module):
    """What queries find in a memory of keys and values, by several heads: (B, M, D) -> (B, M, D).

    Args:
        width: D.
        heads: h.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if min(width, heads) < 1 or width % heads:
            raise ValueError(f"width must be a positive multiple of heads, got {width} and {heads}")
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.project = nn.Linear(width, width)
        self.score = ScaledDot()

    def remembered(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of a memory: (B, N, D) -> (B, h, N, D / h) each."""
        return self._split(self.key(x)), self._split(self.value(x))

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """The answers (B, M, D), and the weights of every head (B, h, M, N), to which the bool `visible`
        broadcasts.
        """
        scores = self.score(keys, self._split(self.query(x))).masked_fill(~visible, -torch.inf)
        weights = scores.softmax(dim=3)
        return self.project(torch.matmul(weights, values).transpose(1, 2).flatten(2)), weights

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class EncoderLayer(nn.Module):
    """(B, L, D) and visible (B, 1, 1, L) -> (B, L, D)."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(width, heads)
        self.perceptron = _perceptron(width, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))

    def forward(self, x: Tensor, visible: Tensor) -> Tensor:
        x = self.norms[0](x + self.attention(x, *self.attention.remembered(x), visible)[0])
        return self.norms[1](x + self.perceptron(x))


class DecoderLayer(nn.Module):
    """Some words of the answer among all that it has, and the source's memory: (B, M, D) -> (B, M, D).

    `own` and `source` are keys, values and what of them is visible.
    """

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.own = MultiHeadAttention(width, heads)
        self.source = MultiHeadAttention(width, heads)
        self.perceptron = _perceptron(width, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def forward(self, x: Tensor, own: Sequence[Tensor], source: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        x = self.norms[0](x + self.own(x, *own)[0])
        found, weights = self.source(x, *source)
        x = self.norms[1](x + found)
        return self.norms[2](x + self.perceptron(x)), weights


class Transformer(nn.Module):
    """Translations of a batch of padded sentences: int64 (B, L) -> `Generated`, aligned with their L words by
    the mean of the last layer's heads.

    Args:
        words: of the source's vocabulary, padding included.
        answer_words: of the answer's; None for one vocabulary, and embedding, of both.
        width: D.
        depth: N.
        heads: h.
        hidden: units of the perceptrons.
        longest: words of an answer, END included.
        beams: answers kept side by side; 1 is greedy search.
        length_penalty: of the beam; see `beam`.
    """

    def __init__(
        self,
        *,
        words: int = 37_000,
        answer_words: int | None = None,
        width: int = 512,
        depth: int = 6,
        heads: int = 8,
        hidden: int = 2048,
        longest: int = 50,
        beams: int = 1,
        length_penalty: float = 0.6,
    ) -> None:
        super().__init__()
        if width % 2:
            raise ValueError(f"width must be even, as positions are sines and cosines, got {width}")
        self.words = words if answer_words is None else answer_words
        check_beams(beams, self.words)
        self.longest, self.beams, self.length_penalty = longest, beams, length_penalty
        self.heads = heads
        self.source = nn.Embedding(words, width, padding_idx=PADDING)
        self.target = self.source if answer_words is None else nn.Embedding(answer_words, width, PADDING)
        self.encoder = nn.ModuleList(EncoderLayer(width, heads, hidden) for _ in range(depth))
        self.decoder = nn.ModuleList(DecoderLayer(width, heads, hidden) for _ in range(depth))
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
        for embedding in (self.source, self.target):
            nn.init.normal_(embedding.weight, std=width**-0.5)
            nn.init.zeros_(embedding.weight[PADDING])

    def encode(self, source: Tensor) -> Tensors:
        """The memory m (B, L, D), which words are no padding (B, L), and each decoder layer's keys and values
        of m.
        """
        visible = source != PADDING
        x = _embedded(source, self.source, torch.arange(source.shape[1], device=source.device))
        for layer in self.encoder:
            x = layer(x, visible[:, None, None])
        return x, visible, *(each for layer in self._layers for each in layer.source.remembered(x))

    def start(self, m: Tensor, *rest: Tensor) -> Tensors:
        """Room for the keys and values of `longest` words, in every layer."""
        batch, _, width = m.shape
        shape = (batch, self.heads, self.longest, width // self.heads)
        return tuple(m.new_zeros(shape) for _ in range(2 * len(self.decoder)))

    def decode(self, token: Tensor, position: Tensor, memory: Tensors, state: Tensors) -> Step:
        visible = memory[1][:, None, None]
        x = _embedded(token.unsqueeze(1), self.target, position.reshape(1))  # (B, 1, D)
        positions = torch.arange(self.longest, device=x.device)
        here, seen = (positions == position).unsqueeze(1), positions <= position
        cache: list[Tensor] = []
        weights = x  # of the last layer, in the end
        for i, layer in enumerate(self._layers):
            own = [
                torch.where(here, new, old)
                for new, old in zip(layer.own.remembered(x), state[2 * i : 2 * i + 2], strict=True)
            ]
            x, weights = layer(x, (*own, seen), (*memory[2 * i + 2 : 2 * i + 4], visible))
            cache += own
        return Step(self._logits(x.squeeze(1)), tuple(cache), weights.mean(dim=1).squeeze(1))

    def scores(self, source: Tensor, target: Tensor) -> Tensor:
        """Scores of every word at every step along a given answer, all steps at once: int64 (B, L), (B, T) ->
        (B, T, V).
        """
        _, shown, *memory = self.encode(source)
        visible = shown[:, None, None]
        positions = torch.arange(target.shape[1], device=target.device)
        seen = positions <= positions.unsqueeze(1)  # (T, T)
        x = _embedded(fed(target), self.target, positions)
        for i, layer in enumerate(self._layers):
            x, _ = layer(x, (*layer.own.remembered(x), seen), (*memory[2 * i : 2 * i + 2], visible))
        return self._logits(x)

    def forward(self, source: Tensor) -> Generated:
        return search(self, source, beams=self.beams, length_penalty=self.length_penalty)

    def interface(self) -> Interface:
        return translations(self.source.num_embeddings, self.words, self.longest)

    def training_loss(self, source: Tensor, target: Tensor) -> Tensor:
        """Mean of -log p over the words of the right answers: int64 (B, L), (B, T) -> ()."""
        return answer_loss(self.scores(source, target), target)

    @property
    def _layers(self) -> Sequence[DecoderLayer]:
        return cast("Sequence[DecoderLayer]", self.decoder)

    def _logits(self, x: Tensor) -> Tensor:
        return F.linear(x, self.target.weight)


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """PE: integers (N,) -> (N, D)."""
    rates = torch.exp(
        torch.arange(0, width, 2, device=positions.device) * (-math.log(10_000) / width)
    )  # (D / 2,)
    angles = positions.unsqueeze(1) * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


def _embedded(tokens: Tensor, embedding: nn.Embedding, positions: Tensor) -> Tensor:
    """Words at their positions: (B, N), (N,) -> (B, N, D)."""
    width = embedding.embedding_dim
    x: Tensor = embedding(tokens) * math.sqrt(width)
    return x + sinusoids(positions, width).to(x.dtype)


def _perceptron(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))
