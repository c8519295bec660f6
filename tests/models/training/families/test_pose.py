"""Generated figures have their joints where they are drawn, and the training learns what it says."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from regard.contract.reading import card_from_file
from regard.models.load import resolve
from regard.models.networks.multi_context_pose import MultiContextPose
from regard.models.parts.mean_field import MeanFieldAttention
from regard.models.parts.soft_argmax import soft_argmax
from regard.models.training.families import pose
from regard.models.training.families.figures import NAMES, SIDE, SKELETON, figure
from regard.models.weights_index import WEIGHTS


def drawn_figures(count: int = 40, seed: int = 0) -> list:
    random = np.random.default_rng(seed)
    return [figure(random) for _ in range(count)]


def test_figures_are_the_same_every_time_and_lie_within_the_image() -> None:
    for one, other in zip(drawn_figures(5), drawn_figures(5), strict=True):
        assert np.array_equal(one.pixels, other.pixels)
        assert np.array_equal(one.points, other.points)
    for each in drawn_figures():
        assert (each.pixels.shape, each.pixels.dtype) == ((SIDE, SIDE, 3), np.uint8)
        assert each.points.shape == (len(NAMES), 2)
        assert 0 < each.points.min() < each.points.max() < 1
        assert 0.1 < each.torso < 0.35


def test_a_joint_is_where_its_limb_is_drawn() -> None:
    """The left limbs are dark and the right ones light, whatever stands around them."""

    def shade(each: object, name: str) -> float:
        x, y = (each.points[NAMES.index(name)] * SIDE).astype(int)  # type: ignore[attr-defined]
        return float(each.pixels[y, x].mean())  # type: ignore[attr-defined]

    for part in ("elbow", "hand", "knee", "foot"):
        darker = [shade(each, f"left {part}") < shade(each, f"right {part}") for each in drawn_figures()]
        assert np.mean(darker) > 0.85, part


def test_the_skeleton_joins_every_joint() -> None:
    assert {name for pair in SKELETON for name in pair} == set(NAMES)
    assert len(SKELETON) == len(NAMES) - 1


def test_gaussians_lead_back_to_their_points() -> None:
    points = torch.rand(2, 11, 2, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    heat = pose.gaussians(points, 16)
    assert heat.shape == (2, 11, 16, 16)
    assert (soft_argmax(heat)[..., :2] - points).abs().max() < 0.4 / 16


class Knowing(nn.Module):
    """Answers the true joints, some of them moved by a part of the torso."""

    def __init__(self, torsos: float) -> None:
        super().__init__()
        _, self.points, torso = pose.drawn(pose.TESTED, np.random.default_rng(pose.HELD_OUT))
        self.points[:, 0, 0] += torsos * torso
        self.asked = 0

    def forward(self, x: Tensor) -> Tensor:
        self.asked += len(x)
        points = self.points[self.asked - len(x) : self.asked]
        return torch.cat([points, torch.ones(*points.shape[:2], 1)], dim=2)


@pytest.mark.parametrize(("torsos", "correct"), [(0.0, 1.0), (0.19, 1.0), (0.21, 10 / 11)])
def test_correct_points(torsos: float, correct: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pose, "TESTED", 40)
    assert pose.correct_points(Knowing(torsos))["pck_0.2"] == pytest.approx(correct)


def test_attention_begins_on_what_was_learned_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """With attention wide open everywhere the network answers as the one that it was made of."""
    torch.manual_seed(0)
    plain = MultiContextPose(**pose.OPTIONS, attention=False).eval()
    last = plain.stacks[-1].heat
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    nn.init.zeros_(last.bias)
    network = pose.with_attention(plain).eval()
    for module in network.modules():
        if isinstance(module, MeanFieldAttention):
            nn.init.constant_(module.pairwise.get_parameter("bias"), 100.0)
    x = torch.randn(1, 3, SIDE, SIDE)
    assert torch.allclose(network(x), plain(x), atol=1e-5)


def test_training_leaves_weights_and_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"BATCH": 2, "BATCHES": 1, "TESTED": 4}.items():
        monkeypatch.setattr(pose, name, value)
    card = pose.main(tmp_path, epochs=1, further=1)
    assert card == card_from_file(tmp_path / f"{pose.NAME}.json")
    assert card.origin.metrics.keys() == {"pck_0.2", "median_pixels", "pck_0.2_without_attention"}
    network, again = resolve("multi_context_pose", weights=str(tmp_path / f"{pose.NAME}.safetensors"))
    assert again == card
    assert network(torch.zeros(1, 3, SIDE, SIDE)).shape == (1, len(NAMES), 3)


def test_the_shipped_weights_are_as_good_as_their_card_says(monkeypatch: pytest.MonkeyPatch) -> None:
    card = card_from_file(WEIGHTS / f"{pose.NAME}.json")
    network, _ = resolve("multi_context_pose", weights="figures")
    monkeypatch.setattr(pose, "TESTED", 100)
    with torch.inference_mode():
        found = pose.correct_points(network)
    assert found["pck_0.2"] == pytest.approx(card.origin.metrics["pck_0.2"], abs=0.04)
