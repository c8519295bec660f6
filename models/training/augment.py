"""Random changes to a training batch, drawn from one generator so that a seed repeats them."""

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.models.losses.criterion import UNLABELLED
from regard.models.training.recipe import Augmentation


def augment(
    images: Tensor, targets: Tensor, options: Augmentation, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Change each image of a batch, and its label map with it.

    Args:
        images: (B, 3, H, W) in 0..1.
        targets: classes (B,) or label maps (B, H, W).
        options: which changes.
        random: source of every draw.

    Returns:
        Images and targets; (B, 3, *crop) and (B, *crop) where a crop is asked for.
    """
    pairs = [
        _augment_one(image, target, options, random) for image, target in zip(images, targets, strict=True)
    ]
    return torch.stack([image for image, _ in pairs]), torch.stack([target for _, target in pairs])


def _augment_one(
    image: Tensor, target: Tensor, options: Augmentation, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    def uniform(least: float, greatest: float) -> float:
        return least + (greatest - least) * torch.rand((), generator=random).item()

    def integer(end: int) -> int:
        return int(torch.randint(end, (), generator=random))

    has_mask = target.ndim == 2
    if options.flip and integer(2):
        image = image.flip(-1)
        target = target.flip(-1) if has_mask else target
    if options.crop:
        zoom = uniform(*options.scale)
        rows, columns = (
            min(round(side / zoom), whole) for side, whole in zip(options.crop, image.shape[1:], strict=True)
        )
        top, left = integer(image.shape[1] - rows + 1), integer(image.shape[2] - columns + 1)
        window = (slice(top, top + rows), slice(left, left + columns))
        image = F.interpolate(
            image[(slice(None), *window)][None], size=options.crop, mode="bilinear", antialias=zoom < 1
        )[0]
        if has_mask:
            target = F.interpolate(target[window][None, None], size=options.crop, mode="nearest-exact")[0, 0]
    if options.shift:
        reach = options.shift
        top, left = integer(2 * reach + 1), integer(2 * reach + 1)
        window = (slice(top, top + image.shape[1]), slice(left, left + image.shape[2]))
        image = F.pad(image, [reach] * 4)[(slice(None), *window)]
        if has_mask:
            target = F.pad(target, [reach] * 4, value=UNLABELLED)[window]
    if options.colour:
        image = image * uniform(1 - options.colour, 1 + options.colour)  # brightness
        image = image.mean().lerp(image, uniform(1 - options.colour, 1 + options.colour))  # contrast
        # saturation
        image = image.mean(dim=0, keepdim=True).lerp(image, uniform(1 - options.colour, 1 + options.colour))
        image = image.clamp(0, 1)
    if options.erase and uniform(0, 1) < options.erase:
        # Random erasing, Zhong et al., AAAI 2020: area 2 to 33 % of the image, aspect 0.3 to 3.3
        area, aspect = uniform(0.02, 0.33) * image.shape[1] * image.shape[2], uniform(0.3, 3.3)
        rows = min(round((area * aspect) ** 0.5), image.shape[1])
        columns = min(round((area / aspect) ** 0.5), image.shape[2])
        top, left = integer(image.shape[1] - rows + 1), integer(image.shape[2] - columns + 1)
        image = image.clone()
        image[:, top : top + rows, left : left + columns] = torch.rand((3, rows, columns), generator=random)
    return image, target
