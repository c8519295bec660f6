"""A question's vector: the LSTM's equations, and that padding is nothing."""

import numpy as np
import pytest
import torch

from regard.models.parts.question import QuestionEncoder


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_is_the_lstm_after_the_last_word(randomized, arrays):
    encoder = randomized(QuestionEncoder(words=9, embedding=3, hidden=5))
    question = torch.tensor([[4, 7, 2, 0, 0], [1, 8, 3, 5, 6], [2, 0, 0, 0, 0]])
    n = arrays(encoder)
    for row, got in zip(question.tolist(), encoder(question).detach().numpy(), strict=True):
        h = c = np.zeros(5)
        for word in [word for word in row if word]:
            gates = n["lstm.weight_ih"] @ n["embedding.weight"][word] + n["lstm.bias_ih"]
            gates = gates + n["lstm.weight_hh"] @ h + n["lstm.bias_hh"]
            i, f, g, o = gates.reshape(4, 5)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        assert np.abs(got - h).max() < 1e-12


def test_padding_changes_nothing(randomized):
    encoder = randomized(QuestionEncoder(words=9, embedding=3, hidden=5))
    question = torch.tensor([[4, 7, 2], [1, 8, 0]])
    padded = torch.cat([question, torch.zeros(2, 4, dtype=torch.int64)], dim=1)
    assert torch.equal(encoder(padded), encoder(question))
    assert torch.isfinite(encoder(torch.zeros(1, 2, dtype=torch.int64))).all()


def test_refuses_empty_sizes():
    with pytest.raises(ValueError, match="hidden must be at least 1, got 0"):
        QuestionEncoder(9, 3, 0)
