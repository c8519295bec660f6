"""Captions that look where they should without being told where: decode, localise, reconstruct.

Ma, Kalantidis, AlRegib, Vajda, Rohrbach & Kira, "Learning to Generate Grounded Visual Captions without
Localization Supervision", ECCV 2020. https://arxiv.org/abs/1906.00283

    r_i          = region i of the image, i = 1..S;   e_t = E y_t
    decode       h1_t = LSTM1([e_{t-1}, mean_i r_i, h2_{t-1}])
                 alpha_t = softmax_i v^T tanh(W r_i + U h1_t),   z_t = sum_i alpha_ti r_i
                 h2_t = LSTM2([z_t, h1_t]),   p(y_t) = softmax(W_o h2_t)
    localise     beta_t = softmax_i r_i^T W_l e_t,   l_t = sum_i beta_ti r_i     of the words just decoded
    reconstruct  as decode, with l_t in the place of z_t
    L            = (1 - w) CE(decoded) + w CE(reconstructed),   w = 0.5

The localiser sees a word and the regions, and no state: what it finds for a word is the same wherever that
stands. Both passes run the same decoder, so that to reconstruct teaches it to look at what it names. Only
decoding is served.

Departures and readings:
- The paper's regions come from a detector; here they are the cells of a feature map.
- The decoder is the one the paper takes over, with an LSTM that attends and one that writes; that the
  localiser is bilinear, w, and 1024 units are from memory and summaries.
"""

import torch
from torch import Tensor, nn

from regard.models.backbones.by_name import build_backbone
from regard.models.decoding.beam import check_beams
from regard.models.decoding.forcing import along, answer_loss, fed
from regard.models.decoding.generated import PADDING, Generated
from regard.models.decoding.greedy import word_scores
from regard.models.decoding.search import search
from regard.models.decoding.stepwise import Step, Tensors
from regard.models.interface import Interface, captions
from regard.models.parts.scoring import Additive, Bilinear
from regard.models.parts.soft import SoftAttention


class CyclicalCaptioner(nn.Module):
    """Captions of an image batch: (B, 3, H, W) -> `Generated`, aligned to the S = h w cells of the features.

    Args:
        words: in the captions' vocabulary, padding included.
        longest: words of a caption, its end included.
        backbone: a name of `BACKBONES`; the regions are the cells of its last map.
        width: channels of its first stage.
        image_size: side of the images that it is meant for.
        embedding: width of e.
        hidden: units of either LSTM, and rows of W and U.
        reconstruction: w.
        beams: captions kept side by side; 1 is greedy search.
    """

    def __init__(
        self,
        *,
        words: int = 10000,
        longest: int = 20,
        backbone: str = "resnet101",
        width: int = 64,
        image_size: int = 224,
        embedding: int = 512,
        hidden: int = 1024,
        reconstruction: float = 0.5,
        beams: int = 1,
    ) -> None:
        super().__init__()
        check_beams(beams, words)
        if not 0 <= reconstruction <= 1:
            raise ValueError(f"reconstruction must be in [0, 1], got {reconstruction}")
        self.words, self.longest, self.beams, self.image_size = words, longest, beams, image_size
        self.reconstruction = reconstruction
        self.backbone = build_backbone(backbone, width)
        channels = self.backbone.channels[-1]
        self.embedding = nn.Embedding(words, embedding, padding_idx=PADDING)
        self.watcher = nn.LSTMCell(embedding + channels + hidden, hidden)  # LSTM1
        self.score = Additive(channels, hidden, hidden)
        self.writer = nn.LSTMCell(channels + hidden, hidden)  # LSTM2
        self.out = nn.Linear(hidden, words)
        self.localiser = SoftAttention(Bilinear(channels, embedding))

    def interface(self) -> Interface:
        return captions(self.image_size, self.words, self.longest)

    def encode(self, image: Tensor) -> Tensors:
        """R (B, S, C), W r (B, S, hidden) and the mean of r (B, C)."""
        regions = self.backbone.stages(image)[-1].flatten(2).transpose(1, 2)
        return regions, self.score.key(regions), regions.mean(dim=1)

    def start(self, regions: Tensor, projected: Tensor, mean: Tensor) -> Tensors:
        """Nothing is remembered of either LSTM: h1, c1, h2, c2, (B, hidden) each."""
        nothing = regions.new_zeros((regions.shape[0], self.writer.hidden_size))
        return nothing, nothing.clone(), nothing.clone(), nothing.clone()

    def watch(self, token: Tensor, mean: Tensor, state: Tensors) -> Tensors:
        """h1, c1 after a word."""
        h1, c1, h2, _ = state
        return self.watcher(torch.cat([self.embedding(token), mean, h2], dim=1), (h1, c1))

    def write(self, context: Tensor, watched: Tensors, state: Tensors) -> tuple[Tensor, Tensors]:
        """Scores of the next word from z or l (B, C), and the state after it."""
        h2, c2 = self.writer(torch.cat([context, watched[0]], dim=1), state[2:])
        return self.out(h2), (*watched, h2, c2)

    def decode(self, token: Tensor, position: Tensor, memory: Tensors, state: Tensors) -> Step:
        regions, projected, mean = memory
        watched = self.watch(token, mean, state)
        weights = self.score.compared(projected, watched[0].unsqueeze(1)).softmax(dim=2)  # (B, 1, S)
        logits, state = self.write(torch.matmul(weights, regions).squeeze(1), watched, state)
        return Step(logits, state, weights.squeeze(1))

    def localise(self, words: Tensor, regions: Tensor) -> Tensor:
        """L of words (B, T) among regions (B, S, C): (B, T, C)."""
        return self.localiser(regions, self.embedding(words))

    def reconstruct(self, caption: Tensor, localised: Tensor, memory: Tensors) -> Tensor:
        """Scores of every word along a caption (B, T), looking at l (B, T, C): (B, T, V)."""
        state, steps = self.start(*memory), []
        for token, context in zip(fed(caption).unbind(dim=1), localised.unbind(dim=1), strict=True):
            logits, state = self.write(context, self.watch(token, memory[2], state), state)
            steps.append(logits)
        return torch.stack(steps, dim=1)

    def forward(self, image: Tensor) -> Generated:
        return search(self, image, beams=self.beams)

    def training_loss(self, image: Tensor, caption: Tensor) -> Tensor:
        """Along the right captions int64 (B, T), padded with 0."""
        memory = self.encode(image)
        decoded = along(self, caption, memory)[0]
        said = word_scores(decoded.flatten(0, 1)).argmax(dim=1).view_as(caption)
        rebuilt = self.reconstruct(caption, self.localise(said, memory[0]), memory)
        return (1 - self.reconstruction) * answer_loss(decoded, caption) + self.reconstruction * answer_loss(
            rebuilt, caption
        )
