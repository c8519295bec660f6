"""Motion that is made up: the same from the same seed, smooth but at the edges of what moves by itself."""

import torch

from regard.models.training.motion import made_up_motion

SIZE = (48, 64)


def motion(seed: int, count: int = 16) -> torch.Tensor:
    return made_up_motion(count, SIZE, torch.Generator().manual_seed(seed))


def test_a_seed_gives_one_motion() -> None:
    assert motion(0).shape == (16, 2, *SIZE)
    assert torch.equal(motion(0), motion(0))
    assert not torch.equal(motion(0), motion(1))


def test_each_is_of_its_own_strength() -> None:
    lengths = motion(0).norm(dim=1).mean(dim=(1, 2))
    assert lengths.max() > 4 * lengths.min()


def test_only_what_moves_by_itself_has_an_edge() -> None:
    steps = motion(0).diff(dim=3).norm(dim=1)  # from each place to the next on its right
    edges = steps > 2
    assert 0 < edges.float().mean() < 0.05
    assert steps[~edges].mean() < 0.5
