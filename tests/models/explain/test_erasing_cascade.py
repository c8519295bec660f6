"""A cascade of classifiers, each of which sees what those before it left."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from regard.models.classifiers import Classifier, GlobalAveragePool
from regard.models.explain.erasing_cascade import mine


class Bright(Classifier):
    """Class c is where channel c is bright; remembers the images it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.fc = GlobalAveragePool(), nn.Linear(3, 3, bias=False)
        self.fc.weight.data = torch.eye(3)
        self.seen: list[Tensor] = []

    def feature_map(self, x: Tensor) -> Tensor:
        self.seen.append(x.clone())
        return x

    def head_layers(self) -> list[nn.Module]:
        return [self.pool, self.fc]


def test_a_cascade_finds_one_part_after_the_other() -> None:
    x = torch.zeros(1, 3, 8, 8)
    x[0, 1, 1:3, 1:3], x[0, 1, 5:7, 5:7], x[0, 1, 0, 7], x[0, 0] = 10, 6, 3, 20
    cascade = [Bright().eval() for _ in range(3)]
    found = mine(cascade, x, torch.tensor([1]))
    assert found.shape == (3, 1, 8, 8)
    # each part in its turn; the class asked for, not the likeliest
    assert [step.sum().item() for step in found] == [4, 8, 9]
    for earlier, later in pairwise(found):
        assert (later | ~earlier).all(), "the union shrank"
    for step, classifier in enumerate(cascade[1:], start=1):
        saw = classifier.seen[0]
        assert not saw.permute(0, 2, 3, 1)[found[step - 1]].any(), "it saw what was erased"
        assert torch.equal(saw.permute(0, 2, 3, 1)[~found[step - 1]], x.permute(0, 2, 3, 1)[~found[step - 1]])


def test_the_fraction_is_of_the_maps_range() -> None:
    x = torch.zeros(1, 3, 1, 11)
    x[0, 0, 0] = torch.arange(11.0)
    assert mine([Bright().eval()], x, torch.tensor([0]), fraction=0.35).sum() == 4  # 7, 8, 9, 10
    with pytest.raises(ValueError, match="fraction must lie between 0 and 1, got 1"):
        mine([Bright().eval()], x, torch.tensor([0]), fraction=1)
