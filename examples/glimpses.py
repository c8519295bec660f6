"""Where the networks that look again look: a picture of each, drawn from what it explains of sample images.

    python examples/glimpses.py

It writes docs/images/glimpses/<weights>.png. Boxes are glimpses or windows, from the first, dark, to the
last, light; for digits that were never trained on.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from regard.contract.answers import Sequence
from regard.contract.card import Card
from regard.contract.reading import card_from_file
from regard.export.graph.served_graph import Normalize
from regard.models.load import resolve
from regard.models.samples import sample_images
from regard.models.weights_index import shipped

OUT = Path(__file__).parents[1] / "docs" / "images" / "glimpses"
MOST = 5  # images in a picture
SHADES = ("#5e2a84", "#b13c78", "#e8604c", "#f9a03f", "#f6e34a", "#ffffff")

Draw = Callable[[Any, Card, Tensor], Figure]


def figure(rows: int, columns: int, side: float = 1.8) -> tuple[Figure, Any]:
    """A figure of square panels without axes, grey where no image is, and the panels (rows, columns)."""
    drawn = Figure(figsize=(side * columns, (side + 0.25) * rows), layout="constrained")
    FigureCanvasAgg(drawn)
    panels = drawn.subplots(rows, columns, squeeze=False)
    for axis in panels.flat:
        axis.set(xticks=[], yticks=[], facecolor="#6e6e6e")
        axis.spines[:].set_visible(False)
    return drawn, panels


def show(axis: Axes, image: Tensor) -> None:
    axis.imshow(image[0].numpy(), cmap="gray", vmin=0, vmax=1, extent=(0, 1, 1, 0))


def outline(axis: Axes, box: Tensor, shade: str) -> None:
    left, top, right, bottom = box.tolist()
    axis.add_patch(
        Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=shade, linewidth=1.6)
    )


def path(axis: Axes, boxes: Tensor) -> None:
    """Boxes (T, 4), with a line through their middles."""
    x, y = (boxes[:, :2] + boxes[:, 2:]).div(2).unbind(dim=1)
    axis.plot(x.numpy(), y.numpy(), color="#9ad1ff", linewidth=0.8)
    for index, box in enumerate(boxes):
        outline(axis, box, SHADES[round(index * (len(SHADES) - 1) / max(1, len(boxes) - 1))])
    axis.set_xlim(-0.15, 1.15)
    axis.set_ylim(1.15, -0.15)


def glimpses(network: Any, card: Card, x: Tensor) -> Figure:
    """Each image with its glimpses, and what was read in it."""
    answer, explanation = network.explained(x)
    drawn, panels = figure(1, len(x))
    for index, axis in enumerate(panels[0]):
        show(axis, x[index])
        path(axis, explanation["glimpses"][index])
        if isinstance(card.answer, Sequence):
            words = card.answer.words(answer.tokens[index].numpy())
            axis.set_title(" ".join(words), fontsize=9)
        else:
            axis.set_title(card.answer.labels[int(answer[index].argmax())], fontsize=9)
    return drawn


def strokes(network: Any, card: Card, x: Tensor) -> Figure:
    """Each image, and the canvas after every step."""
    steps = network.steps
    drawn, panels = figure(len(x), steps + 1, side=1.2)
    for step in range(1, steps + 1):
        network.steps = step
        canvas = network(x)
        for index in range(len(x)):
            show(panels[index, step], canvas[index])
    network.steps = steps
    for index, image in enumerate(x):
        show(panels[index, 0], image)
    return drawn


def gains(network: Any, card: Card, x: Tensor) -> Figure:
    """The gains of the last pass, a row for each image and a column for each map."""
    gates = network.explained(x)[1]["gates"][:, -1].numpy()
    drawn = Figure(figsize=(7, 0.3 * len(x) + 1), layout="constrained")
    FigureCanvasAgg(drawn)
    axis = drawn.subplots()
    most = float(np.abs(gates - 1).max())
    mapped = axis.imshow(gates, cmap="RdBu_r", vmin=1 - most, vmax=1 + most, aspect="auto")
    axis.set_xlabel("feature map")
    axis.set_yticks(range(len(x)), [f"image {index}" for index in range(len(x))])
    drawn.colorbar(mapped, label="gain")
    return drawn


PICTURES: dict[str, Draw] = {
    "ram_digits": glimpses,
    "dram_pairs": glimpses,
    "draw_classifier_digits": glimpses,
    "draw_digits": strokes,
    "dasnet_clutter": gains,
}


def draw(name: str) -> Path:
    """Draw one network's picture, and return the file."""
    weights = shipped()[name]
    network, card = resolve(
        card_from_file(weights).origin.builder, weights=str(weights.with_suffix(".safetensors"))
    )
    pixels = np.stack([card.input.fit(image) for image in sample_images(card)[:MOST]])
    with torch.inference_mode():
        x = Normalize(card.input)(torch.from_numpy(pixels))
        drawn = PICTURES[name](network, card, x)
    OUT.mkdir(parents=True, exist_ok=True)
    drawn.savefig(OUT / f"{name}.png", dpi=90)
    return OUT / f"{name}.png"


if __name__ == "__main__":
    for name in PICTURES:
        print(draw(name))
