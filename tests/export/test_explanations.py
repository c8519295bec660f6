"""Explanations as outputs of the graph: proven, dynamic in the batch, and refused with the reason where there
is none.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tests.export.conftest import CLASSES, HEIGHT, WIDTH, TinyClassifier, TinySegmenter, seeded, tiny_card
from torch import Tensor, nn

from regard.contract.names import ACTIVATION_MAP
from regard.contract.preprocess import Pixels
from regard.errors import ExportError
from regard.export.artifact import Artifact
from regard.export.onnx_export import export_onnx
from regard.export.proof.comparison import ParityError
from regard.export.proof.network_runner import normalized
from regard.export.proof.references import NAMES, REFERENCES, by_autograd
from regard.models.catalog import build
from regard.models.classifiers import Classifier, GlobalAveragePool
from regard.models.explain import Explain
from regard.models.explain.explainers import EXPLAINERS
from regard.models.explain.grad_cam import grad_cam
from regard.models.explain.vjp import VJP


class Explained(Classifier):
    """A convolution of stride 4 and a head: (B, 3, HEIGHT, WIDTH) -> (B, CLASSES); features (B, 6, 8, 12)."""

    def __init__(self, *head: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 4, stride=4)
        self.head = nn.Sequential(*head)

    def feature_map(self, x: Tensor) -> Tensor:
        return self.stem(x).relu()

    def head_layers(self) -> list[nn.Module]:
        return [*self.head]


class Deep(Explained):
    """A head of convolutions, poolings that overlap and leave rows over, and two linear layers."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(6, 8, 3, stride=2, padding=1, groups=2),  # (8, 4, 6)
            nn.BatchNorm2d(8),
            nn.ReLU6(inplace=True),
            nn.MaxPool2d(3, 2, 1, ceil_mode=True),  # (8, 3, 4)
            nn.Tanh(),
            nn.AvgPool2d(2, 1, 1),  # (8, 4, 5)
            nn.MaxPool2d(2),  # (8, 2, 2)
            nn.AdaptiveAvgPool2d((2, 1)),
            nn.Flatten(),
            nn.Linear(16, 7),
            nn.LayerNorm(7),
            nn.Hardswish(),
            nn.Dropout(),
            nn.Linear(7, CLASSES),
        )


def pooled() -> Explained:
    return Explained(GlobalAveragePool(), nn.Linear(6, CLASSES))


