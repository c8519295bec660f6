"""What a training leaves: the metrics of the Card are those of the very weights beside it."""

from pathlib import Path

import torch
from torch import nn

from regard.contract.answers import Classes
from regard.contract.card import Card, Origin
from regard.contract.digest import sha256
from regard.contract.image_input import ImageInput
from regard.contract.reading import card_from_file
from regard.models.checkpoint import read_state_dict
from regard.models.training.ship import ship

THIRD = torch.tensor(1 / 3)


def test_what_is_measured_is_what_was_stored(tmp_path: Path) -> None:
    network = nn.Linear(1, 1, bias=False).train()
    nn.init.constant_(network.weight, THIRD.item())
    card = Card(
        name="third",
        inputs=(ImageInput(height=8, width=8, resize="stretch"),),
        answer=Classes(labels=("yes", "no")),
        origin=Origin(builder="resnet18", metrics={"of_others": 0.5}),
    )

    def measure(stored: nn.Module) -> dict[str, float]:
        assert not stored.training
        return {"weight": next(stored.parameters()).item()}

    shipped = ship(card, network, measure, tmp_path / "new")
    path = tmp_path / "new" / "third.safetensors"
    assert shipped.origin.metrics == {"weight": THIRD.half().item(), "of_others": 0.5}
    assert shipped.origin.metrics["weight"] != THIRD.item()
    assert read_state_dict(path)["weight"].dtype == torch.float16
    assert shipped.origin.weights_sha256 == sha256(path)
    assert shipped.tools == {"torch": torch.__version__}
    assert card_from_file(tmp_path / "new" / "third.json") == shipped
