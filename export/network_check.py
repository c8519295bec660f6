"""A Card must say what its network does: checked before anything is written."""

import torch
from torch import Tensor, nn

from regard.contract.card import Card
from regard.errors import ExportError, InvalidInput
from regard.export.activation import LastActivation
from regard.models.padding import scores_of


def check_network(network: nn.Module, card: Card) -> None:
    """Run the network once, on noise of the Card's size, and hold its answer against the Card.

    Raises:
        ExportError: the network is in training mode, its weights or its answer hold NaN, or it already
            applies its activation.
        InvalidInput: it does not take the Card's size, or the answer's shape contradicts the Card's task or
            labels.
    """
    training = next(
        (path or "the network" for path, module in network.named_modules() if module.training), None
    )
    if training is not None:
        raise ExportError(
            f"{card.name} is in training mode ({training}): dropout and BatchNorm would answer otherwise; "
            "call .eval() first"
        )
    for name, value in network.state_dict().items():
        if value.is_floating_point() and not value.isfinite().all():
            raise ExportError(
                f"the weights of {card.name} hold NaN or infinity in {name}; use a checkpoint from before "
                "training diverged"
            )
    height, width = card.input.height, card.input.width
    noise = torch.rand(1, card.input.channels, height, width, generator=torch.Generator().manual_seed(0))
    try:
        with torch.inference_mode(), LastActivation() as activation:
            logits = scores_of(network, noise, card.input.pad_to)
    except Exception as error:  # whatever the network's own code meets
        raise InvalidInput(
            f"{card.name} does not take images of {height} x {width}, the size of its Card: {error}"
        ) from error
    if not isinstance(logits, Tensor):
        raise ExportError(
            f"{card.name} must return one tensor of logits, got {type(logits).__name__}; wrap it in a module "
            "that picks one"
        )
    expected = card.answer.scores_shape(1, height, width)
    labels = len(card.answer.labels)
    if logits.shape != expected:
        raise InvalidInput(
            f"the Card of {card.name} contradicts the network: {card.task} with {labels} labels means scores "
            f"of shape {expected} for one image of {height} x {width}, the network gives "
            f"{tuple(logits.shape)}. Correct the Card's answer or size."
        )
    if not logits.isfinite().all():
        raise ExportError(f"{card.name} answers NaN or infinity to noise; check its weights")
    applied = activation.of(logits)
    if applied is not None and (applied == "sigmoid" or card.task == "classification"):
        says = "" if applied == card.answer.activation else f", set the Card's activation to {applied!r}"
        raise ExportError(
            f"{card.name} already returns probabilities, its last operation is {applied}: drop that{says}; "
            "the graph applies it itself"
        )
