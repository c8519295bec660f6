"""What stands around a model that others exported: the served graph's own modules, exported as it is.

prologue   image uint8 (B, H, W, 3) -> (image / 255 - mean) / std, in the model's own layout and type
epilogue   its answer -> scores of the image's size -> probabilities or label map
"""

from collections.abc import Callable

import numpy as np
import torch
from onnx import GraphProto, TensorProto, compose
from onnx.utils import Extractor
from torch import Tensor, nn

from regard.contract.answers import Answer
from regard.contract.answers.kind import AnswerKind, Upsampling
from regard.contract.card import Card
from regard.contract.names import IMAGE
from regard.contract.pixels_input import PixelsInput
from regard.export.answer_size import UPSAMPLING
from regard.export.given.answer import GivenAnswer
from regard.export.given.image import GivenImage
from regard.export.given.model import GivenModel
from regard.export.graph.opset import opset_of
from regard.export.graph.served_graph import Normalize
from regard.export.graph.signature import image_dims
from regard.export.graph.tracing import Input, to_onnx
from regard.export.proof.trial import TRACED
from regard.models.padding import resized

PREFIX = "served/"  # of every name inside
TAKEN = f"{PREFIX}taken"  # the prologue's output: what the model takes
ANSWER, TAKEN_AGAIN = f"{PREFIX}answer", f"{PREFIX}taken_again"  # the epilogue's inputs
DTYPES: dict[int, torch.dtype] = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.DOUBLE: torch.float64,
}


class Prologue(nn.Module):
    """What a model takes, of the pixels that a client sends.

    Shape: uint8 (B, H, W, 3) -> (B, 3, H, W), or (B, H, W, 3) for a model with channels last.
    """

    def __init__(self, contract: PixelsInput, image: GivenImage) -> None:
        super().__init__()
        self.normalize = Normalize(contract)
        self.channels_last = image.channels_last
        self.dtype = DTYPES[image.elem_type]

    def forward(self, image: Tensor) -> Tensor:
        x: Tensor = self.normalize(image)
        return (x.permute(0, 2, 3, 1) if self.channels_last else x).to(self.dtype)


class OfClasses(nn.Module):
    """What is served of a classifier's answer.

    Shape: logits or probabilities (B, K), with or without axes of length 1 behind -> probabilities (B, K).
    """

    def __init__(self, found: GivenAnswer, answer: AnswerKind) -> None:
        super().__init__()
        self.serve = serving(found, answer)

    def forward(self, given: Tensor, x: Tensor) -> Tensor:
        return self.serve(given.flatten(start_dim=1).float())


class OfScores(nn.Module):
    """What is served of a segmenter's scores, which are resized where they have another size than the image.

    Shape: (B, K, h, w) or (B, h, w, K), and the model's input -> label map (B, H, W).
    """

    def __init__(self, found: GivenAnswer, image: GivenImage, answer: AnswerKind) -> None:
        super().__init__()
        self.found = found
        self.rows = image.rows
        self.upsampling: Upsampling = answer.upsampled_by or UPSAMPLING
        self.serve = serving(found, answer)

    def forward(self, given: Tensor, x: Tensor) -> Tensor:
        scores = (given.permute(0, 3, 1, 2) if self.found.classes_last else given).float()
        if self.found.resize:
            height, width = x.shape[self.rows : self.rows + 2]
            scores = resized(scores, height, width, self.upsampling)
        return self.serve(scores)


class OfLabels(nn.Module):
    """What is served of a segmenter's labels.

    Shape: (B, H, W) or (B, 1, H, W), integers -> label map (B, H, W).
    """

    def forward(self, given: Tensor, x: Tensor) -> Tensor:
        labels = given.squeeze(1) if given.ndim == 4 else given
        return labels.float().byte()  # TensorRT makes uint8 of floating-point numbers alone


class Frame(nn.Module):
    """Prologue and epilogue side by side.

    Shape: the pixels, the model's answer and its input -> the model's input and what is served.
    """

    def __init__(self, prologue: nn.Module, epilogue: nn.Module) -> None:
        super().__init__()
        self.prologue = prologue
        self.epilogue = epilogue

    def forward(self, image: Tensor, given: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.prologue(image), self.epilogue(given, x)


def frame(
    given: GivenModel, found: GivenAnswer, card: Card, report: Callable[[str], None]
) -> tuple[GraphProto, GraphProto]:
    """The prologue, from IMAGE to TAKEN, and the epilogue, from ANSWER and TAKEN_AGAIN to the served answer,
    both in the model's opset.

    Raises:
        ExportError: that opset lacks an operator of theirs.
    """
    contract, image = card.input, given.image
    prologue = Prologue(contract, image)
    pixels = torch.zeros(TRACED, contract.height, contract.width, contract.channels, dtype=torch.uint8)
    answer = torch.from_numpy(np.zeros(found.shape, dtype=found.dtype))
    answer_dims = {0: "batch"}
    if card.answer.kind == "label_map":
        answer_dims = image_dims(contract, rows=1 if found.classes_last or answer.ndim == 3 else 2)
    inputs = {
        IMAGE: Input(pixels, image_dims(contract)),
        ANSWER: Input(answer, answer_dims),
        TAKEN_AGAIN: Input(prologue(pixels), image_dims(contract, rows=image.rows)),
    }
    # the exporter takes a second to start: both go through it at once
    model = to_onnx(
        Frame(prologue, _epilogue(found, image, card.answer)).eval(),
        inputs,
        [TAKEN, card.answer.tensor],
        opset=opset_of(given.proto),
        name=f"the frame of {given.path}",
        report=lambda stage: report(f"{stage} what stands around it"),
    )
    halves = Extractor(compose.add_prefix(model, PREFIX, rename_inputs=False, rename_outputs=False))
    return (
        halves.extract_model([IMAGE], [TAKEN]).graph,
        halves.extract_model([ANSWER, TAKEN_AGAIN], [card.answer.tensor]).graph,
    )


def serving(found: GivenAnswer, answer: AnswerKind) -> Callable[[Tensor], Tensor]:
    """What makes the served answer of a tensor of the kind that was found."""
    return answer.served if found.kind == "probabilities" else answer.append


def _epilogue(found: GivenAnswer, image: GivenImage, answer: Answer) -> nn.Module:
    if answer.kind == "classes":
        return OfClasses(found, answer)
    return OfLabels() if found.kind == "labels" else OfScores(found, image, answer)
