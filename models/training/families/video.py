"""Deep feature flow on CamVid, by a segmenter that is trained already.

    python -m regard.models.training.families.video --data ROOT --out FOLDER [--seed 0]

writes the weights and the Card of dff_camvid. It learns in two steps:

    1. the flow, on images of the training split and made-up motion: the distance from the true flow
    2. flow and scale, on the first half of the video, without its labels: the divergence of the carried
       features' classes from those of the frame's own features

The second is what the flow is for: the paper trains it by the labels of later frames, and here the segmenter
itself takes their place.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.contract.card import Card, Origin
from regard.contract.reading import card_from_file
from regard.models.networks.dff import DeepFeatureFlow
from regard.models.parts.flow import Motion
from regard.models.parts.warp import warp
from regard.models.training.families.camvid_video import (
    SEGMENTER,
    TUNED_ON,
    as_input,
    carried,
    copied,
    in_session,
    mean_iou,
    read_pictures,
    read_video,
    segmented,
    trained_segmenter,
)
from regard.models.training.families.fit import fit
from regard.models.training.motion import made_up_motion
from regard.models.training.ship import ship
from regard.models.weights_index import WEIGHTS

NAME = "dff_camvid"
CROP = (256, 320)
STEPS = 100  # of an epoch
PRETRAINED, TUNED = 28, 5  # epochs
AT_ONCE, TUNED_AT_ONCE = 4, 2  # pictures, and pairs, of a batch
FARTHEST = 12  # frames between a key frame and one that it is carried to
NEAR = 0.01  # below it a distance counts by its square


def moving_pictures(pictures: Tensor, count: int, random: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
    """Batches of crops as key frames, what a made-up motion makes of them in other light, and the motion."""
    rows, columns = CROP
    for _ in range(STEPS):
        chosen = pictures[torch.randint(len(pictures), (count,), generator=random)]
        top, left = (
            int(torch.randint(whole - part + 1, (1,), generator=random))
            for whole, part in zip(chosen.shape[1:3], CROP, strict=True)
        )
        key = as_input(chosen[:, top : top + rows, left : left + columns])
        motion = made_up_motion(count, CROP, random)
        contrast, brightness = 0.1 * torch.randn(2, count, 1, 1, 1, generator=random)
        yield warp(key, motion) * (1 + contrast) + brightness, key, motion


def distance(levels: list[Motion], truth: Tensor) -> Tensor:
    """Mean distance of each level's flow from the true one, in pixels, half the weight for each coarser
    level.
    """
    total = truth.new_zeros(())
    for weight, found in zip((0.5**i for i in range(len(levels))), reversed(levels), strict=True):
        across, down = (
            whole / part for whole, part in zip(truth.shape[:1:-1], found.flow.shape[:1:-1], strict=True)
        )
        flow = found.flow * torch.tensor([across, down])[:, None, None]
        wanted = F.interpolate(truth, size=flow.shape[2:], mode="area")
        total = total + weight * ((flow - wanted).pow(2).sum(dim=1) + NEAR).sqrt().mean()
    return total


def pairs(
    frames: Tensor, features: Tensor, count: int, random: torch.Generator
) -> Iterator[tuple[Tensor, ...]]:
    """Batches of features of a key frame, the key frame, a frame up to FARTHEST later or earlier, and that
    frame's own features.
    """
    for _ in range(STEPS):
        key = torch.randint(len(frames), (count,), generator=random)
        apart = torch.randint(-FARTHEST, FARTHEST + 1, (count,), generator=random)
        frame = (key + apart).clamp(0, len(frames) - 1)
        yield features[key].float(), frames[key], frames[frame], features[frame].float()


def divergence(
    network: DeepFeatureFlow, features: Tensor, key_frame: Tensor, frame: Tensor, own: Tensor
) -> Tensor:
    """Of the classes by carried features from those by the frame's own, the mean over positions."""
    classify = network.segmenter.classifier.eval()
    found = classify(network.propagate(features, key_frame, frame)).log_softmax(dim=1)
    return F.kl_div(found, classify(own).softmax(dim=1), reduction="none").sum(dim=1).mean()


def train(root: Path, seed: int) -> DeepFeatureFlow:
    """The trained network, its segmenter as it was."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    network = DeepFeatureFlow(trained_segmenter().requires_grad_(False))
    learning = nn.ModuleList([network.flow, network.scale])
    fit(
        learning,
        lambda frame, key, motion: distance(network.flow.coarse_to_fine(frame, key), motion),
        partial(moving_pictures, read_pictures(root), AT_ONCE, random),
        epochs=PRETRAINED,
    )
    frames = read_video(root)[0].frames
    with torch.no_grad():
        features = torch.cat([network.segmenter.features(frame[None]).half() for frame in frames])
    fit(
        learning,
        partial(divergence, network),
        partial(pairs, frames, features, TUNED_AT_ONCE, random),
        epochs=TUNED,
        learning_rate=3e-4,
    )
    return network


def figures(network: DeepFeatureFlow, root: Path) -> dict[str, float]:
    """Mean IoU on the second half of the video: the network's, its segmenter's on every frame, and that of
    labels copied from the key frames.
    """
    _, video = read_video(root)
    alone = segmented(network.segmenter, video)
    return {
        "mean_iou": mean_iou(in_session(network, video), video),
        "mean_iou_frame_by_frame": mean_iou(alone, video),
        "mean_iou_copied": mean_iou(carried(alone, video, network.interval, copied), video),
    }


def write(network: DeepFeatureFlow, root: Path, out: Path) -> Card:
    """Write the weights and the Card, which is the segmenter's but for the state."""
    trained = card_from_file(WEIGHTS / f"{SEGMENTER}.json")
    of_segmenter = {name: trained.origin.options[name] for name in ("output_stride", "inner", "decoder")}
    card = Card(
        name=NAME,
        inputs=trained.inputs,
        answer=trained.answer,
        state=network.interface().state,
        origin=Origin(
            builder="dff",
            options={"num_classes": trained.answer.scores, **of_segmenter},
            data=f"{trained.origin.data}; the flow also from the validation split's first {TUNED_ON} frames, "
            f"without labels. Measured on its others",
            licence=trained.origin.licence,
        ),
    )
    return ship(card, network, lambda _: figures(network, root), out)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train deep feature flow on CamVid's video.")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds camvid/")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights and the Card")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    card = write(train(arguments.data, arguments.seed), arguments.data, arguments.out)
    print(", ".join(f"{name} {value:.3f}" for name, value in card.origin.metrics.items()))


if __name__ == "__main__":
    main()
