"""What quantizing each block costs: all but that one are quantized, and held against float32."""

from collections.abc import Mapping, Sequence

import numpy as np
from onnx import ModelProto

from regard.contract.answers import Classes
from regard.contract.answers.kind import Array
from regard.contract.card import Card
from regard.contract.names import IMAGE
from regard.contract.preprocess import Pixels
from regard.export.artifact import Artifact
from regard.export.precision.mixed import in_float32
from regard.export.sessions.open_artifact import open_artifact
from regard.serving.optimize.drafting import Drafting
from regard.serving.optimize.gate import BlockCost

IMAGES = 32  # of the calibration: those that judge have no say in what is judged


def block_costs(
    drafting: Drafting,
    quantized: ModelProto,
    original: ModelProto,
    blocks: Mapping[str, Sequence[str]],
    images: Sequence[Pixels],
) -> list[BlockCost]:
    """The costs of all blocks, the largest first. The draft's graph is overwritten.

    Args:
        drafting: the variant's.
        quantized, original: the graphs, of the same nodes.
        blocks: names of the nodes of each.
        images: what the graphs take, (height, width, channels).
    """
    images = images[:IMAGES]
    card = drafting.artifact.card
    expected = _answers(drafting.artifact, images)

    def met(model: ModelProto) -> float:
        """How much of float32's answers a graph gives."""
        found = _answers(drafting.written(model), images)
        return float(np.mean([overlap(card, *pair) for pair in zip(expected, found, strict=True)]))

    costs = []
    with drafting.progress("looking for the costliest blocks", 1 + len(blocks)) as advance:
        whole = met(quantized)
        advance()
        for block, nodes in blocks.items():
            costs.append(BlockCost(block, met(in_float32(quantized, original, nodes)) - whole))
            advance()
    return sorted(costs, key=lambda each: -each.cost)


def overlap(card: Card, expected: Array, found: Array) -> float:
    """How much two answers have in common, 0 to 1, finer than the labels they lead to: the fraction of equal
    pixels; what two distributions over the labels share; of labels that apply together, 1 less the mean
    difference.
    """
    if not isinstance(card.answer, Classes):
        return float((expected == found).mean())
    difference = np.abs(expected - found)
    return 1 - float(difference.sum() / 2 if card.answer.activation == "softmax" else difference.mean())


def _answers(artifact: Artifact, images: Sequence[Pixels]) -> list[Array]:
    session = open_artifact(artifact, threads=1)
    return [session.run((artifact.card.answer.tensor,), {IMAGE: pixels[None]})[0] for pixels in images]
