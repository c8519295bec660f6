"""A row's answer must not depend on the rows beside it: the server batches those of different clients, and a
server that keeps sessions answers several at once.

A network that computes statistics of the batch in evaluation too, such as a BatchNorm without running ones,
passes every comparison of equal batches. It shows when an image is asked about alone and beside others; a
text also without the padding that longer ones beside it ask for; a session also without the steps of another.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from regard.contract.card import Card
from regard.errors import ExportError
from regard.export.proof.bounds import FLOAT32
from regard.export.proof.comparison import largest_difference, relative
from regard.export.proof.layer_results import layer_results
from regard.export.proof.network_runner import entering
from regard.export.proof.runner import Arrays
from regard.export.proof.trial import Trial
from regard.models.padding import taken

# of a trial and the index of a row in it
DependentLayer = Callable[[Trial, int], str | None]


def check_neighbours(
    together: Arrays,
    apart: Mapping[tuple[int, ...], Arrays],
    trial: Trial,
    *,
    tolerance: float,
    subject: str,
    reference: str,
    layer: DependentLayer | None = None,
) -> None:
    """Hold answers to some rows alone against those to the same rows among the others.

    Args:
        together: the answers to the trial.
        apart: the answers to some of its rows without the others, as of `Trial.apart`.
        trial: what was asked.
        tolerance: the difference that passes as rounding, over the largest value.
        subject: what is to be proven, for messages.
        reference: what answered.
        layer: names the first layer that gives the row another result.

    Raises:
        ExportError: they differ by more than passes as equal.
    """
    for rows, answers in apart.items():
        for name, values in together.items():
            if differ(answers[name], _cut(values[[*rows]], answers[name]), tolerance):
                found = layer(trial, rows[0]) if layer and not trial.rollout else None
                where = f", first in {found}" if found else ""
                raise ExportError(_dependence(name, trial, subject, reference, where))


def _dependence(name: str, trial: Trial, subject: str, reference: str, where: str) -> str:
    if trial.rollout:
        return (
            f"{subject} cannot be proven: the answer to a session depends on others. {reference} gives it "
            f"other {name} alone than between the steps of another. Let the network carry all that it "
            "remembers in the state that step(x, *state) takes and gives"
        )
    if trial.shape.words is not None:
        return (
            f"{subject} cannot be proven: the answer to a text depends on its padding or its neighbours in "
            f"the batch. {reference} gives it other {name} alone than among {len(trial.kinds)}, padded to "
            f"{trial.shape.words} words{where}. Let the network leave out padding, whose number is 0, "
            "wherever it looks at several words, and treat every text apart"
        )
    return (
        f"{subject} cannot be proven: the answer of an image depends on its neighbours in the "
        f"batch. {reference} gives it other {name} alone than among {len(trial.kinds)}{where}. Let the "
        "network treat every image apart, as a BatchNorm with running statistics does"
    )


def _cut(values: npt.NDArray[Any], alone: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The part of a row that it has alone: what belongs to the padding of a text goes."""
    return values[tuple(map(slice, alone.shape))] if values.ndim == alone.ndim else values


def dependent_layer(network: nn.Module, card: Card, trial: Trial, row: int) -> str | None:
    """The first layer, in the order PyTorch runs them, whose result for a row of a trial depends on the
    others; None where there is none to be seen.
    """
    inputs = taken(entering(trial.inputs, card), card)
    together = layer_results(network, lambda: network(*inputs))
    alone = layer_results(network, lambda: network(*(values[row : row + 1] for values in inputs)))
    modules = dict(network.named_modules())
    for among, single in zip(together, alone, strict=False):
        shares = _shares(among.values, single.values, row, len(trial.kinds))
        if shares and all(differ(single.values, share) for share in shares):
            return f"{among.path or 'the network itself'} ({type(modules[among.path]).__name__})"
    return None


def differ(alone: npt.NDArray[Any], beside: npt.NDArray[Any], tolerance: float = FLOAT32.error) -> bool:
    """Whether two answers to one row are more than rounding apart; NaN is told of elsewhere."""
    if not (np.isfinite(alone).all() and np.isfinite(beside).all()):
        return False
    if np.issubdtype(alone.dtype, np.integer):
        return float((alone != beside).mean()) > 1e-3
    return relative(largest_difference(alone, beside), alone) > tolerance


def _shares(
    among: npt.NDArray[Any], single: npt.NDArray[Any], row: int, batch: int
) -> Sequence[npt.NDArray[Any]]:
    """What a batch's result may hold of one row: windows or heads may lie beside the rows in one axis, on
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
            among.take(range(row * length, (row + 1) * length), axis),
            among.take(range(row, batch * length, batch), axis),
        ]
    return shares
