"""A few real images that come with regard: what exports are proven on, and what the demo and the benchmark show.

`sample_images/ATTRIBUTION.md` says where they come from; none was trained on.
"""

from pathlib import Path
from typing import Literal

from regard.models.card import Card
from regard.models.preprocess import Pixels, decode, fit

Kind = Literal["street", "garment"]


def folder(kind: Kind) -> Path:
    """The folder of the sample images: four street scenes (480 x 360, JPEG) or ten garments (28 x 28, PNG)."""
    return Path(__file__).parent / "sample_images" / kind


def sample_images(card: Card) -> list[Pixels]:
    """Sample images for the Card's task, brought to its input size: uint8 (H, W, 3) each, in the order of their file names."""
    kind: Kind = "street" if card.task == "segmentation" else "garment"
    contract = card.input
    return [
        fit(
            decode(path.read_bytes()),
            resize=contract.resize,
            height=contract.height,
            width=contract.width,
            interpolation=contract.interpolation,
            crop=contract.crop,
        )
        for path in sorted(folder(kind).iterdir())
    ]
