"""Random changes: images and label maps stay together, a seed repeats them, each does what its option
says.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from regard.models.training.augment import augment
from regard.models.training.recipe import Augmentation


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def labelled(count: int = 16, rows: int = 20, columns: int = 28) -> tuple[Tensor, Tensor]:
    """Images whose every pixel says its label: the value is label / 8, in patches of 4 x 4."""
    patches = torch.randint(0, 9, (count, rows // 4, columns // 4), generator=seeded(9))
    masks = patches.repeat_interleave(4, 1).repeat_interleave(4, 2)
    return (masks[:, None] / 8).expand(-1, 3, -1, -1).clone(), masks.to(torch.uint8)


def apply(seed: int = 0, **options: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    images, masks = labelled()
    changed, targets = augment(images.clone(), masks.clone(), Augmentation(**options), seeded(seed))
    return images, masks, changed, targets


def agreement(images: Tensor, masks: Tensor) -> float:
    return ((images[:, 0] * 8).round() == masks).float().mean().item()


def test_no_options_change_nothing() -> None:
    images, masks, changed, targets = apply()
    assert torch.equal(images, changed)
    assert torch.equal(masks, targets)


EVERYTHING: dict[str, Any] = {
    "flip": True,
    "shift": 2,
    "erase": 0.5,
    "crop": (12, 16),
    "scale": (0.8, 1.5),
    "colour": 0.3,
}


def test_a_seed_repeats_everything() -> None:
    for one, other in zip(apply(3, **EVERYTHING), apply(3, **EVERYTHING), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(apply(3, **EVERYTHING)[2], apply(4, **EVERYTHING)[2])


def test_draws_come_from_the_generator_alone() -> None:
    torch.manual_seed(1)
    first = apply(3, **EVERYTHING)[2]
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert torch.equal(first, apply(3, **EVERYTHING)[2])
    assert torch.equal(state, torch.get_rng_state())


def test_the_batch_given_is_left_alone() -> None:
    images, masks = labelled()
    kept = images.clone(), masks.clone()
    augment(images, masks, Augmentation(**EVERYTHING), seeded())
    assert torch.equal(images, kept[0])
    assert torch.equal(masks, kept[1])


@pytest.mark.parametrize("seed", range(5))
def test_flip_mirrors_image_and_mask_together(seed: int) -> None:
    images, masks, changed, targets = apply(seed, flip=True)
    assert agreement(changed, targets) == 1
    mirrored = [torch.equal(c, i.flip(-1)) for c, i in zip(changed, images, strict=True)]
    kept = [torch.equal(c, i) for c, i in zip(changed, images, strict=True)]
    assert all(m or k for m, k in zip(mirrored, kept, strict=True))
    assert 0 < sum(mirrored) < len(images)
    assert targets.dtype == masks.dtype


@pytest.mark.parametrize("seed", range(5))
def test_crop_at_scale_one_cuts_one_window(seed: int) -> None:
    images, masks, changed, targets = apply(seed, crop=(12, 16))
    assert changed.shape == (16, 3, 12, 16)
    assert targets.shape == (16, 12, 16)
    assert agreement(changed, targets) == 1
    for image, mask, cut, target in zip(images, masks, changed, targets, strict=True):
        windows = [
            (i, j) for i in range(9) for j in range(13) if torch.equal(mask[i : i + 12, j : j + 16], target)
        ]
        assert any(torch.allclose(image[:, i : i + 12, j : j + 16], cut, atol=1e-6) for i, j in windows)


@pytest.mark.parametrize("scale", [(2.0, 2.0), (4.0, 4.0), (1.0, 3.0), (0.8, 1.2)])
def test_scaled_crops_keep_image_and_mask_together(scale: tuple[float, float]) -> None:
    """Away from the borders of the patches, where the image is interpolated and the mask is not."""
    _, _, changed, targets = apply(crop=(12, 16), scale=scale)
    assert changed.shape == (16, 3, 12, 16)
    flat = (
        (targets[:, 2:-2, 2:-2, None, None] == targets.unfold(1, 5, 1).unfold(2, 5, 1)).all(dim=4).all(dim=3)
    )
    assert flat.any() or scale[0] < 1
    colours = (changed[:, 0, 2:-2, 2:-2] * 8).round()
    assert (colours == targets[:, 2:-2, 2:-2])[flat].all()


def test_masks_are_never_interpolated() -> None:
    _, masks, _, targets = apply(crop=(12, 16), scale=(0.8, 3.0), flip=True)
    assert set(targets.unique().tolist()) <= set(masks.unique().tolist())
    assert targets.dtype == torch.uint8


def test_zoom_shows_less() -> None:
    ramp = torch.linspace(0, 1, 40).expand(1, 3, 40, 40).clone()
    wide, _ = augment(ramp, torch.zeros(1, dtype=torch.long), Augmentation(crop=(20, 20)), seeded())
    near, _ = augment(
        ramp, torch.zeros(1, dtype=torch.long), Augmentation(crop=(20, 20), scale=(4, 4)), seeded()
    )
    assert (near.max() - near.min()) < 0.4 * (wide.max() - wide.min())


@pytest.mark.parametrize("seed", range(5))
def test_shift_moves_by_at_most_so_many_pixels_and_fills_black(seed: int) -> None:
    images = torch.rand(8, 3, 10, 12, generator=seeded(1)) + 0.1
    changed, classes = augment(images, torch.arange(8), Augmentation(shift=2), seeded(seed))
    assert torch.equal(classes, torch.arange(8))
    for image, moved in zip(images, changed, strict=True):
        padded = torch.nn.functional.pad(image, [2] * 4)
        assert any(torch.equal(moved, padded[:, i : i + 10, j : j + 12]) for i in range(5) for j in range(5))


def test_shift_moves_the_mask_with_the_image() -> None:
    """Where the image was moved, the label map must be too; pixels moved in from outside are black and have
    no label to check.
    """
    _, _, changed, targets = apply(shift=3)
    inside = (slice(None), slice(3, -3), slice(3, -3))
    assert ((changed[:, 0] * 8).round()[inside] == targets[inside]).all()


def test_colour_changes_colours_and_stays_in_range() -> None:
    images = torch.rand(32, 3, 6, 6, generator=seeded(1))
    changed, _ = augment(images, torch.arange(32), Augmentation(colour=0.5), seeded())
    assert not torch.equal(changed, images)
    assert changed.min() >= 0
    assert changed.max() <= 1
    grey = torch.full((32, 3, 6, 6), 0.4)
    brightness = augment(grey, torch.arange(32), Augmentation(colour=0.5), seeded())[0]
    assert ((brightness >= 0.2 - 1e-6) & (brightness <= 0.6 + 1e-6)).all()
    assert (brightness - brightness.mean(dim=(1, 2, 3), keepdim=True)).abs().max() < 1e-6
    assert brightness.mean(dim=(1, 2, 3)).std() > 0.05


def test_colour_leaves_masks_alone() -> None:
    _, masks, _, targets = apply(colour=0.5)
    assert torch.equal(masks, targets)


def test_erase_is_one_rectangle_of_the_papers_area() -> None:
    images = torch.full((64, 3, 40, 40), -1.0)
    changed, _ = augment(images, torch.arange(64), Augmentation(erase=1), seeded())
    areas = []
    for image in changed:
        erased = (image != -1).all(dim=0)
        rows, columns = erased.any(dim=1).nonzero(), erased.any(dim=0).nonzero()
        height, width = (int(side.max() - side.min()) + 1 for side in (rows, columns))
        assert int(erased.sum()) == height * width
        areas.append(height * width / 1600)
        assert image[:, erased].min() >= 0
        assert image[:, erased].max() <= 1
    assert min(areas) > 0.01
    assert max(areas) < 0.36
    assert max(areas) - min(areas) > 0.15


def test_erase_happens_with_its_probability() -> None:
    images = torch.full((400, 3, 16, 16), -1.0)
    changed, _ = augment(images, torch.arange(400), Augmentation(erase=0.25), seeded())
    share = (changed != -1).flatten(1).any(dim=1).float().mean().item()
    assert abs(share - 0.25) < 0.07  # three standard errors


def test_each_image_draws_its_own() -> None:
    same = torch.rand(1, 3, 24, 24, generator=seeded(1)).expand(8, -1, -1, -1)
    changed, _ = augment(same, torch.zeros(8, dtype=torch.long), Augmentation(crop=(12, 12)), seeded())
    assert len({tuple(image.flatten().tolist()) for image in changed}) > 4
