"""Networks as their users write them: sizes, outputs and precisions beside the plain case."""

from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from tests.export.conftest import CLASSES, seeded, tiny_card
from torch import Tensor, nn

from regard.contract.card import Card
from regard.contract.preprocess import Pixels
from regard.errors import ExportError, InvalidInput
from regard.export.onnx_export import export_onnx
from regard.export.plain import plain
from regard.export.proof.comparison import ParityError
from regard.export.proof.network_runner import normalized
from regard.models.scores import scores_in


class Convolution(nn.Module):
    """Scores (B, CLASSES, H, W) of a 3 x 3 neighbourhood."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, CLASSES, 3, padding=1)

    def forward(self, x: Tensor) -> Any:
        return self.conv(x)


class PaddedInside(Convolution):
    """Pads to a multiple of 4, runs at a quarter, and cuts back."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        down, right = (height + 3) // 4 * 4 - height, (width + 3) // 4 * 4 - width
        y = F.max_pool2d(self.conv(F.pad(x, (0, right, 0, down))), 4)
        return F.interpolate(y, scale_factor=4, mode="bilinear")[..., :height, :width]


class Quarter(Convolution):
    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(self.conv(x), 4, ceil_mode=True)


class RoundedUp(Quarter):
    """28 x 32 for 25 x 29."""

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(super().forward(x), scale_factor=4)


class Skipping(Convolution):
    """Stops where 4 does not divide the size."""

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + F.interpolate(F.max_pool2d(self.conv(x), 4), scale_factor=4)


def card_with(*, answer: dict[str, Any] | None = None, image: dict[str, Any] | None = None) -> Card:
    card = tiny_card()
    return card.updated(
        answer=card.answer.model_dump() | (answer or {}), inputs=(card.input.model_dump() | (image or {}),)
    )


def served(artifact: Path, batch: Pixels) -> np.ndarray:
    (answer,) = onnxruntime.InferenceSession(artifact / "model.onnx").run(None, {"image": batch})
    return np.asarray(answer)


def noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (2, height, width, 3), np.uint8)


def test_arithmetic_on_sizes_is_judged_by_running(tmp_path: Path, images: list[Pixels]) -> None:
    network = seeded(PaddedInside())
    artifact = export_onnx(network, tiny_card(), tmp_path / "out", images=images)
    batch = noise(65, 50)
    with torch.inference_mode():
        expected = network(normalized(batch, artifact.card)).argmax(dim=1).numpy()
    assert (served(artifact.folder, batch) == expected).mean() > 0.999


def test_a_declared_multiple_pads_ones_own_network(tmp_path: Path, images: list[Pixels]) -> None:
    card = card_with(image={"pad_to": 4})
    artifact = export_onnx(seeded(Skipping()), card, tmp_path / "out", images=images)
    assert served(artifact.folder, noise(65, 50)).shape == (2, 65, 50)


@pytest.mark.parametrize(
    ("network", "message"),
    [(RoundedUp, "28 x 32 for 25 x 29: pad inside"), (Skipping, "stops at batch 6 of 25 x 29.*; pad inside")],
)
def test_a_network_of_multiples_is_told_which(
    network: type[nn.Module], message: str, tmp_path: Path, images: list[Pixels]
) -> None:
    with pytest.raises(InvalidInput, match=f"{message} the network, or declare pad_to=4 in the Card's Image"):
        export_onnx(seeded(network()), tiny_card(), tmp_path / "out", images=images)


@pytest.mark.parametrize(
    ("upsampling", "pad_to"),
    [(None, 1), ("bilinear_align_corners", 4), ("nearest", 1)],
)
def test_scores_of_a_fraction_of_the_size_are_resized_as_the_card_says(
    upsampling: str | None, pad_to: int, tmp_path: Path, images: list[Pixels]
) -> None:
    network = seeded(Quarter())
    card = card_with(answer={"upsampling": upsampling}, image={"pad_to": pad_to})
    artifact = export_onnx(network, card, tmp_path / "out", images=images)
    assert artifact.card.answer.upsampled_by == (upsampling or "bilinear")
    batch = noise(40, 36)
    how: dict[str | None, dict[str, Any]] = {
        None: {"mode": "bilinear", "align_corners": False},
        "bilinear_align_corners": {"mode": "bilinear", "align_corners": True},
        "nearest": {"mode": "nearest"},
    }
    with torch.inference_mode():
        scores = F.interpolate(network(normalized(batch, card)), size=(40, 36), **how[upsampling])
    assert (served(artifact.folder, batch) == scores.argmax(dim=1).numpy()).mean() > 0.999


def test_a_borderless_answer_is_not_taken_for_a_fraction(tmp_path: Path, images: list[Pixels]) -> None:
    class Valid(Convolution):
        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x)[..., 2:-2, 2:-2]

    with pytest.raises(InvalidInput, match="28 x 44 for 32 x 48: return scores of the image's size"):
        export_onnx(seeded(Valid()), tiny_card(), tmp_path / "out", images=images)


