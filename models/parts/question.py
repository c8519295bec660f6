"""A question as one vector: what an LSTM remembers after its last word.

Hochreiter & Schmidhuber, "Long Short-Term Memory", Neural Computation 1997.
"""

import torch
from torch import Tensor, nn

from regard.models.decoding.until import repeat_while


class QuestionEncoder(nn.Module):
    """The LSTM's output at the last word: numbers of words (B, L), 0 for padding behind them -> (B, hidden).
    Padding changes nothing: the state stays as it was at the last word.

    Args:
        words: in the vocabulary, padding included.
        embedding: width of a word's vector.
        hidden: units.
    """

    def __init__(self, words: int, embedding: int, hidden: int) -> None:
        super().__init__()
        for name, value in {"words": words, "embedding": embedding, "hidden": hidden}.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.embedding = nn.Embedding(words, embedding)
        self.lstm = nn.LSTMCell(embedding, hidden)

    def forward(self, question: Tensor) -> Tensor:
        vectors = self.embedding(question)  # (B, L, embedding)
        start = vectors.new_zeros((question.shape[0], self.lstm.hidden_size))

        def more(position: Tensor, hidden: Tensor, cell: Tensor) -> Tensor:
            return position < question.shape[1]

        def step(position: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, ...]:
            here = position.unsqueeze(0)
            word = vectors.index_select(1, here).squeeze(1)  # (B, embedding)
            real = question.index_select(1, here) != 0  # (B, 1)
            after = self.lstm(word, (hidden, cell))
            return position + 1, torch.where(real, after[0], hidden), torch.where(real, after[1], cell)

        position = torch.zeros((), dtype=torch.int64, device=question.device)
        return repeat_while(more, step, (position, start, torch.zeros_like(start)))[1]
