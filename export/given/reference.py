"""A model as it was given, on its own: what the served graph around it is held against."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import Tensor

from regard.contract.card import Card
from regard.contract.names import IMAGE
from regard.contract.preprocess import Pixels
from regard.errors import InvalidInput
from regard.export.answer_size import UPSAMPLING
from regard.export.given.answer import GivenAnswer
from regard.export.given.model import GivenModel
from regard.export.proof.graph_runner import run_session
from regard.export.proof.network_runner import answered, normalized
from regard.export.proof.runner import Arrays
from regard.export.session import open_session
from regard.models.padding import resized


class GivenSession:
    """The file in ONNX Runtime.

    Raises:
        ExportError: ONNX Runtime does not take it.
    """

    def __init__(self, given: GivenModel, card: Card) -> None:
        self.given = given
        self.card = card
        self.session = open_session(
            str(given.path), name=str(given.path), operators=given.library and given.library.resolve()
        )

    def answer(self, batch: Pixels) -> npt.NDArray[Any]:
        """Its answer, as it is, to images (B, H, W, 3); a model of a fixed batch gets them in portions of
        that size, the last filled up.

        Raises:
            CannotRun: ONNX Runtime stops.
            InvalidInput: there is no answer for each image.
        """
        image = self.given.image
        x = normalized(batch, self.card)
        x = x.permute(0, 2, 3, 1) if image.channels_last else x
        images = np.ascontiguousarray(x.numpy(), dtype=image.dtype)
        portion = image.batch or len(images)
        return np.concatenate(
            [
                self._portion(images[start : start + portion], portion)
                for start in range(0, len(images), portion)
            ]
        )

    def _portion(self, images: npt.NDArray[Any], portion: int) -> npt.NDArray[Any]:
        filled = np.concatenate([images, np.repeat(images[-1:], portion - len(images), axis=0)])
        (answer,) = run_session(self.session, [self.given.answer], {self.given.image.name: filled})
        if len(np.atleast_1d(answer)) != portion:
            raise InvalidInput(
                f"{self.given.path} answers {portion} images with {answer.shape}: no answer for each image"
            )
        return answer[: len(images)]


class GivenRunner:
    """The file, its answers brought to the served form apart from the served graph."""

    def __init__(self, session: GivenSession, found: GivenAnswer) -> None:
        given = session.given
        self.session = session
        self.found = found
        self.name = f"{given.path.name} as given, in ONNX Runtime {onnxruntime.__version__}"
        self.sha256 = given.digest

    def run(self, inputs: Arrays) -> Arrays:
        """Scores, where the model gives any that are no probabilities, and the served answer.

        Raises:
            CannotRun: ONNX Runtime stops.
        """
        batch, answer = inputs[IMAGE], self.session.card.answer
        values = self.session.answer(batch)
        if self.found.kind == "labels":
            return {answer.tensor: values.reshape(batch.shape[:3])}
        scores = torch.from_numpy(values.astype(np.float32))
        if answer.kind == "classes":
            scores = scores.flatten(start_dim=1)
        else:
            scores = self._resized(scores, batch.shape[1:3])
        if self.found.kind == "probabilities":
            return {answer.tensor: answer.served(scores).numpy()}
        return answered(scores, answer)

    def _resized(self, scores: Tensor, size: Sequence[int]) -> Tensor:
        """Scores (B, K, H, W) of the image's size."""
        if self.found.classes_last:
            scores = scores.permute(0, 3, 1, 2)
        if not self.found.resize:
            return scores
        height, width = size
        return resized(scores, height, width, self.session.card.answer.upsampled_by or UPSAMPLING)
