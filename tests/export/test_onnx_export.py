import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import ModelProto, numpy_helper
from tests.export.conftest import CLASSES, Exported, Pooled, TinyClassifier, TinySegmenter, seeded, tiny_card
from torch import Tensor, nn

from regard.contract.names import CARD_METADATA
from regard.contract.preprocess import Pixels
from regard.contract.reading import card_from_json
from regard.contract.whole_folder import draft_of
from regard.errors import ExportError, InvalidInput, RegardError
from regard.export import onnx_export
from regard.export.artifact import read_artifact
from regard.export.graph import tracing
from regard.export.graph.metadata import KEPT_METADATA
from regard.export.graph.opset import OPSET
from regard.export.graph.served_graph import Normalize
from regard.export.onnx_export import export_onnx
from regard.export.proof.comparison import ParityError
from regard.export.proof.network_runner import weights_sha256


def nothing_left(folder: Path) -> bool:
    return not folder.exists() and not draft_of(folder).exists()


def test_an_artifact_says_what_it_is(exported: Exported) -> None:
    artifact = read_artifact(exported.artifact.folder)
    assert artifact == exported.artifact
    names = sorted(path.name for path in artifact.folder.iterdir())
    assert names == ["card.json", "goldens", "manifest.json", "model.onnx"]
    assert {found.candidate_sha256 for found in artifact.card.certificates} == {artifact.sha256}
    assert {found.reference_sha256 for found in artifact.card.certificates} == {
        weights_sha256(exported.network)
    }
    model = onnx.load(artifact.model)
    onnx.checker.check_model(model, full_check=True)
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == OPSET
    inside = card_from_json(
        next(entry.value for entry in model.metadata_props if entry.key == CARD_METADATA), source="metadata"
    )
    assert inside == artifact.card.updated(certificates=())
    assert artifact.card.tools.keys() >= {"torch", "onnx", "onnxruntime"}


def test_inputs_and_outputs_are_dynamic_by_name(exported: Exported) -> None:
    graph = onnx.load(exported.artifact.model).graph
    dims = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in [*graph.input, *graph.output]
    }
    assert dims == {
        "image": ["batch", "height", "width", 3],
        "label_map": ["batch", "height", "width"],
        "attention_gate": ["batch", 8, 1, 1],
    }


def test_no_path_or_source_of_this_machine_is_left(exported: Exported) -> None:
    model = onnx.load(exported.artifact.model)
    assert {entry.key for node in model.graph.node for entry in node.metadata_props} <= set(KEPT_METADATA)
    assert str(Path(__file__).parent).encode() not in exported.artifact.model.read_bytes()


class Masked(nn.Module):
    """Attention whose padding mask hides every key of the darker images."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 8, 8)
        self.attention = nn.MultiheadAttention(8, 2)
        self.fc = nn.Linear(8, CLASSES)

    def hidden(self, x: Tensor) -> Tensor:
        return (x.mean(dim=(1, 2, 3)) < 0)[:, None]  # (B, 1)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.stem(x).flatten(2).permute(2, 0, 1)
        hidden = self.hidden(x).expand(-1, tokens.shape[0])
        attended, _ = self.attention(tokens, tokens, tokens, key_padding_mask=hidden, need_weights=False)
        return self.fc((attended + tokens).mean(dim=0))


def test_attention_that_sees_nothing_in_some_images(tmp_path: Path, images: list[Pixels]) -> None:
    network, card = seeded(Masked()), tiny_card("classification")
    fitted = torch.from_numpy(np.stack([card.input.fit(image) for image in images]))
    hidden = network.hidden(Normalize(card.input)(fitted))
    assert hidden.unique().tolist() == [False, True], "the samples must meet both cases"
    assert export_onnx(network, card, tmp_path / "out", images=images).card.certificates


def test_a_classifier_of_static_size(tmp_path: Path, images: list[Pixels]) -> None:
    stages: list[str] = []
    artifact = export_onnx(
        seeded(TinyClassifier()),
        tiny_card("classification"),
        tmp_path / "out",
        images=images,
        report=stages.append,
    )
    trials = [f"{turn} of 3, batch {batch} of 32 x 48" for turn, batch in enumerate((2, 1, 6), 1)]
    assert stages == [
        "checking the network",
        "tracing",
        "translating",
        "writing the draft",
        *(f"asking the reference {trial}" for trial in trials),
        *(f"proving {trial}" for trial in trials),
        "making the goldens",
        "putting it in place",
    ]
    assert read_artifact(tmp_path / "out") == artifact
    assert [comparison.agreement for comparison in artifact.card.certificates[0].comparisons] == [1, 1, 1]


def test_pooling_pyramids_are_exact_at_any_size(tmp_path: Path, images: list[Pixels]) -> None:
    artifact = export_onnx(seeded(Pooled(1, 2, 3)), tiny_card(), tmp_path / "out", images=images)
    assert max(comparison.relative_error for comparison in artifact.card.certificates[0].comparisons) < 1e-5


def test_a_baked_in_pooling_is_caught_and_named(
    tmp_path: Path, images: list[Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exporter's own translation keeps the traced size without a word: 4 bins of 32 x 48 are one
    AveragePool of 8 x 12.
    """
    monkeypatch.setattr(tracing, "TRANSLATIONS", {})
    target = tmp_path / "out"
    with pytest.raises(
        ParityError, match=r"First departing layer: pools\.1 \(AdaptiveAvgPool2d\).*draft is kept in"
    ) as caught:
        export_onnx(seeded(Pooled(1, 4)), tiny_card(), target, images=images)
    traced, *others = caught.value.certificates[0].comparisons
    assert traced.relative_error < 1e-5
    assert min(comparison.relative_error for comparison in others) > 1e-3
    assert not target.exists()
    assert {path.name for path in draft_of(target).iterdir()} == {"card.json", "model.onnx"}


