"""Graphs in int8: what is quantized, for whom, and how each block is put back into float32."""

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from regard.contract.preprocess import Pixels
from regard.errors import ExportError, InvalidInput
from regard.export.precision.activations import check_finite
from regard.export.precision.blocks import MOST, blocks_of
from regard.export.precision.layers import Target, left_in_float32, with_names
from regard.export.precision.mixed import in_float32
from regard.export.precision.quantize import quantize
from regard.export.precision.quiet_nncf import quiet_nncf
from regard.export.precision.signedness import signed

pytest.importorskip("nncf")


@pytest.fixture(scope="module")
def quantized(separable: ModelProto, pixels: list[Pixels]) -> dict[Target, ModelProto]:
    return {
        "openvino": quantize(separable, pixels),
        "tensorrt": quantize(separable, pixels, target="tensorrt"),
    }


def answer(model: ModelProto, image: Pixels) -> npt.NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"image": image[None]})
    return np.asarray(found)


def node(model: ModelProto, op_type: str, place: int = 0) -> NodeProto:
    return [each for each in model.graph.node if each.op_type == op_type][place]


def quantizers(model: ModelProto) -> Iterator[tuple[str, npt.NDArray[np.float32], npt.NDArray[np.int8]]]:
    """Operator, scale and zero point of each."""
    constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    for each in model.graph.node:
        if each.op_type in ("QuantizeLinear", "DequantizeLinear"):
            yield each.op_type, constants[each.input[1]], constants[each.input[2]]


def test_what_is_left_out(separable: ModelProto) -> None:
    left = left_in_float32(separable, "openvino")
    operators = {each.name: each.op_type for each in separable.graph.node}
    assert {operators[name] for name in left} == {"Transpose", "Cast", "Mul", "Add", "Softmax"}
    (depthwise,) = {*left_in_float32(separable, "tensorrt")} - {*left}
    assert depthwise == node(separable, "Conv", 1).name


def test_int8_answers_nearly_the_same(
    separable: ModelProto, quantized: dict[Target, ModelProto], pixels: list[Pixels]
) -> None:
    for model in quantized.values():
        onnx.checker.check_model(model, full_check=True)
        for image in pixels:
            assert np.abs(answer(model, image) - answer(separable, image)).max() < 0.05
        assert not model.metadata_props  # the Card is the artifact's
        assert [each.name for each in model.graph.output] == ["probabilities"]
    assert sum(operator == "QuantizeLinear" for operator, *_ in quantizers(quantized["openvino"])) >= 4


def test_openvino_gets_unsigned_activations(quantized: dict[Target, ModelProto]) -> None:
    """OpenVINO 2026.4 convolves signed ones wrongly."""
    for operator, _, zero_point in quantizers(quantized["openvino"]):
        if operator == "QuantizeLinear":
            assert zero_point.dtype == np.uint8


def test_tensorrt_gets_what_it_takes(quantized: dict[Target, ModelProto]) -> None:
    depthwise = node(quantized["tensorrt"], "Conv", 1)
    assert depthwise.input[1].endswith("block.0.weight")  # as it was, not dequantized
    for operator, scale, zero_point in quantizers(quantized["tensorrt"]):
        assert zero_point.dtype == np.int8
        assert not zero_point.any()
        assert operator == "DequantizeLinear" or scale.ndim == 0  # activations per tensor
    assert any(scale.ndim == 1 for _, scale, _ in quantizers(quantized["tensorrt"]))  # weights per channel


def test_signed_refuses_zero_points() -> None:
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"])],
            "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
            [helper.make_tensor_value_info("y", TensorProto.UINT8, [1])],
            [
                numpy_helper.from_array(np.array(0.1, np.float32), "scale"),
                numpy_helper.from_array(np.array(3, np.uint8), "zero"),
            ],
        )
    )
    with pytest.raises(ExportError, match="zero point, which TensorRT does not take"):
        signed(model)


