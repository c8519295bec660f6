"""MemN2N: a memory of sentences that a question is asked of several times, each time with what was found
before.

Sukhbaatar, Szlam, Weston & Fergus, "End-To-End Memory Networks", NeurIPS 2015, sections 2 and 4.1.
https://arxiv.org/abs/1503.08895

    m_i = sum_j l_j * A x_ij + T_A(i),   c_i = sum_j l_j * C x_ij + T_C(i),   u_1 = sum_j l_j * B q_j
    p_i = softmax_i(u_k^T m_i),          o_k = sum_i p_i c_i,                 u_{k+1} = u_k + o_k
    answer = softmax(W u_{K+1})
    l_kj = 1 + 4 (k - (d + 1) / 2) (j - (J + 1) / 2) / (d J),   for unit k of d and word j of J of a sentence

T(i) is a learned vector for the sentence's age, the last one's first. Adjacent tying: A_{k+1} = C_k, B = A_1,
W^T = C_K, so that answers are words: the first `num_classes` of the vocabulary behind padding. The paper has
d = 20 for each task alone and 50 for all, and memories of 50 sentences. Departure: l is that of the authors'
code, 1 in the middle; the paper prints (1 - j / J) - (k / d) (1 - 2 j / J).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from regard.contract.answers import Classes
from regard.contract.tokens_input import PADDING as PADDING_WORD
from regard.contract.tokens_input import TokensInput
from regard.models.classifiers import check_classes
from regard.models.decoding.generated import PADDING
from regard.models.interface import Interface

LONGEST = 20  # words of a sentence, where no Card says otherwise; the network takes any number


class SentenceMemory(nn.Module):
    """One of the matrices A_1, C_1, ..., C_K with its T: sentences and questions as vectors.

    Args:
        words: of the vocabulary, padding included.
        sentences: that have a T of their own; older ones share the last.
        width: d.
    """

    def __init__(self, words: int, sentences: int, width: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width, padding_idx=PADDING)
        self.ages = nn.Embedding(sentences, width)
        for embedding in (self.words, self.ages):
            nn.init.normal_(embedding.weight, std=0.1)
        nn.init.zeros_(self.words.weight[PADDING])

    def sentence(self, tokens: Tensor) -> Tensor:
        """sum_j l_j * A x_j: int64 (..., L) -> (..., d)."""
        order = word_order(tokens, self.words.embedding_dim).to(self.words.weight.dtype)
        return (self.words(tokens) * order).sum(dim=-2)

    def forward(self, story: Tensor) -> Tensor:
        """Every sentence with its age: int64 (B, S, L) -> (B, S, d)."""
        said = (story[..., 0] != PADDING).long()  # (B, S)
        age = said.sum(dim=1, keepdim=True) - said.cumsum(dim=1)  # of padding 0, which nothing reads
        return self.sentence(story) + self.ages(age.clamp(max=self.ages.num_embeddings - 1))


class MemN2N(nn.Module):
    """Class scores (logits) of questions about stories, both padded at the end: int64 (B, S, L), (B, L') ->
    (B, num_classes).

    Args:
        words: of the vocabulary, padding included.
        num_classes: answers, which are the words 1 to num_classes.
        sentences: of a story that are told apart by their age.
        width: d.
        hops: K.
    """

    def __init__(
        self, *, words: int = 200, num_classes: int = 50, sentences: int = 50, width: int = 50, hops: int = 3
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        if num_classes >= words:
            raise ValueError(
                f"answers are words besides padding, so num_classes must be below words, got {num_classes} "
                f"and {words}"
            )
        for name, value in (("sentences", sentences), ("width", width), ("hops", hops)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.answers = slice(1, 1 + num_classes)
        self.memories = nn.ModuleList(SentenceMemory(words, sentences, width) for _ in range(hops + 1))

    def interface(self) -> Interface:
        """A story and a question of numbered words, none of which is unknown, and the first of them as
        answers.
        """
        first = self._memories[0]
        words = (PADDING_WORD, *(f"w{number}" for number in range(1, first.words.num_embeddings)))
        story, question = (
            TokensInput(name=name, vocabulary=words, unknown=None, longest=LONGEST, sentences=sentences)
            for name, sentences in (("story", first.ages.num_embeddings), ("question", None))
        )
        return Interface((story, question), Classes(labels=words[self.answers]))

    def forward(self, story: Tensor, question: Tensor) -> Tensor:
        return self.explained(story, question)[0]

    def explained(
        self, story: Tensor, question: Tensor, *, linear: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The scores, and p of every hop as "hops" (B, K, S), 0 at padding.

        Args:
            linear: without the softmax over the memory, as training begins ("linear start").
        """
        said = story[..., 0] != PADDING  # (B, S)
        u = self._memories[0].sentence(question)  # (B, d)
        memories = [memory(story) for memory in self._memories]  # m_1, c_1 = m_2, ..., c_K
        hops = []
        for m, c in pairwise(memories):
            scores = torch.matmul(m, u.unsqueeze(2)).squeeze(2)  # (B, S)
            p = scores * said if linear else scores.masked_fill(~said, -torch.inf).softmax(dim=1)
            u = u + torch.matmul(p.unsqueeze(1), c).squeeze(1)
            hops.append(p)
        logits = torch.matmul(u, self._memories[-1].words.weight[self.answers].transpose(0, 1))
        return logits, {"hops": torch.stack(hops, dim=1)}

    @property
    def _memories(self) -> Sequence[SentenceMemory]:
        return cast("Sequence[SentenceMemory]", self.memories)


def word_order(tokens: Tensor, width: int) -> Tensor:
    """The weight l of every word, by which their order counts, or 0: int64 (..., L) -> (..., L, d)."""
    said = (tokens != PADDING).unsqueeze(-1)  # (..., L, 1)
    length = said.sum(dim=-2, keepdim=True).clamp(min=1)  # J: (..., 1, 1)
    j = torch.arange(tokens.shape[-1], device=tokens.device).unsqueeze(1) - (length - 1) / 2  # (..., L, 1)
    k = torch.arange(width, device=tokens.device) - (width - 1) / 2
    return (1 + 4 * k * j / (width * length)) * said
