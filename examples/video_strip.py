"""How features follow a video: a strip of pictures, drawn from the weights of deep feature flow that come
with regard.

    python examples/video_strip.py --data FOLDER

FOLDER holds camvid/, see docs/data.md. It writes docs/images/video.png: frames after a key frame, the motion
that the flow network sees back to it, and labels, by the flow and copied as they were. Colour is the
direction of the motion, strength its length.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from regard.contract.answers import LabelMap
from regard.contract.reading import card_from_file
from regard.models.load import resolve
from regard.models.networks.dff import DeepFeatureFlow
from regard.models.parts.warp import resize_flow
from regard.models.training.families.camvid_video import in_session, read_video
from regard.models.weights_index import shipped

OUT = Path(__file__).parents[1] / "docs" / "images" / "video.png"
NETWORK = "dff_camvid"
FIRST, SHOWN = 20, (0, 3, 6, 9)  # the key frame in the second half of the video, and frames after it
LONGEST = 40.0  # pixels: motion of full strength
Picture = npt.NDArray[Any]  # (H, W, 3)
WIDTH = 2.4  # inches of a picture


def coloured(flow: Tensor) -> Picture:
    """A flow in pixels (2, H, W) as colours (H, W, 3)."""
    across, down = flow.numpy()
    direction = (np.arctan2(down, across) / (2 * np.pi)) % 1
    strength = np.minimum(np.hypot(across, down) / LONGEST, 1)
    return hsv_to_rgb(np.stack([direction, strength, np.ones_like(strength)], axis=2))


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(description="draw how features follow a video")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds camvid/")
    card = card_from_file(shipped()[NETWORK])
    path = shipped()[NETWORK].with_suffix(".safetensors")
    network, _ = resolve(card.origin.builder, weights=str(path))
    assert isinstance(network, DeepFeatureFlow)
    assert isinstance(card.answer, LabelMap)
    palette = np.array(card.answer.colours, np.uint8)
    _, video = read_video(parser.parse_args().data)
    video = video.part(slice(FIRST, FIRST + SHOWN[-1] + 1))
    followed = in_session(network, video)
    rows: dict[str, list[Picture]] = {
        "frame": [video.images[i].numpy() for i in SHOWN],
        "motion since the key frame": [],
        "labels by the flow": [palette[followed[i].numpy()] for i in SHOWN],
        "labels copied": [palette[followed[0].numpy()] for _ in SHOWN],
    }
    with torch.inference_mode():
        for i in SHOWN:
            frame, key = video.frames[i : i + 1], video.frames[:1]
            flow = resize_flow(network.flow(frame, key).flow, frame)[0]
            rows["motion since the key frame"].append(coloured(flow if i else torch.zeros_like(flow)))
    figure = Figure(figsize=(WIDTH * len(SHOWN), WIDTH * 0.8 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), len(SHOWN))
    for line, (name, pictures) in zip(grid, rows.items(), strict=True):
        for axes, picture, i in zip(line, pictures, SHOWN, strict=True):
            axes.imshow(picture)
            axes.set_axis_off()
            axes.set_title(f"{name}" if i == 0 else f"+{i}", fontsize=8, loc="left")
    figure.savefig(OUT, dpi=80)


if __name__ == "__main__":
    main()
