"""CamVid's validation split as the video that it is, and how well labels follow it.

Its 101 frames are one drive at 15 frames a second. The first 51 are to learn from and to choose by, without
their labels; the others are for the figures. The training split's images lie a second apart: no video.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from regard.models.checkpoint import load_weights, read_state_dict
from regard.models.load.catalog_network import build_seeded
from regard.models.segmenters.segmenter import Segmenter
from regard.models.training.data import load
from regard.models.training.metrics import confusion, intersection_over_union
from regard.models.training.normalize import as_floats, normalize
from regard.models.training.recipe import Recipe, find_recipe, recipe_from_file
from regard.models.weights_index import WEIGHTS

SEGMENTER = "ccnet_mobilenet_v2_camvid"
TUNED_ON = 51  # frames of the video

# a key frame's labels, the key frame and another, uint8 (H, W, 3) -> the other's labels
Carry = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Video:
    """images: uint8 (N, H, W, 3). labels: uint8 (N, H, W)."""

    images: Tensor
    labels: Tensor

    @cached_property
    def frames(self) -> Tensor:
        """As the segmenter takes them: (N, 3, H, W)."""
        return as_input(self.images)

    def part(self, chosen: slice) -> "Video":
        return Video(self.images[chosen], self.labels[chosen])


def read_video(root: Path) -> tuple[Video, Video]:
    """The frames to tune on, and those for the figures, from `root`/camvid."""
    held_out = load(_recipe(), root, "val")
    whole = Video(held_out.images, held_out.targets)
    return whole.part(slice(TUNED_ON)), whole.part(slice(TUNED_ON, None))


def read_pictures(root: Path) -> Tensor:
    """The training split's images, uint8 (N, H, W, 3)."""
    return load(_recipe(), root, "train").images


def as_input(images: Tensor) -> Tensor:
    """uint8 images (B, H, W, 3) as the segmenter takes them."""
    return normalize(as_floats(images), _recipe())


def trained_segmenter() -> Segmenter:
    """The shipped segmenter, in evaluation mode."""
    recipe = _recipe()
    network = build_seeded(recipe.builder, {**recipe.options, "num_classes": len(recipe.answer.labels)})
    assert isinstance(network, Segmenter)
    path = WEIGHTS / f"{SEGMENTER}.safetensors"
    load_weights(network, read_state_dict(path), source=str(path))
    return network.eval()


def mean_iou(found: Sequence[Tensor], video: Video) -> float:
    """Of the labels found in each frame, integers (H, W)."""
    classes = len(_recipe().answer.labels)
    counts = [confusion(*pair, classes) for pair in zip(found, video.labels, strict=True)]
    return intersection_over_union(torch.stack(counts).sum(dim=0)).nanmean().item()


def segmented(network: nn.Module, video: Video) -> list[Tensor]:
    """Labels of each frame by itself."""
    with torch.inference_mode():
        return [network(frame[None]).argmax(dim=1)[0] for frame in video.frames]


def in_session(network: Any, video: Video) -> list[Tensor]:
    """Labels of each frame by a network with state."""
    found = []
    with torch.inference_mode():
        state = network.initial_state(video.frames[:1])
        for frame in video.frames:
            scores, *state = network.step(frame[None], *state)
            found.append(scores.argmax(dim=1)[0])
    return found


def carried(labels: Sequence[Tensor], video: Video, interval: int, carry: Carry) -> list[Tensor]:
    """Labels of every `interval`-th frame, and between them what `carry` makes of the last ones."""
    made = []
    for i, image in enumerate(video.images):
        key = i - i % interval
        made.append(labels[i] if i == key else carry(labels[key], video.images[key], image))
    return made


def copied(labels: Tensor, key: Tensor, frame: Tensor) -> Tensor:
    """As they are, whatever moved: the floor."""
    return labels


def _recipe() -> Recipe:
    return recipe_from_file(find_recipe(Path(SEGMENTER)))