class Switching(nn.Module):
    """Does what the pixels say: not traceable. They never say so: an answer would depend on others."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x if x.max() < 100 else -x)


class FixedSize(Switching):
    """Right for 32 x 48 only."""

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.conv(x[:, :, ::2, ::2]), size=(32, 48))


class FixedReshape(Switching):
    """Right for batches of any size, but 32 x 48 only in PyTorch too: tracing makes it a constant."""

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.reshape(-1, 3, 32 * 48).reshape(-1, 3, 32, 48))


class ThroughNumpy(Switching):
    """Leaves PyTorch: tracing sees a constant."""

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(torch.from_numpy(np.abs(x.numpy())))


@pytest.mark.parametrize("network", [Switching, FixedSize, FixedReshape, ThroughNumpy])
def test_what_cannot_follow_its_input_is_never_certified(
    network: type[nn.Module], tmp_path: Path, images: list[Pixels]
) -> None:
    with pytest.raises(RegardError):
        export_onnx(seeded(network()), tiny_card(), tmp_path / "out", images=images)
    assert not (tmp_path / "out").exists()


def test_an_untraceable_line_is_named(
    tmp_path: Path, images: list[Pixels], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ExportError, match=r"cannot be traced: .*test_onnx_export\.py:\d+"):
        export_onnx(seeded(Switching()), tiny_card(), tmp_path / "out", images=images)
    assert nothing_left(tmp_path / "out")
    assert capfd.readouterr() == ("", "")


def test_an_operator_without_translation_is_named(tmp_path: Path, images: list[Pixels]) -> None:
    class Bessel(Switching):
        def forward(self, x: Tensor) -> Tensor:
            return torch.special.bessel_j0(self.conv(x))

    with pytest.raises(ExportError, match="cannot be translated to ONNX: .*bessel_j0"):
        export_onnx(seeded(Bessel()), tiny_card(), tmp_path / "out", images=images)


def broken(model: ModelProto) -> ModelProto:
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "network.classifier.weight")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * 1.5, tensor.name))
    return model


def test_a_failed_proof_keeps_the_draft_and_the_earlier_export(
    tmp_path: Path, exported: Exported, images: list[Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out"
    monkeypatch.setattr(onnx_export, "trace", lambda *_, **__: onnx.load(exported.artifact.model))
    earlier = export_onnx(exported.network, exported.card, target, images=images)
    monkeypatch.setattr(onnx_export, "trace", lambda *_, **__: broken(onnx.load(exported.artifact.model)))
    with pytest.raises(ParityError, match=r"First departing layer: classifier \(Conv2d\)"):
        export_onnx(exported.network, exported.card, target, images=images)
    assert read_artifact(target) == earlier
    assert draft_of(target).is_dir()

    monkeypatch.setattr(onnx_export, "trace", lambda *_, **__: onnx.load(exported.artifact.model))
    replaced = export_onnx(exported.network, exported.card.updated(name="renamed"), target, images=images)
    assert read_artifact(target) == replaced
    assert replaced.card.name == "renamed"
    assert not draft_of(target).exists()


@pytest.fixture
def ready(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> Exported:
    """For tests of the disk: tracing is skipped."""
    monkeypatch.setattr(onnx_export, "trace", lambda *_, **__: onnx.load(exported.artifact.model))
    return exported


def test_a_folder_with_something_else_in_it_is_left_alone(
    tmp_path: Path, ready: Exported, images: list[Pixels]
) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ExportError, match=r"holds thesis\.tex.*name a new folder"):
        export_onnx(ready.network, ready.card, tmp_path, images=images)
    assert (tmp_path / "thesis.tex").exists()


def test_a_file_in_the_place_of_the_folder(tmp_path: Path, ready: Exported, images: list[Pixels]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match="is a file"):
        export_onnx(ready.network, ready.card, tmp_path / "file", images=images)
    with pytest.raises(ExportError, match=r"cannot write .*Not a directory"):
        export_onnx(ready.network, ready.card, tmp_path / "file" / "below", images=images)


@contextmanager
def small_disk() -> Iterator[None]:
    """No file of this process may grow beyond 1 kB: the system answers as a full disk does, with another
    number.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    try:
        yield
    finally:  # before pytest writes anything: its own output may be a file
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk(tmp_path: Path, ready: Exported, images: list[Pixels]) -> None:
    with pytest.raises(ExportError, match="cannot write .*the disk is full"), small_disk():
        export_onnx(ready.network, ready.card, tmp_path / "out", images=images)
    assert nothing_left(tmp_path / "out")


