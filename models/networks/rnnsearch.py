"""RNNsearch: a recurrent translator that looks, for each word it writes, at the words that matter to it.

Bahdanau, Cho & Bengio, "Neural Machine Translation by Jointly Learning to Align and Translate", ICLR 2015,
eqs. 4-7 and appendix A. https://arxiv.org/abs/1409.0473

    h_j  = [f_j; b_j], a bidirectional GRU over the source
    s_0  = tanh(W_s b_1)
    e_ij = v^T tanh(W_a s_{i-1} + U_a h_j),   a_i = softmax_j e_ij,   c_i = sum_j a_ij h_j
    t_i  = max over pairs of U_o s_{i-1} + V_o E y_{i-1} + C_o c_i            maxout
    p(y_i | y_<i, x) = softmax(W_o t_i)
    s_i  = GRU([E y_{i-1}; c_i], s_{i-1})

The paper has n = 1000 units, words of m = 620, 1000 units of alignment, l = 500 of maxout and 30 000 words of
each language. Departure: its GRU resets the state before the matrix is applied, PyTorch's after. E y_0 is 0.
"""

import torch
from torch import Tensor, nn

from regard.models.decoding.beam import check_beams
from regard.models.decoding.forcing import answer_loss, forced
from regard.models.decoding.generated import PADDING, Generated
from regard.models.decoding.search import search
from regard.models.decoding.stepwise import Step, Tensors
from regard.models.interface import Interface, translations
from regard.models.parts.bidirectional import BidirectionalGRU
from regard.models.parts.scoring import Additive


class RNNSearch(nn.Module):
    """Translations of a batch of padded sentences, aligned with their L words: int64 (B, L) -> `Generated`.

    Args:
        words: of the source's vocabulary, padding included.
        answer_words: of the answer's.
        width: m, of an embedded word.
        hidden: n, of the states in either direction and of the decoder; also units of alignment.
        maxout: l, what is left of 2 l.
        longest: words of an answer, END included.
        beams: answers kept side by side; 1 is greedy search.
        length_penalty: of the beam; see `beam`.
    """

    def __init__(
        self,
        *,
        words: int = 30_000,
        answer_words: int = 30_000,
        width: int = 620,
        hidden: int = 1000,
        maxout: int = 500,
        longest: int = 50,
        beams: int = 1,
        length_penalty: float = 0.6,
    ) -> None:
        super().__init__()
        check_beams(beams, answer_words)
        self.words, self.longest = answer_words, longest
        self.beams, self.length_penalty = beams, length_penalty
        self.source = nn.Embedding(words, width, padding_idx=PADDING)
        self.encoder = BidirectionalGRU(width, hidden)
        self.first_state = nn.Linear(hidden, hidden)  # W_s
        self.score = Additive(2 * hidden, hidden, hidden)
        self.target = nn.Embedding(answer_words, width, padding_idx=PADDING)  # E
        self.cell = nn.GRUCell(width + 2 * hidden, hidden)
        self.readout = nn.Linear(hidden + width + 2 * hidden, 2 * maxout)  # U_o, V_o, C_o
        self.out = nn.Linear(maxout, answer_words)  # W_o

    def encode(self, source: Tensor) -> Tensors:
        """The states h (B, L, 2 n), U_a h (B, L, n), and which words are no padding (B, L)."""
        visible = source != PADDING
        h = self.encoder(self.source(source), visible)
        return h, self.score.key(h), visible

    def start(self, h: Tensor, projected: Tensor, visible: Tensor) -> Tensors:
        backward = h[:, 0].chunk(2, dim=1)[1]  # b_1
        return (self.first_state(backward).tanh(),)

    def aligned(self, memory: Tensors, state: Tensor) -> Tensor:
        """a_i: (B, L), 0 at padding."""
        _, projected, visible = memory
        scores = self.score.compared(projected, state.unsqueeze(1)).squeeze(1)
        return scores.masked_fill(~visible, -torch.inf).softmax(dim=1)

    def decode(self, token: Tensor, position: Tensor, memory: Tensors, state: Tensors) -> Step:
        (s,) = state
        weights = self.aligned(memory, s)
        context = torch.matmul(weights.unsqueeze(1), memory[0]).squeeze(1)  # c_i: (B, 2 n)
        word = self.target(token)  # E y_{i-1}
        units = self.readout(torch.cat([s, word, context], dim=1))  # (B, 2 l)
        logits = self.out(units.unflatten(1, (-1, 2)).amax(dim=2))
        return Step(logits, (self.cell(torch.cat([word, context], dim=1), s),), weights)

    def forward(self, source: Tensor) -> Generated:
        return search(self, source, beams=self.beams, length_penalty=self.length_penalty)

    def interface(self) -> Interface:
        return translations(self.source.num_embeddings, self.words, self.longest)

    def training_loss(self, source: Tensor, target: Tensor) -> Tensor:
        """Mean of -log p over the words of the right answers: int64 (B, L), (B, T) -> ()."""
        return answer_loss(forced(self, target, source)[0], target)