def vivid(network: nn.Module) -> nn.Module:
    """In evaluation mode, with weights of both signs."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    return network.eval()


def exported(network: nn.Module, folder: Path, images: list[Pixels], explain: Explain) -> Artifact:
    return export_onnx(network, tiny_card("classification"), folder / "out", images=images, explain=explain)


def answers(artifact: Artifact, batch: Pixels) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(artifact.model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"image": batch}), strict=True))


def test_every_explanation_has_a_reference_and_a_name() -> None:
    assert EXPLAINERS.keys() == REFERENCES.keys() == {None, *NAMES}


def test_grad_cam_of_a_deep_head_is_autograds_in_the_graph(tmp_path: Path, images: list[Pixels]) -> None:
    network = vivid(Deep())
    artifact = exported(network, tmp_path, images, "gradcam")
    scores, maps = artifact.card.certificates
    assert maps.reference.startswith("Grad-CAM by autograd")
    assert max(comparison.relative_error for comparison in (*scores.comparisons, *maps.comparisons)) < 1e-5
    value = onnx.load(artifact.model).graph.output[1]
    assert [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim] == [
        "batch",
        HEIGHT,
        WIDTH,
    ]
    assert value.name == ACTIVATION_MAP

    # of an untraced size
    batch = np.random.default_rng(5).integers(0, 256, (5, HEIGHT, WIDTH, 3), dtype=np.uint8)
    found = answers(artifact, batch)[ACTIVATION_MAP]
    assert found.dtype == np.float32
    assert (found.reshape(5, -1).max(axis=1) > 0).sum() >= 2
    with torch.no_grad():
        logits, expected = by_autograd(network, normalized(batch, artifact.card))
    np.testing.assert_allclose(
        found, expected[ACTIVATION_MAP].numpy(), atol=1e-5 * float(expected[ACTIVATION_MAP].max())
    )
    assert len(set(logits.argmax(dim=1).tolist())) > 1, (
        "one class only: the choice of the class is not tested"
    )


def test_the_closed_form_in_the_graph(tmp_path: Path, images: list[Pixels]) -> None:
    network = vivid(pooled())
    artifact = exported(network, tmp_path, images, "cam")
    assert artifact.card.certificates[1].reference.startswith("class activation maps")
    batch = np.random.default_rng(5).integers(0, 256, (5, HEIGHT, WIDTH, 3), dtype=np.uint8)
    x = normalized(batch, artifact.card)
    with torch.no_grad():
        features, linear = network.feature_map(x), network.head[1]
        top = network(x).argmax(dim=1)
        naive = torch.stack(
            [
                (linear.weight[label][:, None, None] * maps).sum(dim=0)
                for label, maps in zip(top, features, strict=True)
            ]
        )
        expected = nn.functional.interpolate(naive[:, None], size=(HEIGHT, WIDTH), mode="bilinear")[
            :, 0
        ].numpy()
    np.testing.assert_allclose(
        answers(artifact, batch)[ACTIVATION_MAP], expected, atol=1e-5 * float(np.abs(expected).max())
    )


def test_a_wrong_product_is_caught(
    tmp_path: Path, images: list[Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = VJP[nn.MaxPool2d]
    monkeypatch.setitem(VJP, nn.MaxPool2d, lambda layer, step, g: 1.01 * right(layer, step, g))
    network = vivid(Explained(nn.MaxPool2d(4), nn.Flatten(), nn.Linear(36, CLASSES)))
    with pytest.raises(ParityError, match="departs from Grad-CAM by autograd") as caught:
        exported(network, tmp_path, images, "gradcam")
    scores, maps = caught.value.certificates
    assert scores.passed
    assert not maps.passed


def test_parts_that_are_not_the_network_are_caught(tmp_path: Path, images: list[Pixels]) -> None:
    class Scaled(Explained):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    with pytest.raises(ParityError, match="departs from PyTorch"):
        exported(vivid(Scaled(GlobalAveragePool(), nn.Linear(6, CLASSES))), tmp_path, images, "cam")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "explain"),
    [
        ("acol_resnet18", "gradcam"),
        ("mil_noisy_or_resnet18", "gradcam"),
        ("mil_attention_resnet18", "weights"),
    ],
)
def test_networks_of_the_catalog(name: str, explain: Explain, tmp_path: Path, images: list[Pixels]) -> None:
    torch.manual_seed(0)
    network = build(name, num_classes=CLASSES, width=16).eval()
    artifact = exported(network, tmp_path, images, explain)
    assert (
        max(comparison.relative_error for c in artifact.card.certificates for comparison in c.comparisons)
        < 2e-5
    )


@pytest.mark.parametrize(
    ("network", "task", "explain", "message"),
    [
        (TinySegmenter(), "segmentation", "cam", "TinySegmenter is no Classifier.*weights"),
        (TinySegmenter(), "segmentation", "gradcam", "TinySegmenter is no Classifier"),
        (
            TinyClassifier(),
            "classification",
            "cam",
            "TinyClassifier is no Classifier: .*feature map and a head",
        ),
        (TinyClassifier(), "classification", "weights", "TinyClassifier has nothing to explain"),
        (Deep(), "classification", "cam", r"the head of Deep is Conv2d, .*use gradcam"),
        (
            Explained(nn.Flatten(), nn.Linear(576, 3), nn.GELU(), nn.Linear(3, CLASSES)),
            "classification",
            "gradcam",
            r"Grad-CAM cannot go back through layer 2 of the head of Explained \(Flatten, Linear, GELU, "
            r"Linear\): .* for GELU",
        ),
    ],
)
def test_what_cannot_be_explained_is_refused_with_the_reason(
    network: nn.Module, task: str, explain: Explain, message: str, tmp_path: Path, images: list[Pixels]
) -> None:
    with pytest.raises(ExportError, match=f"^tiny cannot be explained by {explain}: {message}"):
        export_onnx(seeded(network), tiny_card(task), tmp_path / "out", images=images, explain=explain)
    assert not (tmp_path / "out").exists()


def test_the_reference_is_not_the_product_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the certificate would prove nothing."""
    network, x = vivid(Deep()), torch.randn(2, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        _, by_hand = grad_cam(network, x)
        monkeypatch.setattr("regard.models.explain.vjp.VJP", {})
        _, reference = by_autograd(network, x)
    torch.testing.assert_close(reference[ACTIVATION_MAP], by_hand, atol=1e-5, rtol=1e-5)
