"""What an operator's function and body must have in common, and what becomes of operators of others."""

import pytest
import torch
from onnx import FunctionProto, parser
from torch import Tensor, nn

from regard.errors import ExportError
from regard.export.graph.tracing import Input, to_onnx
from regard.export.ops import Operator


def body(head: str, opset: int = 20) -> FunctionProto:
    name, _, rest = head.partition(".")
    text = f'<domain: "{name}", opset_import: ["": {opset}]> {rest} {{ y = Identity (x) }}'
    found: FunctionProto = parser.parse_function(text)
    return found


def doubled(x: Tensor, times: int) -> Tensor:
    return x * times


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (body("tests.Doubled <times> (x, z) => (y)"), "the function's inputs are x, the body's x, z"),
        (body("tests.Doubled (x) => (y)"), "the function's attributes are times, the body's none"),
        (body("tests.Doubled <times> (x) => (y, x)"), "must have one output, got 2"),
        (body("tests.Doubled <times> (x) => (y)", 19), "must be written in opset 20, got 19"),
        (
            parser.parse_function(
                '<domain: "tests", opset_import: ["": 20]> Doubled <times> (x) => (y) { y = Identityy (x) }'
            ),
            "does not take the body: No Op registered for Identityy",
        ),
        (body("my.own.Doubled <times> (x) => (y)".replace("my.own", "my-own")), "must be a word of letters"),
    ],
    ids=["inputs", "attributes", "outputs", "opset", "unknown", "domain"],
)
def test_a_body_that_does_not_fit(proto: FunctionProto, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Operator(doubled, proto)


def test_parameters_are_tensors_and_then_attributes() -> None:
    def wrong(x: Tensor, sizes: list[int]) -> Tensor:
        return x

    with pytest.raises(ValueError, match="wrong: parameters are first Tensor, .*; sizes is list"):
        Operator(wrong, body("tests.Wrong (x) => (y)"))


def test_defaults_of_attributes_reach_the_node() -> None:
    def scaled(x: Tensor, times: int = 3) -> Tensor:
        return x * times

    operator = Operator(scaled, body("tests.Scaled <times> (x) => (y)"))

    class Network(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return operator(x)

    model = to_onnx(
        Network(),
        {"x": Input(torch.zeros(2, 3), {0: "batch"})},
        ["y"],
        opset=20,
        name="it",
        translations={operator.target: operator.translation},
    )
    (node,) = model.graph.node
    assert (node.domain, node.op_type) == ("tests", "Scaled")
    assert [(each.name, each.i) for each in node.attribute] == [("times", 3)]


def test_an_operator_of_others_is_told_of_this() -> None:
    @torch.library.custom_op("tests::lonely", mutates_args=())
    def lonely(x: Tensor) -> Tensor:
        return x * 2

    lonely.register_fake(torch.empty_like)

    class Network(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return lonely(x)

    with pytest.raises(ExportError, match=r"tests\.lonely.*define it as a regard\.export\.ops\.Operator"):
        to_onnx(Network(), {"x": Input(torch.zeros(2, 3), {0: "batch"})}, ["y"], opset=20, name="the network")
