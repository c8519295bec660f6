"""Random weights under which a network's answers depend on the image.

As their builders initialize them, some networks do not: a last layer starts at zero, or signals fade from
layer to layer until only the last bias is left. A proof would then hold for any constant.

    a last layer of zeros      is drawn as its class draws it
    answers that hardly vary   every linear layer and convolution, in the order they run, is divided by how
                               much its result varies from image to image, and loses its bias

The second is LSUV with one batch and without orthogonal matrices: Mishkin & Matas, "All You Need Is a Good
Init", ICLR 2016. https://arxiv.org/abs/1511.06422
"""

from typing import Any

import torch
from torch import Tensor, nn

from regard.contract.card import Card
from regard.errors import InvalidInput
from regard.models.load.seeded import seeded
from regard.models.padding import continued

Layer = nn.Linear | nn.Conv1d | nn.Conv2d
LEAST = 2e-3  # variation of the answers, over the largest of them and absolutely, that is left alone
LARGEST_SIDE = 128  # of the images tried where any size will do


def awaken(network: nn.Module, card: Card) -> None:
    """Change a network's random weights in place where its answers hardly depend on the image; the same way
    every time.

    Args:
        network: untrained, in evaluation mode; (B, C, H, W) to logits (B, K, ...).
        card: its Card.

    Raises:
        InvalidInput: the network does not take the Card's size.
    """
    x = _images(card)
    with seeded(), torch.no_grad():
        try:
            answers, last = _last_layer(network, x)
        except Exception as error:  # whatever the network's own code meets
            raise InvalidInput(
                f"{card.name} does not take images of {x.shape[2]} x {x.shape[3]}, which its Card allows: "
                f"{error}"
            ) from error
        if last is not None and not last.weight.any():
            last.reset_parameters()
            answers = network(x)
        if not _variation(answers) > LEAST * max(1.0, float(answers.abs().max())):
            _scale(network, x)


def _images(card: Card) -> Tensor:
    """A dark image and a bright one, both noisy, normalized and continued: (2, C, H, W)."""
    height, width = card.input.height, card.input.width
    if card.input.dynamic_size:
        least = card.input.min_size
        height, width = (max(least, min(side, LARGEST_SIDE)) for side in (height, width))
    channels = card.input.channels
    noise = torch.randn(2, channels, height, width, generator=torch.Generator().manual_seed(0))
    return continued(noise + torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1), card.input.pad_to)


def _last_layer(network: nn.Module, x: Tensor) -> tuple[Tensor, Layer | None]:
    """The network's answer, and the layer that ran last."""
    called: list[Layer] = []

    def note(module: Layer, inputs: object, output: object) -> None:
        called.append(module)

    answer = _run_with(network, x, note)
    return answer, called[-1] if called else None


def _scale(network: nn.Module, x: Tensor) -> None:
    """Divide each layer by the variation of its first result, before the next layer sees it."""
    done: set[Layer] = set()

    def scale(module: Layer, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        variation = _variation(output)
        if module in done or not variation > 0:
            return None
        done.add(module)
        module.weight /= variation
        if module.bias is not None:
            module.bias.zero_()
        changed: Tensor = module.forward(*inputs)
        return changed

    _run_with(network, x, scale)


def _variation(values: Tensor) -> float:
    """Standard deviation from the mean of the images (first axis)."""
    return float((values - values.mean(dim=0, keepdim=True)).std())


def _run_with(network: nn.Module, x: Tensor, hook: Any) -> Tensor:
    handles = [
        module.register_forward_hook(hook) for module in network.modules() if isinstance(module, Layer)
    ]
    try:
        answer: Tensor = network(x)
    finally:
        for handle in handles:
            handle.remove()
    return answer
