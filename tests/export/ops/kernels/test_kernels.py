"""The kernels against the operators' bodies and against PyTorch, in ONNX Runtime."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.export.ops.kernels.cases import CASES, TYPES, Case, inputs, run, session, wild_grid

from regard.export.ops import OPERATORS
from regard.export.ops.kernels import library

OPERATOR = {operator.name: operator for operator in OPERATORS}
# of the largest number: float32 sums in another order; the bodies round to float16 after each node
TOLERANCE = {"float32": 5e-6, "float16": 1e-2}
INSTRUCTIONS = ("avx512", "avx2")


@pytest.fixture(scope="module")
def kernels() -> Path:
    reasons: list[str] = []
    built = library(report=reasons.append)
    if built is None:
        pytest.skip(reasons[0])
    return built


@pytest.fixture(params=INSTRUCTIONS)
def instructions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the kernels are compiled for; where the processor has less it is the same as the next."""
    monkeypatch.setenv("REGARD_KERNELS", request.param)
    return str(request.param)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.usefixtures("instructions")
def test_a_kernel_computes_what_the_body_does(case: Case, dtype: str, kernels: Path) -> None:
    arrays = inputs(case, dtype)
    expected = run(session(case, dtype, None, OPERATOR[case.operator].body), arrays)
    got = run(session(case, dtype, kernels, OPERATOR[case.operator].body), arrays)
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    scale = np.abs(expected).max(initial=1)
    assert np.abs(got.astype(np.float64) - expected).max(initial=0) <= TOLERANCE[dtype] * scale


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_kernel_computes_what_the_function_does_in_double(case: Case, dtype: str, kernels: Path) -> None:
    arrays = inputs(case, dtype)
    doubles = [torch.from_numpy(array.astype(np.float64)) for array in arrays]
    attributes = [
        bool(value) if name == "align_corners" else value for name, value in case.attributes.items()
    ]
    expected = OPERATOR[case.operator].function(*doubles, *attributes).numpy()
    got = run(session(case, dtype, kernels), arrays)
    scale = np.abs(expected).max(initial=1)
    rounding = {"float32": 5e-6, "float16": 1e-3}[dtype]  # once, at the end
    assert np.abs(got.astype(np.float64) - expected).max(initial=0) <= rounding * scale


@pytest.mark.parametrize("case", [CASES[4], CASES[6], CASES[13]], ids=str)  # one of each with sums
def test_the_kernel_runs_where_both_are_there(case: Case, kernels: Path) -> None:
    arrays, body = inputs(case, "float16"), OPERATOR[case.operator].body
    both = run(session(case, "float16", kernels, body), arrays)
    assert np.array_equal(both, run(session(case, "float16", kernels), arrays))
    assert not np.array_equal(both, run(session(case, "float16", None, body), arrays))  # rounds more often


