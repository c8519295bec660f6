"""A small network that writes word by word, and its answers found by trying every one."""

import itertools

import torch
from torch import nn

from regard.models.decoding.generated import END, PADDING
from regard.models.decoding.search import search
from regard.models.decoding.stepwise import Step


class Toy(nn.Module):
    """A recurrent decoder over an embedded source, untrained but opinionated."""

    def __init__(self, words=9, longest=6, beams=1, length_penalty=0.6):
        super().__init__()
        self.words, self.longest, self.beams, self.length_penalty = words, longest, beams, length_penalty
        self.embed = nn.Embedding(words, 8, padding_idx=PADDING)
        self.cell = nn.GRUCell(8, 8)
        self.key, self.out = nn.Linear(8, 8), nn.Linear(16, words)
        nn.init.constant_(self.out.bias[END : END + 1], 0.5)  # so that some answers end before the longest

    def encode(self, source):
        return self.embed(source), source != PADDING

    def start(self, memory, visible):
        return ((memory * visible.unsqueeze(2)).sum(dim=1).tanh(),)

    def decode(self, token, position, memory, state):
        places, visible = memory
        hidden = self.cell(self.embed(token), state[0])
        scores = (places @ self.key(hidden).unsqueeze(2)).squeeze(2)
        weights = scores.masked_fill(~visible, -torch.inf).softmax(dim=1)
        context = (weights.unsqueeze(1) @ places).squeeze(1)
        return Step(3 * self.out(torch.cat([hidden, context], dim=1)), (hidden,), weights)

    def forward(self, source):
        return search(self, source, beams=self.beams, length_penalty=self.length_penalty)


def toy(seed=0, **options):
    torch.manual_seed(seed)
    return Toy(**options).double().eval()


def sources(batch, length, words=9, seed=0):
    """Random sources, some of them padded at the end."""
    random = torch.Generator().manual_seed(seed)
    source = torch.randint(1, words, (batch, length), generator=random)
    lengths = torch.randint(1, length + 1, (batch, 1), generator=random)
    return source.where(torch.arange(length) < lengths, PADDING)


def log_probabilities(network, source, answer):
    """Of each word of one answer (a list) to one source (L,), a step at a time."""
    memory = network.encode(source[None])
    state, before, found = network.start(*memory), PADDING, []
    for position, word in enumerate(answer):
        logits, state, _ = network.decode(torch.tensor([before]), torch.tensor(position), memory, state)
        logits[0, PADDING] = -torch.inf
        found.append(logits.log_softmax(dim=1)[0, word].item())
        before = word
    return found


def every_answer(words, longest):
    """All that can be said: up to `longest` words, which END ends before."""
    said = [word for word in range(words) if word not in (PADDING, END)]
    for length in range(longest):
        for begun in itertools.product(said, repeat=length):
            yield [*begun, END]
    for cut_off in itertools.product(said, repeat=longest):
        yield list(cut_off)
