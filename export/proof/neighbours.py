"""An image's answer must not depend on the images beside it: the server batches those of different clients.

A network that computes statistics of the batch in evaluation too, such as a BatchNorm without running ones,
passes every comparison of equal batches. It shows when an image is asked about alone and beside others.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from regard.contract.card import Card
from regard.contract.preprocess import Pixels
from regard.errors import ExportError
from regard.export.proof.bounds import FLOAT32
from regard.export.proof.comparison import largest_difference, relative
from regard.export.proof.layer_results import layer_results
from regard.export.proof.network_runner import normalized
from regard.export.proof.runner import Arrays
from regard.models.padding import continued

# of a batch (B, H, W, 3) and the index of an image in it
DependentLayer = Callable[[Pixels, int], str | None]


def check_neighbours(
    together: Arrays,
    alone: Mapping[int, Arrays],
    batch: Pixels,
    *,
    tolerance: float,
    subject: str,
    reference: str,
    layer: DependentLayer | None = None,
) -> None:
    """Hold answers to images alone against those to the same images in a batch.

    Args:
        together: the answers to the batch.
        alone: the answers to some of its images alone, by their index.
        batch: the images (B, H, W, 3).
        tolerance: the difference that passes as rounding, over the largest value.
        subject: what is to be proven, for messages.
        reference: what answered.
        layer: names the first layer that gives the image another result.

    Raises:
        ExportError: they differ by more than passes as equal.
    """
    for image, answers in alone.items():
        for name, values in together.items():
            if differ(answers[name], values[image : image + 1], tolerance):
                found = layer(batch, image) if layer else None
                where = f", first in {found}" if found else ""
                raise ExportError(
                    f"{subject} cannot be proven: the answer of an image depends on its neighbours in the "
                    f"batch. {reference} gives it other {name} alone than among {len(batch)}{where}. Let the "
                    "network treat every image apart, as a BatchNorm with running statistics does"
                )


def dependent_layer(network: nn.Module, card: Card, batch: Pixels, image: int) -> str | None:
    """The first layer, in the order PyTorch runs them, whose result for an image of a batch (B, H, W, 3)
    depends on the others; None where there is none to be seen.
    """
    x = continued(normalized(batch, card), card.input.pad_to)
    together = layer_results(network, x)
    alone = layer_results(network, x[image : image + 1])
    modules = dict(network.named_modules())
    for among, single in zip(together, alone, strict=False):
        shares = _shares(among.values, single.values, image, len(batch))
        if shares and all(differ(single.values, share) for share in shares):
            return f"{among.path or 'the network itself'} ({type(modules[among.path]).__name__})"
    return None


def differ(alone: npt.NDArray[Any], beside: npt.NDArray[Any], tolerance: float = FLOAT32.error) -> bool:
    """Whether two answers to one image are more than rounding apart; NaN is told of elsewhere."""
    if not (np.isfinite(alone).all() and np.isfinite(beside).all()):
        return False
    if np.issubdtype(alone.dtype, np.integer):
        return float((alone != beside).mean()) > 1e-3
    return relative(largest_difference(alone, beside), alone) > tolerance


def _shares(
    among: npt.NDArray[Any], single: npt.NDArray[Any], image: int, batch: int
) -> list[npt.NDArray[Any]]:
    """What a batch's result may hold of one image: windows or heads may lie beside the images in one axis, on
    either side of it.
    """
    axes = [
        axis
        for axis in range(among.ndim)
        if among.ndim == single.ndim
        and among.shape[axis] == batch * single.shape[axis]
        and among.shape[:axis] + among.shape[axis + 1 :] == single.shape[:axis] + single.shape[axis + 1 :]
    ]
    shares = []
    for axis in axes:
        length = single.shape[axis]
        shares += [
            among.take(range(image * length, (image + 1) * length), axis),
            among.take(range(image, batch * length, batch), axis),
        ]
    return shares
