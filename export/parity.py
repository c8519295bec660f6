"""The parity certificate: PyTorch and ONNX Runtime give the same answers to the same images.

The reference is the network itself on (pixels / 255 - mean) / std, computed apart from the served graph. Both
see real images at the shapes of `trial_shapes`, so that a number baked into the graph shows. Compared are the
logits, an inner tensor of the served graph, and the answer that it serves: probabilities and their top-1
class, or the label of every pixel. An explanation's maps get a certificate of their own; Grad-CAM's gradient,
written out by hand in the graph, is held against autograd's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from torch import nn

from regard.contract.card import Card, Certificate, Comparison
from regard.contract.digest import sha256
from regard.contract.preprocess import Pixels
from regard.errors import ExportError, InvalidInput
from regard.export.runners import CannotRun, GraphRunner, Outputs, run_network
from regard.export.trials import Shape, image_batch, trial_shapes
from regard.models.explain import Explain

# of the largest reference value: float32 sums in another order differ by 1e-7 to 1e-5, a wrong weight by far
# more
TOLERANCE = 1e-4
NAMES: dict[Explain, str] = {
    "weights": "attention maps",
    "cam": "class activation maps",
    "gradcam": "Grad-CAM by autograd",
}
# a pixel on the border of two classes may fall either way
MIN_AGREEMENT = {"classification": 1.0, "segmentation": 0.999}


class ParityError(ExportError):
    """A graph that departs from its network at a shape. `certificates` say by how much; none where ONNX
    Runtime could not run it.
    """

    def __init__(self, message: str, *, shape: Shape, certificates: tuple[Certificate, ...] = ()) -> None:
        super().__init__(message)
        self.shape = shape
        self.certificates = certificates


@dataclass(frozen=True)
class Trial:
    """Both sides' outputs for one shape."""

    shape: Shape
    reference: Outputs
    candidate: Outputs


def certify(
    network: nn.Module,
    card: Card,
    model: Path,
    *,
    images: Sequence[Pixels],
    images_from: str,
    explain: Explain | None = None,
) -> tuple[Certificate, ...]:
    """Prove that a served graph gives its network's answers, and explanation where it has one.

    Args:
        network: the reference, in evaluation mode.
        card: its Card.
        model: the candidate, a file.
        images: real images of any size.
        images_from: where they come from, for the record.
        explain: the explanation that the graph gives.

    Returns:
        The certificate of the scores, and in an explain export another of its maps. Both have passed.

    Raises:
        ParityError: the graph departs from the network, or stops at one of the shapes.
        ExportError: the graph cannot be loaded.
        InvalidInput: no images.
    """
    if not images:
        raise InvalidInput("a certificate needs at least one image")
    runner = GraphRunner(onnx.load(model), card)
    trials = []
    for shape in trial_shapes(card.input):
        batch = image_batch(images, shape, card.input)
        try:
            trials.append(Trial(shape, run_network(network, card, batch, explain=explain), runner.run(batch)))
        except CannotRun as error:
            raise ParityError(f"the graph of {card.name} stops at {shape}: {error}", shape=shape) from None
    candidate = (
        f"ONNX Runtime {onnxruntime.__version__} on the CPU, model.onnx of SHA-256 {sha256(model)[:12]}"
    )
    certificates = [_of_scores(trials, card, candidate, images_from)]
    if explain is not None:
        certificates.append(_of_maps(trials, NAMES[explain], candidate, images_from))
    for certificate in certificates:
        if not certificate.passed:
            raise _failure(certificate, tuple(certificates), card)
    return tuple(certificates)


def _of_scores(trials: Sequence[Trial], card: Card, candidate: str, images_from: str) -> Certificate:
    comparisons = []
    for trial in trials:
        reference, answer = trial.reference, trial.candidate.answer
        error = largest_difference(reference.scores, trial.candidate.scores)
        if card.task == "classification":  # probabilities are scores as well, held to the same bound
            error = float(np.maximum(error, largest_difference(reference.answer, answer)))
            agreement = _equal_fraction(reference.answer.argmax(axis=1), answer.argmax(axis=1))
        else:
            agreement = _equal_fraction(reference.answer, answer)
        comparisons.append(_comparison(trials, trial, error, relative(error, reference.scores), agreement))
    return Certificate(
        reference=f"PyTorch {torch.__version__}",
        candidate=candidate,
        images=images_from,
        max_error=TOLERANCE * max(_largest(trial.reference.scores) for trial in trials),
        min_agreement=MIN_AGREEMENT[card.task],
        comparisons=tuple(comparisons),
    )


def _of_maps(trials: Sequence[Trial], what: str, candidate: str, images_from: str) -> Certificate:
    """Agreement is the fraction of maps that are within TOLERANCE of their own largest value: the maps'
    scales differ.
    """
    comparisons = []
    for trial in trials:
        maps = trial.reference.maps
        errors = {name: largest_difference(maps[name], trial.candidate.maps[name]) for name in maps}
        relatives = [relative(error, maps[name]) for name, error in errors.items()]
        agreement = float(np.mean([error <= TOLERANCE for error in relatives]))
        comparisons.append(
            _comparison(
                trials, trial, float(np.max(list(errors.values()))), float(np.max(relatives)), agreement
            )
        )
    return Certificate(
        reference=f"{what} of PyTorch {torch.__version__}",
        candidate=candidate,
        images=images_from,
        max_error=TOLERANCE
        * max(_largest(values) for trial in trials for values in trial.reference.maps.values()),
        min_agreement=1.0,
        comparisons=tuple(comparisons),
    )


def _comparison(
    trials: Sequence[Trial], trial: Trial, error: float, relative_error: float, agreement: float
) -> Comparison:
    return Comparison(
        batch=trial.shape.batch,
        height=trial.shape.height,
        width=trial.shape.width,
        traced=trial is trials[0],
        max_error=error,
        relative_error=relative_error,
        agreement=agreement,
    )


def _failure(certificate: Certificate, certificates: tuple[Certificate, ...], card: Card) -> ParityError:
    worst = next(
        c for c in certificate.comparisons if not certificate.model_copy(update={"comparisons": (c,)}).passed
    )
    shape = Shape(worst.batch, worst.height, worst.width)
    message = (
        f"the graph of {card.name} departs from {certificate.reference} at {shape}: error "
        f"{worst.max_error:.3g}, at most {certificate.max_error:.3g} passes; agreement "
        f"{worst.agreement:.2%}, at least {certificate.min_agreement:.2%} passes"
    )
    return ParityError(message, shape=shape, certificates=certificates)


def largest_difference(
    reference: npt.NDArray[np.float32 | np.uint8], candidate: npt.NDArray[np.float32 | np.uint8]
) -> float:
    """Largest absolute difference; NaN where either holds NaN, infinity where the shapes differ."""
    if reference.shape != candidate.shape:
        return float("inf")
    return float(np.abs(reference.astype(np.float64) - candidate).max())


def relative(error: float, reference: npt.NDArray[np.float32]) -> float:
    """An absolute error over the largest reference value; as it is where all of them are 0."""
    return error / (_largest(reference) or 1.0)


def _largest(values: npt.NDArray[np.float32]) -> float:
    return float(np.abs(values).max())


def _equal_fraction(reference: npt.NDArray[np.generic], candidate: npt.NDArray[np.generic]) -> float:
    return float((reference == candidate).mean()) if reference.shape == candidate.shape else 0.0