def test_blocks(separable: ModelProto, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = blocks_of(separable, "tensorrt")
    # block.0 is depthwise: what is left of it is its activation
    assert [*blocks] == ["network.stem", *(f"network.block.{index}" for index in (0, 2, 3)), "network.fc"]
    quantizable = {each.name for each in separable.graph.node} - {*left_in_float32(separable, "tensorrt")}
    assert sorted(name for nodes in blocks.values() for name in nodes) == sorted(quantizable)
    monkeypatch.setattr("regard.export.precision.blocks.MOST", 3)
    assert [*blocks_of(separable, "openvino")] == ["network.stem", "network.block", "network.fc"]
    assert MOST > 3


def test_blocks_of_names_without_modules(separable: ModelProto, monkeypatch: pytest.MonkeyPatch) -> None:
    """As other exporters write them: runs of neighbours."""
    renamed = ModelProto()
    renamed.CopyFrom(separable)
    for each in renamed.graph.initializer:
        name, each.name = each.name, each.name.replace(".", "_")
        for user in renamed.graph.node:
            user.input[:] = [each.name if taken == name else taken for taken in user.input]
    monkeypatch.setattr("regard.export.precision.blocks.MOST", 3)
    first, _, last = blocks_of(renamed, "openvino")
    assert first == "network_stem_weight to network_block_0_weight"
    assert last == "network_fc_weight"


@pytest.mark.parametrize("target", ["openvino", "tensorrt"])
def test_all_blocks_in_float32_are_the_network(
    target: Target, separable: ModelProto, quantized: dict[Target, ModelProto], pixels: list[Pixels]
) -> None:
    nodes = {name for names in blocks_of(separable, target).values() for name in names}
    whole = in_float32(quantized[target], separable, nodes)
    onnx.checker.check_model(whole, full_check=True)
    assert not any(quantizers(whole))
    assert np.array_equal(answer(whole, pixels[0]), answer(separable, pixels[0]))


def test_one_block_in_float32(separable: ModelProto, quantized: dict[Target, ModelProto]) -> None:
    model = quantized["openvino"]
    before = model.SerializeToString()
    mixed = in_float32(model, separable, blocks_of(separable, "openvino")["network.block.3"])
    onnx.checker.check_model(mixed, full_check=True)
    assert model.SerializeToString() == before
    # its input's two, its weight's one, and two before the mean
    assert len([*quantizers(mixed)]) == len([*quantizers(model)]) - 5
    used = {name for each in mixed.graph.node for name in each.input}
    assert {each.name for each in mixed.graph.initializer} <= used


def test_a_network_that_is_not_finite(separable: ModelProto, pixels: list[Pixels]) -> None:
    named = [(str(index), image) for index, image in enumerate(pixels)]
    check_finite(separable, named)
    broken = ModelProto()
    broken.CopyFrom(separable)
    bias = next(each for each in broken.graph.initializer if each.name.endswith("block.2.bias"))
    values = numpy_helper.to_array(bias).copy()
    values[0] = np.nan
    bias.CopyFrom(numpy_helper.from_array(values, bias.name))
    with pytest.raises(InvalidInput, match=r"the layer of network\.block\.2\.weight gives NaN .* image 0"):
        check_finite(broken, named)


def test_names(separable: ModelProto) -> None:
    bare = ModelProto()
    bare.CopyFrom(separable)
    for each in bare.graph.node:
        each.name = "same" if each.op_type == "Conv" else ""
    named = with_names(bare)
    assert len({each.name for each in named.graph.node}) == len(named.graph.node)
    assert "same" in {each.name for each in named.graph.node}


def test_a_graph_that_nncf_does_not_take(separable: ModelProto, pixels: list[Pixels]) -> None:
    old = ModelProto()
    old.CopyFrom(separable)
    old.opset_import[0].version = 9
    with pytest.raises(ExportError, match="NNCF cannot quantize this graph"):
        quantize(old, pixels)


def test_nncf_is_quiet(
    separable: ModelProto,
    pixels: list[Pixels],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from nncf.telemetry import decorator

    class Recorder:
        def __getattr__(self, name: str) -> object:
            pytest.fail(f"NNCF reports: {name}")

    recorder = Recorder()
    monkeypatch.setattr(decorator, "telemetry", recorder)
    quantize(separable, pixels[:2])
    assert decorator.telemetry is recorder
    assert capfd.readouterr() == ("", "")


def test_importing_nncf_starts_no_telemetry() -> None:
    """In a process of its own: under pytest NNCF sends nothing in any case."""
    script = (
        "import sys, openvino\n"
        "from regard.export.precision.quiet_nncf import quiet_nncf\n"
        "sender = sys.modules.get('openvino_telemetry')\n"
        "with quiet_nncf(): pass\n"
        "from nncf.telemetry import wrapper\n"
        "assert sys.modules.get('openvino_telemetry') is sender\n"
        "print(isinstance(wrapper.telemetry, wrapper.NNCFTelemetry), hasattr(wrapper, 'Telemetry'))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def test_nncf_is_as_it_was_after_an_error() -> None:
    import logging

    def fail() -> None:
        with quiet_nncf():
            raise ZeroDivisionError

    level = logging.getLogger("nncf").level
    with pytest.raises(ZeroDivisionError):
        fail()
    assert logging.getLogger("nncf").level == level
