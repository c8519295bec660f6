"""What trained attention looks at: a picture per family, drawn from the maps that `export --explain` hands
out.

    python examples/attention_maps.py

It writes docs/images/attention/<weights>.png. Attention between positions is shown for one of them, marked
with a cross; what one pass of criss-cross attention gives it, and what two passes do, are two maps. Of a
class activation map what speaks for the class is shown. Brightness is the square root of the weight.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor, nn

from regard.contract.card import Card
from regard.contract.names import ACTIVATION_MAP
from regard.contract.preprocess import decode
from regard.contract.reading import card_from_file
from regard.export.graph.served_graph import Normalize
from regard.models.explain import Explain
from regard.models.explain.explainers import EXPLAINERS
from regard.models.load import resolve
from regard.models.samples import folder
from regard.models.weights_index import shipped

OUT = Path(__file__).parents[1] / "docs" / "images" / "attention"
STREET = folder("street") / "0016E5_08033.jpg"
GARMENT = folder("garment") / "coat.png"
STRIDE = 16  # of the segmenters' attention
QUERY = (0.55, 0.5)  # the cross: fractions of height and width


@dataclass(frozen=True)
class Picture:
    """One trained network's picture: which of its maps are drawn, and how each becomes a map of the image."""

    photograph: Path
    title: str
    # caption -> (maps by name, size of the grid) -> (h, w)
    panels: dict[str, Callable[[dict[str, Tensor], tuple[int, int]], Tensor]]
    query: bool = False
    explain: Explain = "weights"


def of_query(name: str) -> Callable[[dict[str, Tensor], tuple[int, int]], Tensor]:
    """The row of the marked position in a map (1, hw, hw)."""

    def draw(maps: dict[str, Tensor], grid: tuple[int, int]) -> Tensor:
        height, width = grid
        row, column = int(QUERY[0] * height), int(QUERY[1] * width)
        return maps[name][0, row * width + column].view(height, width)

    return draw


def of_map(name: str) -> Callable[[dict[str, Tensor], tuple[int, int]], Tensor]:
    """A map that has a value, or a value per channel, at each position: the mean over its channels
    (1, C, h, w).
    """
    return lambda maps, grid: maps[name][0].mean(dim=0)


def criss_cross(passes: int) -> Callable[[dict[str, Tensor], tuple[int, int]], Tensor]:
    """What reaches the marked position in the last of one pass or of two."""

    def draw(maps: dict[str, Tensor], grid: tuple[int, int]) -> Tensor:
        height, width = grid
        reached = torch.zeros(height, width)
        reached[int(QUERY[0] * height), int(QUERY[1] * width)] = 1
        for weights in [maps[f"attention_head_attention_pass{index}"][0] for index in (2, 1)][:passes]:
            to_column, to_row = weights.split([height, width], dim=2)  # (h, w, h) and (h, w, w)
            reached = torch.einsum("hw,hwu->uw", reached, to_column) + torch.einsum(
                "hw,hwv->hv", reached, to_row
            )
        return reached

    return draw


PICTURES = {
    "danet_mobilenet_v2_camvid_short": Picture(
        STREET,
        "Position attention (DANet)",
        {"of the cross to every position": of_query("attention_head_position_1")},
        query=True,
    ),
    "ccnet_mobilenet_v2_camvid_short": Picture(
        STREET,
        "Criss-cross attention (CCNet)",
        {"one pass": criss_cross(1), "two passes": criss_cross(2)},
        query=True,
    ),
    "base_oc_mobilenet_v2_camvid_short": Picture(
        STREET,
        "Object context (OCNet)",
        {"of the cross to every position": of_query("attention_head_attention")},
        query=True,
    ),
    "gcnet_mobilenet_v2_camvid_short": Picture(
        STREET, "Global context (GCNet)", {"of every position alike": of_map("attention_head_attention")}
    ),
    "pan_mobilenet_v2_camvid_short": Picture(
        STREET, "Feature pyramid attention (PAN)", {"gate": of_map("attention_head")}
    ),
    "simam_resnet18_fashion_mnist": Picture(
        GARMENT,
        "SimAM",
        {f"res{stage + 1}": of_map(f"attention_backbone_layer{stage}_1_inner") for stage in (1, 2, 3)},
    ),
    "se_resnet18_fashion_mnist": Picture(
        GARMENT,
        "Class activation map (SE-ResNet-18)",
        {"of its answer, coat": lambda maps, grid: maps[ACTIVATION_MAP][0].relu()},
        explain="cam",
    ),
}


def draw(name: str, picture: Picture) -> Path:
    """Draw one network's maps over its photograph, and return the file."""
    network, card = load(name)
    pixels = card.input.fit(decode(picture.photograph.read_bytes()))
    with torch.inference_mode():
        x = Normalize(card.input)(torch.from_numpy(pixels[None]))
        _, maps = EXPLAINERS[picture.explain](network, x)
    height, width = pixels.shape[:2]
    grid = -(-height // STRIDE), -(-width // STRIDE)
    figure = Figure(
        figsize=(3.6 * (len(picture.panels) + 1), 3.6 * height / width + 0.5), layout="constrained"
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(picture.panels) + 1)
    axes[0].imshow(pixels)
    axes[0].set_title(picture.photograph.name, fontsize=9)
    for axis, (caption, panel) in zip(axes[1:], picture.panels.items(), strict=True):
        heat = F.interpolate(panel(maps, grid)[None, None], size=(height, width), mode="bilinear")[0, 0]
        axis.imshow(pixels.mean(axis=2), cmap="gray")
        axis.imshow(heat.sqrt().numpy(), cmap="inferno", alpha=0.65)
        axis.set_title(caption, fontsize=9)
    for axis in axes:
        axis.set_axis_off()
        if picture.query:
            axis.plot(
                QUERY[1] * width, QUERY[0] * height, "+", color="cyan", markersize=10, markeredgewidth=2
            )
    figure.suptitle(picture.title, fontsize=11)
    OUT.mkdir(parents=True, exist_ok=True)
    figure.savefig(OUT / f"{name}.png", dpi=90)
    return OUT / f"{name}.png"


def load(name: str) -> tuple[nn.Module, Card]:
    """A network that comes with regard, by the name of its weights."""
    path = shipped()[name]
    return resolve(card_from_file(path).origin.builder, weights=str(path.with_suffix(".safetensors")))


if __name__ == "__main__":
    for name, picture in PICTURES.items():
        print(draw(name, picture))