class WithNaN(TinySegmenter):
    def __init__(self) -> None:
        super().__init__()
        self.classifier.bias.data[0] = torch.nan


class Overflowing(TinySegmenter):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * torch.inf


class Certain(TinyClassifier):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).softmax(dim=1)


class OfOneSize(TinySegmenter):
    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2:] != (64, 64):
            raise ValueError("only 64 x 64")
        return super().forward(x)


class Pair(TinySegmenter):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return super().forward(x), x


@pytest.mark.parametrize(
    ("network", "task", "labels", "message"),
    [
        (TinySegmenter().train(), "segmentation", CLASSES, "training mode .*call .eval"),
        (
            nn.Sequential(TinySegmenter(), nn.Dropout()).eval().append(nn.BatchNorm2d(CLASSES)),
            "segmentation",
            CLASSES,
            r"training mode \(2\)",
        ),
        (WithNaN().eval(), "segmentation", CLASSES, r"NaN or infinity in classifier\.bias"),
        (Overflowing().eval(), "segmentation", CLASSES, "answers NaN or infinity"),
        (Certain().eval(), "classification", CLASSES, "already returns probabilities"),
        (
            Pair().eval(),
            "segmentation",
            CLASSES,
            r"one tensor of logits.*returns tuple \(0 \(1, 5, 32, 48\), 1 \(1, 3, 32, 48\)\)",
        ),
        (
            TinySegmenter().eval(),
            "segmentation",
            7,
            r"contradicts the network: segmentation with 7 labels .*\(1, 5, 32, 48\)",
        ),
        (TinySegmenter().eval(), "classification", CLASSES, "contradicts the network: classification"),
        (
            OfOneSize().eval(),
            "segmentation",
            CLASSES,
            "does not take images of 32 x 48, the size of its Card: only 64 x 64",
        ),
    ],
)
def test_unfit_networks_are_refused_before_anything_is_written(
    network: nn.Module, task: str, labels: int, message: str, tmp_path: Path, images: list[Pixels]
) -> None:
    with pytest.raises((ExportError, InvalidInput), match=message):
        export_onnx(network, tiny_card(task, labels=labels), tmp_path / "out", images=images)
    assert nothing_left(tmp_path / "out")


def test_an_export_needs_images(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="needs real images"):
        export_onnx(seeded(TinySegmenter()), tiny_card(), tmp_path / "out", images=[])
