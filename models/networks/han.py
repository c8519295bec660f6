"""HAN and AdaHAN: hard attention for visual question answering, by the length of features that image and
question make together.

Malinowski, Doersch, Santoro & Battaglia, "Learning Visual Question Answering by Bootstrapping Hard
Attention", ECCV 2018. https://arxiv.org/abs/1808.00300

    x_i    = cell i of the image's features, i = 1..N
    q      = LSTM(question)
    m_i    = U relu(V x_i + W q)             1x1 convolutions, the question being laid under every cell
    p_i    = ||m_i||_2
    kept   = the k greatest p_i (HAN), or all with softmax(p)_i >= 1 / N (AdaHAN)
    answer = MLP(aggregate of the kept m_i)

There is no loss for the attention: it has the gradient of what it keeps.

Departures and readings:
- Fusing by addition and 1x1 convolutions, the presence, the two choices and the three aggregators are from
  summaries of the paper; the number of units and that the MLP has one hidden layer are ours.
- A cell of the greatest presence is kept whatever rounding says: AdaHAN never has nothing to look at.
"""

from typing import Any

from torch import Tensor, nn

from regard.contract.answers import Classes
from regard.contract.image_input import ImageInput
from regard.contract.tokens_input import TokensInput
from regard.errors import UnknownName
from regard.models.backbones.by_name import build_backbone
from regard.models.classifiers import check_classes
from regard.models.interface import Interface, numbered_classes, numbered_words
from regard.models.parts.cell_aggregators import AGGREGATORS
from regard.models.parts.presence import AdaptiveCells, Presence, TopCells
from regard.models.parts.question import QuestionEncoder
from regard.models.signatures import passes_options_to


class Fusion(nn.Module):
    """m: cells (B, N, C) and question (B, Q) -> (B, N, fused).

    Args:
        channels: C.
        hidden: Q.
        fused: width of m.
    """

    def __init__(self, channels: int, hidden: int, fused: int) -> None:
        super().__init__()
        self.v = nn.Linear(channels, fused)
        self.w = nn.Linear(hidden, fused, bias=False)
        self.u = nn.Linear(fused, fused)

    def forward(self, cells: Tensor, question: Tensor) -> Tensor:
        return self.u((self.v(cells) + self.w(question).unsqueeze(1)).relu())


class HardAttentionNetwork(nn.Module):
    """Class scores (logits) of an image with a question: image (B, 3, H, W), numbers of words (B, L) with 0
    behind the last -> (B, num_classes).

    Args:
        attention: which cells are kept.
        num_classes: K, the number of answers.
        words: in the questions' vocabulary, padding included.
        backbone: a name of `BACKBONES`; the cells are those of its last map.
        width: channels of its first stage.
        image_size: side of the images that it is meant for.
        longest: words of a question.
        embedding: width of a word's vector.
        hidden: units of the LSTM.
        fused: width of m.
        aggregator: "sum", "relations" or "pairs".
    """

    def __init__(
        self,
        attention: Presence,
        *,
        num_classes: int = 1000,
        words: int = 10000,
        backbone: str = "resnet50",
        width: int = 64,
        image_size: int = 224,
        longest: int = 32,
        embedding: int = 300,
        hidden: int = 512,
        fused: int = 512,
        aggregator: str = "sum",
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        if aggregator not in AGGREGATORS:
            raise UnknownName.among("aggregator", aggregator, AGGREGATORS)
        self.num_classes, self.words = num_classes, words
        self.image_size, self.longest = image_size, longest
        self.backbone = build_backbone(backbone, width)
        self.question = QuestionEncoder(words, embedding, hidden)
        self.fusion = Fusion(self.backbone.channels[-1], hidden, fused)
        self.attention = attention
        self.aggregator = AGGREGATORS[aggregator](fused)
        self.classifier = nn.Sequential(nn.Linear(fused, fused), nn.ReLU(), nn.Linear(fused, num_classes))

    def interface(self) -> Interface:
        """An image and a question of numbered words, and numbered classes as the answer."""
        image = ImageInput(height=self.image_size, width=self.image_size, resize="stretch")
        question = TokensInput(name="question", vocabulary=numbered_words(self.words), longest=self.longest)
        return Interface((image, question), Classes(labels=numbered_classes(self.num_classes)))

    def features(self, image: Tensor) -> Tensor:
        """x: (B, 3, H, W) -> (B, C, h, w)."""
        return self.backbone.stages(image)[-1]

    def fuse(self, features: Tensor, question: Tensor) -> Tensor:
        """m: features (B, C, h, w) and words (B, L) -> (B, h w, fused)."""
        return self.fusion(features.flatten(2).transpose(1, 2), self.question(question))

    def answer(self, fused: Tensor) -> Tensor:
        """Class scores of m: (B, N, fused) -> (B, num_classes)."""
        return self.classifier(self.aggregator(*self.attention(fused)))

    def forward(self, image: Tensor, question: Tensor) -> Tensor:
        return self.answer(self.fuse(self.features(image), question))

    def explained(self, image: Tensor, question: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The scores, and `kept`: 1 where a cell was looked at, 0 elsewhere, (B, h, w)."""
        features = self.features(image)
        fused = self.fuse(features, question)
        kept = self.attention.mask(fused).unflatten(1, features.shape[2:])
        return self.answer(fused), {"kept": kept}


@passes_options_to(HardAttentionNetwork)
def han(*, cells: int = 16, **options: Any) -> HardAttentionNetwork:
    """HAN, which keeps `cells` cells."""
    return HardAttentionNetwork(TopCells(cells), **options)


@passes_options_to(HardAttentionNetwork)
def adahan(**options: Any) -> HardAttentionNetwork:
    """AdaHAN, which keeps the cells that stand out."""
    return HardAttentionNetwork(AdaptiveCells(), **options)