Named = namedtuple("Named", ["features", "logits"])
SCORES, OTHER = torch.zeros(1, CLASSES, 2, 2), torch.zeros(1, 7)


@pytest.mark.parametrize(
    "output",
    [
        SCORES,
        (SCORES,),
        [{"segmentation": SCORES}],
        {"out": SCORES, "aux": OTHER},
        SimpleNamespace(loss=None, logits=SCORES, hidden_states=(OTHER,)),
        {"loss": None, "whatever": SCORES},
        Named(OTHER, SCORES),
    ],
)
def test_the_scores_are_found(output: object) -> None:
    assert scores_in(output) is SCORES


@pytest.mark.parametrize(
    "output", [(SCORES, OTHER), {"out": SCORES, "logits": OTHER}, {"a": 1, "b": 2}, {}, 3]
)
def test_the_scores_are_never_guessed(output: object) -> None:
    with pytest.raises(ExportError, match="must return one tensor of logits.*wrap it in a module"):
        scores_in(output)


class Returning(Convolution):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"out": self.conv(x), "aux": self.conv(x)}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_exported_in_float32(
    dtype: torch.dtype, tmp_path: Path, images: list[Pixels]
) -> None:
    network = seeded(Returning().to(dtype))
    artifact = export_onnx(network, tiny_card(), tmp_path / "out", images=images)
    assert artifact.card.proven
    assert network.conv.weight.dtype == dtype  # it is the caller's


def test_a_compiled_network_is_taken_out() -> None:
    network = Convolution()
    assert plain(torch.compile(network, backend="eager")) is network


class Autocast(Convolution):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.conv(x).float()


class Halving(Convolution):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).half()


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            Autocast(),
            r"autocast makes it compute in bfloat16 at \S+test_own_networks\.py:\d+ `return self.conv",
        ),
        (Halving(), r"computes in float16 at \S+test_own_networks\.py:\d+ `return self.conv\(x\).half"),
    ],
)
def test_what_leaves_float32_is_refused(
    network: nn.Module, message: str, tmp_path: Path, images: list[Pixels]
) -> None:
    with pytest.raises(ExportError, match=message):
        export_onnx(seeded(network), tiny_card(), tmp_path / "out", images=images)


def test_a_script_module_is_refused(tmp_path: Path, images: list[Pixels]) -> None:
    with pytest.warns(DeprecationWarning, match=r"torch\.jit\.script"):
        network = torch.jit.script(seeded(Convolution()))
    with pytest.raises(ExportError, match="is a ScriptModule.*give the Python module"):
        export_onnx(network, tiny_card(), tmp_path / "out", images=images)


class WithInt(Convolution):
    def forward(self, x: Tensor) -> Tensor:
        height = int(x.shape[2])
        return self.conv(x) + torch.arange(height)[:, None] / height


class WithLinspace(Convolution):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + torch.linspace(-1, 1, x.shape[3])


class WithNumpy(Convolution):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + torch.from_numpy(np.arange(x.shape[3], dtype=np.float32))


class OutsideOfTorch(Convolution):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(torch.from_numpy(x.numpy() * 2))


class Cached(Convolution):
    ramp: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.ramp is None:
            self.ramp = torch.arange(x.shape[3]) / x.shape[3]
        return self.conv(x) + self.ramp


class Branching(Convolution):
    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        if x.shape[2] > 28:
            y = y * 2
        return y


@pytest.mark.parametrize(
    ("network", "line", "form"),
    [
        (WithInt, r"height = int\(x.shape\[2\]\)", r"from x.shape without int\(\)"),
        (WithLinspace, "torch.linspace", r"as a \+ torch.arange\(n\) \* \(b - a\) / \(n - 1\)"),
        (WithNumpy, "np.arange", "torch, not numpy"),
        (OutsideOfTorch, "x.numpy", "torch, not numpy"),
        (Cached, "self.ramp`", "from x.shape in each call"),
        (Branching, "if x.shape", "without a branch on a size"),
    ],
)
def test_a_size_made_constant_is_named_with_its_line(
    network: type[nn.Module], line: str, form: str, tmp_path: Path, images: list[Pixels]
) -> None:
    with pytest.raises(
        (ExportError, InvalidInput, ParityError), match=rf"test_own_networks\.py:\d+ `.*{line}.*{form}"
    ):
        export_onnx(seeded(network()), tiny_card(), tmp_path / "out", images=images)


class FollowingTheSize(Convolution):
    """The forms that the messages name."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        columns = -1 + torch.arange(width) * 2 / (width - 1)
        padded = F.pad(x, (0, -width % 4, 0, -height % 4))
        return self.conv(padded)[..., :height, :width] + columns / height**0.5


def test_the_forms_that_follow_the_size_do(tmp_path: Path, images: list[Pixels]) -> None:
    assert export_onnx(seeded(FollowingTheSize()), tiny_card(), tmp_path / "out", images=images).card.proven
