"""What the answers to labelled images are worth, one kind of answer in a file."""

from regard.contract.answers import Classes, LabelMap
from regard.contract.card import Card
from regard.errors import InvalidInput
from regard.serving.evaluate.metrics.labels import LabelMetrics
from regard.serving.evaluate.metrics.metrics import Metrics
from regard.serving.evaluate.metrics.pixels import PixelMetrics
from regard.serving.evaluate.metrics.single import SingleMetrics


def metrics_of(card: Card, *, ignore_index: int | None = None) -> Metrics:
    """The metrics of an answer of labels.

    ignore_index: of pixels without a label, in place of the Card's.

    Raises:
        InvalidInput: the model answers something else.
    """
    if isinstance(card.answer, Classes):
        return (SingleMetrics if card.answer.activation == "softmax" else LabelMetrics)(card.answer)
    if isinstance(card.answer, LabelMap):
        return PixelMetrics(card.answer, card.answer.ignore_index if ignore_index is None else ignore_index)
    raise InvalidInput(
        f"{card.name} is a model for {card.task}: only classification and segmentation are evaluated"
    )
