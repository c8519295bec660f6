"""The parity certificate: PyTorch and ONNX Runtime give the same answers to the same inputs.

The reference is the network itself on (pixels / 255 - mean) / std, computed apart from the served graph. Both
see real images, texts and rollouts at the shapes of `trials_of`, so that a number baked into the graph shows.
An explanation's maps and a sequence's alignment are compared as well; Grad-CAM's gradient, written out by
hand in the graph, is held against autograd's.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import onnx

from regard.contract.card import Card
from regard.contract.certificate import Certificate
from regard.contract.digest import sha256
from regard.contract.names import ALIGNMENT
from regard.contract.operators import operators_beside
from regard.export.proof.bounds import FLOAT32
from regard.export.proof.comparison import prove
from regard.export.proof.graph_runner import GraphRunner, served_tensors
from regard.export.proof.network_runner import NetworkRunner
from regard.export.proof.references import ALIGNMENTS, NAMES
from regard.export.proof.rollouts import in_steps
from regard.export.proof.trial import Trial


def served_graph_runner(model: Path, card: Card) -> GraphRunner:
    """A graph that regard exported, by its file and the library of operators beside it.

    Raises:
        ExportError: it cannot be loaded.
    """
    graph = onnx.load(model)
    return GraphRunner(
        graph,
        served_tensors(graph, card.answer),
        sha256=sha256(model),
        operators=operators_beside(model),
    )


def certify(
    reference: NetworkRunner,
    candidate: GraphRunner,
    trials: Sequence[Trial],
    *,
    images_from: str,
    report: Callable[[str], None] = lambda stage: None,
) -> tuple[Certificate, ...]:
    """Prove that a served graph gives its network's answers, and explanation where it has one.

    Args:
        reference: the network, in evaluation mode, explained as the graph is.
        candidate: its graph.
        trials: what both are asked, of `trials_of`.
        images_from: where their images come from, for the record.
        report: told of each trial as a side is asked it.

    Returns:
        The certificate of the scores, and in an explain export another of its maps. Both have passed.

    Raises:
        ParityError: the graph departs from the network, or stops at one of the shapes.
    """
    card, explain = reference.card, reference.explain
    maps = NAMES[explain] if explain is not None else None
    if maps is None and ALIGNMENT in card.answer.tensors():
        maps = ALIGNMENTS
    return prove(
        in_steps(reference, card),
        in_steps(candidate, card),
        trials,
        answer=card.answer,
        precision=FLOAT32,
        subject=f"the graph of {card.name}",
        images_from=images_from,
        maps=maps,
        report=report,
    )
