"""What the shipped pose network finds in generated figures, and what it attends to.

    python examples/pose.py

It writes docs/images/pose.png: a column for each figure, none of which it was trained on; below the joints
that are found the attention to the whole figure, and that to the joint named beside it.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from regard.contract.answers import Points
from regard.contract.heat_map import HeatMap
from regard.models.load import resolve
from regard.models.networks.multi_context_pose import MultiContextPose
from regard.models.training.families.figures import NAMES, SIDE, figure

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "pose.png"
FIGURES, SEED = 5, 1_000_001  # the seed: of figures that the training's metrics do not hold either
ZOOM = 3
SHOWN = ("left hand", "right foot")
MARGIN = 90  # pixels for the rows' names


def main() -> None:
    network, card = resolve("multi_context_pose", weights="figures")
    assert isinstance(network, MultiContextPose)
    assert isinstance(card.answer, Points)
    random = np.random.default_rng(SEED)
    pixels = np.stack([figure(random).pixels for _ in range(FIGURES)])
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (card.input.mean, card.input.std))
    with torch.inference_mode():
        points, maps = network.explained((torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - mean) / std)
    side = SIDE * ZOOM
    rows = ["joints", "whole figure", *SHOWN]
    page = Image.new("RGB", (MARGIN + side * FIGURES, side * len(rows)), "white")
    pen = ImageDraw.Draw(page)
    for row, name in enumerate(rows):
        pen.text((MARGIN - 8, side * row + side // 2), name, fill="black", anchor="rm")
    for column in range(FIGURES):
        image = Image.fromarray(pixels[column]).resize((side, side), Image.Resampling.NEAREST)
        attended = [maps["whole"][column, -1], *(maps["parts"][column, NAMES.index(each)] for each in SHOWN)]
        pictures = [card.answer.result(points[column].numpy(), (side, side)).overlay(image)]
        pictures += [HeatMap(each.numpy()).overlay(image) for each in attended]
        for row, picture in enumerate(pictures):
            page.paste(picture, (MARGIN + side * column, side * row))
    page.quantize(256, dither=Image.Dither.NONE).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
