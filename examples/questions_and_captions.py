"""What hard attention keeps of an image to answer a question, and where captioners look for each word.

    python examples/questions_and_captions.py

It writes docs/images/attention/kept-cells.png and docs/images/attention/word-by-word.png, from weights and
images that come with regard.
"""

from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from regard.contract.answers import Sequence
from regard.contract.card import Card
from regard.contract.preprocess import Pixels, decode
from regard.contract.reading import card_from_file
from regard.export.graph.served_graph import Normalize
from regard.models.decoding.generated import Generated
from regard.models.load import resolve
from regard.models.networks.han import HardAttentionNetwork
from regard.models.samples import folder
from regard.models.weights_index import shipped

OUT = Path(__file__).parents[1] / "docs" / "images" / "attention"
ASKED = {
    "red_triangle": "what shape is in the image?",
    "blue_circle": "what color is the shape?",
    "yellow_circle": "is there a rectangle?",
    "gray_triangle": "does the image not contain a gray shape?",
}
DESCRIBED = "red_triangle_and_blue_circle"
CAPTIONERS = ("show_attend_tell_soft", "show_attend_tell_hard", "cyclical_captioner")
STRIDE = 8  # of what is attended to
SIDE = 1.7  # of a panel, in inches
MARK = (0.7, 0.0, 0.7)  # magenta, which no shape is


def load(builder: str) -> tuple[torch.nn.Module, Card]:
    """A network trained on easy-VQA, and its Card."""
    path = shipped()[f"{builder}_easy_vqa"]
    return resolve(builder, weights=str(path.with_suffix(".safetensors")), card=card_from_file(path))


def read(card: Card, path: Path) -> tuple[Pixels, Tensor]:
    """The image of a file, and as the network takes it."""
    pixels = card.input.fit(decode(path.read_bytes()))
    return pixels, Normalize(card.input)(torch.from_numpy(pixels[None]))


def over(axis: Axes, pixels: Pixels, weights: Tensor, title: str) -> None:
    """An image under its places' weights, (h, w), from clear at 0 to MARK at the largest."""
    height, width = pixels.shape[:2]
    marks = torch.tensor(MARK).expand(*weights.shape, 3)
    shown = torch.cat([marks, 0.75 * (weights / weights.max()).unsqueeze(2)], dim=2)
    axis.imshow(pixels)
    axis.imshow(shown.numpy(), extent=(-0.5, width - 0.5, height - 0.5, -0.5), interpolation="nearest")
    axis.set_title(title, fontsize=8)


def kept_cells() -> Figure:
    """HAN and AdaHAN: a row each, a question in each column."""
    figure = Figure(figsize=(1.5 * SIDE * len(ASKED), 3.5 * SIDE), layout="constrained")
    axes = figure.subplots(2, len(ASKED))
    for row, builder in zip(axes, ("han", "adahan"), strict=True):
        network, card = load(builder)
        assert isinstance(network, HardAttentionNetwork)
        for axis, (image, question) in zip(row, ASKED.items(), strict=True):
            pixels, x = read(card, folder("shape") / f"{image}.png")
            words = torch.from_numpy(card.texts[0].tokenizer.batch([question]))
            scores, maps = network.explained(x, words)
            answer = card.answer.labels[int(scores.argmax())]
            kept = maps["kept"][0]
            over(axis, pixels, kept, f"{question}\n{builder}: {answer}, cells: {int(kept.sum())}")
    return figure


def word_by_word() -> Figure:
    """The captioners: a row each, a word in each column."""
    found = {}
    for builder in CAPTIONERS:
        network, card = load(builder)
        assert isinstance(card.answer, Sequence)
        pixels, x = read(card, folder("shape_pair") / f"{DESCRIBED}.png")
        said: Generated = network(x)
        found[builder] = pixels, said, card.answer.words(said.tokens[0].numpy())
    columns = max(len(words) for _, _, words in found.values())
    figure = Figure(figsize=(SIDE * columns, 0.8 * SIDE * len(found)), layout="constrained")
    parts = figure.subfigures(len(found), 1, squeeze=False)[:, 0]
    for part, (builder, (pixels, said, words)) in zip(parts, found.items(), strict=True):
        assert said.alignment is not None
        row = part.subplots(1, columns)
        part.suptitle(builder, x=0.01, ha="left", fontsize=9)
        for axis, word, weights in zip(row, words, said.alignment[0], strict=False):
            over(axis, pixels, weights.unflatten(0, (-1, pixels.shape[1] // STRIDE)), word)
    return figure


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    for name, draw in {"kept-cells": kept_cells, "word-by-word": word_by_word}.items():
        with torch.inference_mode():
            figure = draw()
        FigureCanvasAgg(figure)
        for axis in figure.axes:
            axis.set_axis_off()
        figure.savefig(OUT / f"{name}.png", dpi=90)
        print(OUT / f"{name}.png")
