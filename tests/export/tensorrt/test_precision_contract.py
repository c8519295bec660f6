"""Layers that compute in what was asked for, and those that do not, by name."""

from collections.abc import Sequence

import onnx
import pytest
from onnx import TensorProto, helper

from regard.contract.plan import Layer
from regard.contract.variant import Precision
from regard.errors import ExportError
from regard.export.tensorrt.precision_contract import PrecisionError, check_precision


def graph() -> onnx.ModelProto:
    """Of two quantized convolutions and a product that is not, and elementwise nodes."""
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s"], ["x"], "dequantize_x"),
        helper.make_node("DequantizeLinear", ["r", "s"], ["w"], "dequantize_w"),
        helper.make_node("Conv", ["x", "w"], ["y"], "first"),
        helper.make_node("Relu", ["y"], ["z"], "relu"),
        helper.make_node("Conv", ["x", "w"], ["v"], "second"),
        helper.make_node("MatMul", ["z", "network.gate.weight"], ["u"], "gate"),
    ]
    weight = helper.make_tensor("network.gate.weight", TensorProto.FLOAT, [1, 1], [1.0])
    return helper.make_model(helper.make_graph(nodes, "graph", [], [], [weight]))


def layer(name: str, precision: str, *nodes: str, type: str = "correlation", gives: str = "") -> Layer:
    types = dict.fromkeys((precision, gives or precision))
    return Layer(name=name, type=type, precision=precision, types=tuple(types), nodes=nodes)


def faults(layers: Sequence[Layer], precision: Precision, *, kept: Sequence[str] = ()) -> list[str]:
    try:
        check_precision(layers, precision, graph(), kept=kept)
    except PrecisionError as error:
        return [layer.name for layer in error.layers if f"{layer.name} (" in str(error)]
    return []


def half(gate: str = "fp16", second: str = "fp16") -> list[Layer]:
    return [
        layer("cast", "uint8", type="kgen", gives="fp16"),
        layer("c1", "fp16", "first", "relu"),
        layer("c2", second, "second"),
        layer("g", gate, "gate", type="gemm"),
        layer("out", "fp16", "relu", type="kgen", gives="float32"),
    ]


def test_fp16() -> None:
    assert faults(half(), "fp16") == []
    assert faults(half(gate="float32"), "fp16") == ["g"]
    assert faults(half(gate="float32", second="float32"), "fp16") == ["c2", "g"]


def test_fp16_but_what_the_variant_keeps() -> None:
    assert faults(half(gate="float32"), "fp16", kept=["gate"]) == []
    for kept in ("gat", "relu", ""):
        assert faults(half(gate="float32"), "fp16", kept=[kept]) == ["g"]


def test_what_the_variant_keeps_must_stay() -> None:
    assert faults(half(), "fp16", kept=["gate"]) == ["g"]
    fused = layer("g", "fp16", "gate", type="runtime_fusion")
    assert faults([*half()[:3], fused], "fp16", kept=["gate"]) == ["g"]


def test_a_kernel_of_many_nodes_casts_inside() -> None:
    kernel = layer("g", "fp16", "gate", "relu", type="kgen")
    assert faults([*half()[:3], kernel], "fp16", kept=["gate"]) == []


def test_a_part_of_a_product_may_be_elementwise() -> None:
    """The bias of an int8 convolution is added in float32, by another layer that names it too."""
    layers = [*half(), layer("epilogue", "float32", "first", type="kgen")]
    assert faults(layers, "fp16") == []
    assert faults([*half(), layer("again", "float32", "first")], "fp16") == ["again"]


def test_a_product_that_no_node_claims() -> None:
    assert faults([*half(), layer("stray", "float32", type="CaskGemmConvolution")], "fp16") == ["stray"]


def test_float32() -> None:
    layers = [layer("c1", "float32", "first"), layer("cast", "uint8", type="kgen", gives="float32")]
    assert faults(layers, "float32") == []
    for lower in ("fp16", "bf16", "int8", "fp8"):
        assert faults([*layers, layer("low", "float32", "second", gives=lower)], "float32") == ["low"]


def test_int8() -> None:
    layers = [layer("c1", "int8", "first"), layer("c2", "int8", "second"), layer("g", "float32", "gate")]
    assert faults(layers, "int8") == []
    assert faults([layers[0], layer("c2", "float32", "second"), layers[2]], "int8") == ["c2"]
    assert faults([*layers[:2], layer("g", "int8", "gate")], "int8") == []  # behind a transposed operand


def test_a_product_that_is_fused_away_is_judged_by_what_comes_next() -> None:
    fused = layer("many", "fp16", "relu", type="kgen")
    assert faults([fused, *half()[2:4]], "fp16") == []
    fused = layer("many", "float32", "relu", type="kgen")
    assert faults([fused, *half()[2:4]], "fp16") == ["many"]


def test_layers_that_do_not_say_what_they_compute_fail_loudly() -> None:
    with pytest.raises(ExportError, match="do not say which of them compute second, so that nothing shows"):
        check_precision([layer("c", "fp16", "first", "gate")], "fp16", graph())


def test_a_graph_with_nothing_to_compute_in_it_fails_loudly() -> None:
    empty = helper.make_model(helper.make_graph([], "graph", [], []))
    with pytest.raises(ExportError, match="no layers to compute in int8"):
        check_precision([], "int8", empty)


def test_many_faults_are_counted() -> None:
    layers = [layer(f"d{index}", "float32", "first") for index in range(20)]
    with pytest.raises(
        PrecisionError, match=r"20 of its layers compute otherwise: d0 \(correlation\) in .*and 12 more"
    ):
        check_precision([*half()[2:], *layers], "fp16", graph())
