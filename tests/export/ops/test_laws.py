"""What holds for every operator: in PyTorch and in ONNX it computes its function."""

import copy
import re

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx import ModelProto, inliner
from onnx.reference import ReferenceEvaluator
from tests.export.ops.cases import CASES, Case
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from regard.export.graph.nodes import custom_operators
from regard.export.graph.tracing import Input, to_onnx
from regard.export.ops import LOCAL_WEIGHTS, WARP
from regard.export.ops.form import Form, in_form, translations

SIZES = [(2, 5, 7), (1, 1, 3), (1, 4, 1), (0, 3, 5)]  # batch, height, width
TOLERANCE = {torch.float32: 2e-5, torch.float16: 2e-2}  # of what is about one in size
cases = pytest.mark.parametrize("case", CASES, ids=str)


def in_runtime(model: ModelProto, tensors: list[Tensor]) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    (answer,) = session.run(None, dict(zip(names, (each.numpy() for each in tensors), strict=True)))
    return answer


def assert_close(found: np.ndarray, case: Case, tensors: list[Tensor]) -> None:
    """Against the function in float64, on the very numbers that were given."""
    expected = case.function(*(each.double() for each in tensors)).numpy()
    assert found.dtype == tensors[0].numpy().dtype
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[tensors[0].dtype] * scale_of(expected))


def scale_of(values: np.ndarray) -> float:
    return max(1.0, float(np.abs(values).max(initial=0)))


@cases
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_registered_operator_computes_the_function(case: Case, size: tuple[int, int, int]) -> None:
    tensors = case.draw(*size)
    assert torch.equal(case.operation(*tensors), case.function(*tensors))


@cases
def test_gradients(case: Case) -> None:
    tensors = [each.requires_grad_() for each in case.draw(1, 2, 3)]
    assert torch.autograd.gradcheck(case.operation, tensors, fast_mode=True)


@cases
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_shapes_are_known_without_computing(case: Case, size: tuple[int, int, int]) -> None:
    tensors = case.draw(*size, dtype=torch.float32)
    with FakeTensorMode() as mode:
        found = case.operation(*map(mode.from_tensor, tensors))
    expected = case.operation(*tensors)
    assert (found.shape, found.dtype, found.stride()) == (expected.shape, expected.dtype, expected.stride())


@cases
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_the_body_computes_the_function_in_onnx_runtime(case: Case, dtype: torch.dtype) -> None:
    model = case.model(dtype)
    for size in SIZES:
        tensors = case.draw(*size, dtype=dtype)
        assert_close(in_runtime(model, tensors), case, tensors)


@pytest.mark.parametrize(
    "case",
    # its GridSample, of onnx 1.23, is off by as much as the values are where positions lie outside
    [case for case in CASES if case.operator is not WARP],
    ids=str,
)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_the_body_computes_the_function_in_the_reference_evaluator(case: Case, dtype: torch.dtype) -> None:
    evaluator = ReferenceEvaluator(case.model(dtype))
    for size in SIZES:
        tensors = case.draw(*size, dtype=dtype)
        feed = dict(zip(case.operator.inputs, (each.numpy() for each in tensors), strict=True))
        with np.errstate(over="ignore"):  # the least float32, cast to float16
            (answer,) = evaluator.run(None, feed)
        assert_close(answer, case, tensors)


class Computing(nn.Module):
    """The operator in a network, which gives one of the inputs a margin where there is a window."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.case = case
        self.margin = case.attributes.get("window", 1) // 2
        self.framed = int(case.operator is LOCAL_WEIGHTS)  # the keys, else the first

    def forward(self, one: Tensor, two: Tensor, three: Tensor | None = None) -> Tensor:
        tensors = [one, two] if three is None else [one, two, three]
        tensors[self.framed] = F.pad(tensors[self.framed], (self.margin,) * 4)
        return self.case.operation(*tensors) * 2

    def draw(self, *size: int) -> list[Tensor]:
        tensors = self.case.draw(*size, dtype=torch.float32)
        rows, columns = (slice(self.margin, side - self.margin) for side in tensors[self.framed].shape[2:])
        tensors[self.framed] = tensors[self.framed][:, :, rows, columns].contiguous()
        return tensors


FREE = {  # axes of each input
    "LocalAttention": ({0: "b", 2: "h", 3: "w"}, {0: "b", 3: "h", 4: "w"}),
    "LocalWeights": ({0: "b", 2: "h", 3: "w"},) * 2,
    "CrissCross": ({0: "b", 2: "h", 3: "w"},) * 3,
    "Warp": ({0: "b", 2: "h", 3: "w"}, {0: "b", 1: "rows", 2: "columns"}),
}


@pytest.mark.parametrize(
    "case", [CASES[1], CASES[4], CASES[6], CASES[7], CASES[-1]], ids=str
)  # each operator
def test_an_exported_graph_computes_it_at_sizes_that_were_not_traced(case: Case) -> None:
    module, names, free = Computing(case), case.operator.inputs, FREE[case.operator.name]
    inputs = {
        name: Input(example, axes)
        for name, example, axes in zip(names, module.draw(2, 9, 8), free, strict=True)
    }
    graph = to_onnx(module, inputs, ["y"], opset=20, name="it", translations=translations())
    forms: dict[Form, list[str]] = {"portable": [], "function": [case.operator.title]}
    for form, operators in forms.items():
        model = in_form(copy.deepcopy(graph), form)
        assert custom_operators(model) == operators
        for size in ((1, 5, 7), (3, 12, 4), (0, 6, 6)):
            tensors = module.draw(*size)
            expected = module(*tensors).numpy()
            np.testing.assert_allclose(in_runtime(model, tensors), expected, rtol=0, atol=1e-4)


def test_a_body_that_is_written_out_answers_the_same_bits() -> None:
    for case in CASES:
        model = case.model(torch.float32)
        written_out = inliner.inline_local_functions(model)
        assert not written_out.functions
        tensors = case.draw(2, 5, 7, dtype=torch.float32)
        assert np.array_equal(in_runtime(written_out, tensors), in_runtime(model, tensors)), case


def test_names_in_pytorch_follow_those_in_onnx() -> None:
    assert {re.sub(r"\.default$", "", str(case.operator.target)) for case in CASES} == {
        "regard.local_attention",
        "regard.local_weights",
        "regard.criss_cross",
        "regard.warp",
    }
