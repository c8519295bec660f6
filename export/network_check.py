"""A Card must say what its network does: checked before anything is written."""

import torch
from torch import Tensor, nn

from regard.contract.answers.classes import Classes
from regard.contract.answers.labelled import Labelled
from regard.contract.card import Card
from regard.contract.inputs import TokensInput
from regard.errors import ExportError, InvalidInput, RegardError
from regard.export.activation import LastActivation
from regard.export.answer_size import check_answer, stopped_advice, with_upsampling
from regard.export.low_precision import LowPrecision
from regard.export.noise import noise_of
from regard.export.state_check import stepped
from regard.models.decoding.generated import Generated
from regard.models.own_code import at_place
from regard.models.padding import meant, taken
from regard.models.scores import answer_in


def check_network(network: nn.Module, card: Card) -> Card:
    """Run the network once, on noise of the Card's size, and hold its answer, and its state where it carries
    one, against the Card.

    Returns:
        The Card, saying how scores of a fraction of the image's size are brought to it.

    Raises:
        ExportError: the network is a ScriptModule or in training mode, its weights or its answer hold NaN, it
            returns more than scores, computes in 16 bits, or already applies its activation.
        InvalidInput: it does not take the Card's size, or the answer's shape contradicts the Card's task or
            labels.
    """
    if any(isinstance(module, torch.jit.ScriptModule) for module in network.modules()):
        raise ExportError(
            f"{card.name} is a ScriptModule, or holds one, which cannot be traced: give the Python module "
            "it was made from, with the same state_dict, or write an ONNX file by torch.onnx.export(..., "
            "dynamo=False) and import that"
        )
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
    noise = noise_of(card)
    inputs, precision = taken(noise, card), LowPrecision()
    try:
        with torch.inference_mode(), precision, LastActivation() as activation:
            output = network(*inputs) if card.state is None else stepped(network, card, inputs)
    except RegardError:
        raise
    except Exception as error:  # whatever the network's own code meets
        if precision.dtype is not None:
            raise ExportError(f"{card.name} cannot be exported: {precision}") from error
        raise InvalidInput(
            f"{card.name} does not take {_said(card)} of its Card: {at_place(error)}"
            f"{stopped_advice(network, noise, card)}"
        ) from error
    scores = answer_in(output)
    if precision.dtype is not None:
        raise ExportError(f"{card.name} cannot be exported: {precision}")
    card = with_upsampling(card, scores, inputs[0])
    placeable = isinstance(scores, Tensor) and scores.ndim == len(card.answer.scores_shape(1, 1, 1))
    logits = meant(scores, noise, card) if placeable else scores
    check_answer(logits, noise, network, card)
    if isinstance(scores, Generated):
        return card
    assert isinstance(logits, Tensor)
    if not logits.isfinite().all():
        raise ExportError(f"{card.name} answers NaN or infinity to noise; check its weights")
    applied = activation.of(scores)
    if (
        applied is not None
        and isinstance(card.answer, Labelled)
        and (applied == "sigmoid" or isinstance(card.answer, Classes))
    ):
        says = "" if applied == card.answer.activation else f", set the Card's activation to {applied!r}"
        raise ExportError(
            f"{card.name} already returns probabilities, its last operation is {applied}: drop that{says}; "
            "the graph applies it itself"
        )
    return card


def _said(card: Card) -> str:
    """The inputs of a Card, for a message."""
    return " and ".join(
        f"{each.longest} words of {each.tensor}, the most"
        if isinstance(each, TokensInput)
        else f"images of {each.height} x {each.width}, the size"
        for each in card.inputs
    )