def test_where_the_processor_has_less_the_body_runs(kernels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGARD_KERNELS", "none")
    case = CASES[0]
    with pytest.raises(Exception, match="regard"):
        session(case, "float32", kernels)
    assert run(session(case, "float32", kernels, OPERATOR[case.operator].body), inputs(case, "float32")).size


@pytest.mark.parametrize("case", [case for case in CASES if case.shapes[0][0] == 2], ids=str)
def test_threads_change_nothing(case: Case, kernels: Path) -> None:
    arrays = inputs(case, "float32")
    one, two = (run(session(case, "float32", kernels, threads=threads), arrays) for threads in (1, 2))
    assert np.array_equal(one, two)


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border"])
@pytest.mark.usefixtures("instructions")
def test_a_grid_of_no_numbers_and_huge_ones_reads_as_in_pytorch(
    padding: str, corners: bool, kernels: Path
) -> None:
    x, grid = np.arange(60, dtype=np.float32).reshape(1, 3, 4, 5), wild_grid()
    case = Case("Warp", [x.shape, grid.shape], {"padding_mode": padding, "align_corners": int(corners)})
    expected = F.grid_sample(
        torch.from_numpy(x), torch.from_numpy(grid), padding_mode=padding, align_corners=corners
    )
    got = run(session(case, "float32", kernels), [x, grid])
    assert np.allclose(got, expected.numpy(), rtol=0, atol=1e-4, equal_nan=True)


@pytest.mark.parametrize("corners", [0, 1])
def test_reflection_of_huge_numbers_stays_in_the_map(corners: int, kernels: Path) -> None:
    x, grid = np.full((1, 3, 4, 5), 7, np.float32), wild_grid()
    case = Case("Warp", [x.shape, grid.shape], {"padding_mode": "reflection", "align_corners": corners})
    assert np.allclose(run(session(case, "float32", kernels), [x, grid]), 7)


def test_keys_outside_of_the_map_weigh_nothing(kernels: Path) -> None:
    case = Case("LocalWeights", [(1, 2, 5, 18), (1, 2, 9, 22)], {"window": 5})
    q, k = inputs(case, "float32")
    within = run(session(case, "float32", kernels), [q, k])
    outside = np.ones(k.shape, bool)
    outside[..., 2:-2, 2:-2] = False
    for body in (None, OPERATOR["LocalWeights"].body):
        library = kernels if body is None else None
        got = run(session(case, "float32", library, body), [q, np.where(outside, np.float32(np.nan), k)])
        assert np.allclose(got, within, rtol=0, atol=1e-6)
    assert (within[0, 0, :12, 0, 0] == 0).all()  # of the first position: both rows above, two columns before
    assert (within[0, 0].sum(axis=0) - 1 < 1e-6).all()


def test_a_number_that_is_none_stays_one(kernels: Path) -> None:
    case = Case("CrissCross", [(1, 2, 5, 6), (1, 2, 5, 6), (1, 3, 5, 6)])
    q, k, v = inputs(case, "float32")
    q[0, 0, 2, 3] = np.nan
    got = run(session(case, "float32", kernels), [q, k, v])
    wrong = np.isnan(got).all(axis=1)[0]
    assert [*map(tuple, np.argwhere(wrong))] == [(2, 3)]
    assert np.isfinite(got[:, :, ~wrong]).all()


@pytest.mark.parametrize(
    ("case", "rule"),
    [
        (Case("LocalAttention", [(1, 4, 6, 6), (1, 3, 9, 4, 4)], {"window": 3}), "divide the channels"),
        (Case("LocalAttention", [(1, 4, 6, 6), (1, 2, 25, 4, 4)], {"window": 3}), r"k \* k"),
        (Case("LocalAttention", [(1, 4, 5, 6), (1, 2, 9, 4, 4)], {"window": 3}), "half a window"),
        (Case("LocalWeights", [(1, 4, 6, 6), (1, 3, 8, 8)], {"window": 3}), "k must be q"),
        (Case("LocalWeights", [(1, 4, 6, 6), (1, 4, 6, 6)], {"window": 3}), "half a window"),
        (Case("CrissCross", [(1, 2, 4, 5), (1, 2, 5, 4), (1, 3, 4, 5)]), "q and k"),
        (Case("CrissCross", [(1, 2, 4, 5), (1, 2, 4, 5), (1, 3, 4, 4)]), "v must have"),
        (
            Case("Warp", [(1, 2, 4, 5), (1, 3, 3, 3)], {"padding_mode": "zeros", "align_corners": 0}),
            "grid must",
        ),
        (Case("Warp", [(1, 2, 0, 5), (1, 3, 3, 2)], {"padding_mode": "zeros", "align_corners": 0}), "x must"),
    ],
    ids=str,
)
def test_shapes_that_do_not_fit_are_an_error(case: Case, rule: str, kernels: Path) -> None:
    opened = session(case, "float32", kernels)
    with pytest.raises(Exception, match=f"{case.operator}: .*{rule}"):
        run(opened, inputs(case, "float32"))


@pytest.mark.parametrize(
    ("case", "rule"),
    [
        (Case("LocalAttention", CASES[0].shapes, {"window": 0}), "window"),
        (Case("LocalAttention", CASES[0].shapes), "window"),
        (Case("LocalWeights", [(1, 2, 4, 4), (1, 2, 5, 5)], {"window": 2}), "window must be odd"),
        (Case("Warp", CASES[-1].shapes, {"padding_mode": "wrap", "align_corners": 0}), "padding_mode"),
    ],
)
def test_attributes_that_no_kernel_knows_are_an_error(case: Case, rule: str, kernels: Path) -> None:
    with pytest.raises(Exception, match=rule):
        session(case, "float32", kernels)
