"""Networks that are traced by operators answer as they do otherwise, and afterwards are as before."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.export.ops.replacement import REPLACED, replacing
from regard.export.ops_variant import _Called
from regard.models.attention.criss_cross import CrissCrossAttention
from regard.models.attention.local_window import LocalSelfAttention
from regard.models.attention.spatial_transformer import spatial_transformer
from regard.models.parts.crop import crop
from regard.models.parts.footprint_attention import PairwiseAttention, PatchwiseAttention

X = torch.randn(2, 8, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
BOX = torch.tensor([[[0.5, 1.0, 4.0, 5.5]]])
SMALL = {"r1": 1, "r2": 2, "share": 2}


def answers(module: nn.Module) -> Callable[[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        nn.init.normal_(parameter, generator=generator)
    return module.double().eval()


@pytest.mark.parametrize(
    ("function", "operators"),
    [
        (answers(PairwiseAttention(8, 3, **SMALL)), {"regard.LocalAttention"}),
        (answers(PatchwiseAttention(8, 5, **SMALL)), {"regard.LocalAttention"}),
        (
            answers(LocalSelfAttention(8, 3, reduction=2)),
            {"regard.LocalWeights", "regard.LocalAttention"},
        ),
        (
            answers(LocalSelfAttention(8, 9, reduction=2)),  # reaches beyond the map
            {"regard.LocalWeights", "regard.LocalAttention"},
        ),
        (answers(CrissCrossAttention(8, 2)), {"regard.CrissCross"}),
        (answers(spatial_transformer(8, "projective")), {"regard.Warp"}),
        (lambda x: crop(x, BOX, (3, 4)), {"regard.Warp"}),
        (lambda x: F.grid_sample(x, x[:, :2].permute(0, 2, 3, 1), align_corners=False), {"regard.Warp"}),
    ],
    ids=[
        "pairwise",
        "patchwise",
        "window",
        "wide window",
        "criss-cross",
        "transformer",
        "crop",
        "grid_sample",
    ],
)
def test_what_an_operator_stands_for_answers_the_same(
    function: Callable[[Tensor], Tensor], operators: set[str]
) -> None:
    with torch.no_grad():
        expected = function(X)
        with replacing(), _Called() as called:
            found = function(X)
    assert called.operators == operators
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.grid_sample(x, x[:, :2].permute(0, 2, 3, 1), mode="nearest", align_corners=True),
        lambda x: F.grid_sample(
            x[:, :, None], x[:, None, :, :3].transpose(3, 4)[..., :3], align_corners=True
        ),
    ],
    ids=["nearest", "volumes"],
)
def test_what_no_operator_computes_stays(function: Callable[[Tensor], Tensor]) -> None:
    expected = function(X)
    with replacing(), _Called() as called:
        assert torch.equal(function(X), expected)
    assert called.operators == set()


def test_afterwards_networks_are_as_before_whatever_happened() -> None:
    before = [getattr(owner, name) for owner, name, _ in REPLACED]
    with pytest.raises(TypeError), replacing():
        F.grid_sample()
    assert [getattr(owner, name) for owner, name, _ in REPLACED] == before
