"""The lists of layers, in the libraries' own words."""

import json
from typing import Any

import pytest

from regard.contract.plan import Layer
from regard.errors import ExportError
from regard.export.tensorrt.layer_list import layers_inspected, layers_logged

CONVOLUTION = (
    "Name: node_Conv_303_myl0_2, LayerType: correlation, Inputs: [ { Name: relu.1_19_myl0, Dimensions: "
    "[-1,4,28,28], Strides: [3136,1,112,4], StrideOrder: [3,0,2,1], Datatype: Half, Format: (NHWC) Channel "
    "major format }], Constants: [ { Name: __mye7047_dconst_myl0, Dimensions: [16,4,3,3], Strides: "
    "[36,1,12,4], StrideOrder: [3,0,2,1], Datatype: Half, Format: (NHWC) Channel major format }, { Name: "
    "__mye9006_const_myl0, Dimensions: [1], Strides: [1], StrideOrder: [0], Datatype: Float, Format: "
    "(Linear) Row major linear format }], Outputs: [ { Name: __myln_k_arg, Dimensions: [-1,16,28,28], "
    "Strides: [12544,1,448,16], StrideOrder: [3,0,2,1], Datatype: Half, Format: (NHWC) Channel major format "
    "}], TacticName: __myelin_CASK_STUB, StreamId: 0, Metadata: [ONNX Layer: node_Conv_303][ONNX Layer: "
    "node_relu]"
)
SIGNAL = (
    "Name: __mye30904_myl0_11, LayerType: signal, Inputs: [], Constants: [], Outputs: [], TacticName: , "
    "StreamId: 0, EventId: 1, Metadata: "
)
SHAPES = (
    "Name: [ShapeHostToDeviceCopy 0], LayerType: ShapeHostToDevice, Inputs: [], Outputs: [ { Name: val_279, "
    "Location: Device, Dimensions: [], Datatype: Int64, Format: Format not available due to dynamic shapes "
    "}], ParameterType: ShapeH2D, TacticValue: 0x0000000000000000, StreamId: 0, Metadata: "
)
END = "\n\nI/O Tensors:\n Name: image, IOMode: Input, DataType: UInt8, Dimensions: [-1,28,28,3]\n"


def logged(*lines: str) -> tuple[Layer, ...]:
    return layers_logged(["Layers:\n" + "\n".join(lines) + END])


def test_what_the_builder_logs() -> None:
    convolution, shapes = logged(CONVOLUTION, SIGNAL, SHAPES)
    assert convolution == Layer(
        name="node_Conv_303_myl0_2",
        type="correlation",
        precision="fp16",
        types=("fp16",),
        nodes=("node_Conv_303", "node_relu"),
    )
    assert (shapes.type, shapes.precision, shapes.nodes) == ("ShapeHostToDevice", "int64", ())


def test_the_precision_is_that_of_what_is_multiplied() -> None:
    """Not of what comes out: an int8 convolution adds up in float32."""
    before, _, rest = CONVOLUTION.partition("Datatype: Half")
    (layer,) = logged(before + "Datatype: Int8" + rest.replace("Datatype: Half", "Datatype: Float"))
    assert (layer.precision, layer.types) == ("int8", ("int8", "float32"))


@pytest.mark.parametrize("messages", [[], ["Layers:\n"], ["Layers:" + END], [f"Layers:\n{SIGNAL}"]])
def test_a_missing_list_fails_loudly(messages: list[str]) -> None:
    with pytest.raises(ExportError, match="lists no layers, so that nothing shows what the engine computes"):
        layers_logged(messages)


def test_a_list_of_another_form_fails_loudly() -> None:
    with pytest.raises(ExportError, match="in a way that is not known.*Name: conv, Kind: correlation"):
        logged(CONVOLUTION, "Name: conv, Kind: correlation, Inputs: [], Outputs: []")


def inspected(**changes: Any) -> tuple[Layer, ...]:
    tensor = {"Name": "x", "Dimensions": [1, 3, 8, 8], "Format/Datatype": "Channel major FP16 format"}
    layer = {
        "Name": "node_conv + node_relu",
        "LayerType": "CaskConvolution",
        "Inputs": [tensor],
        "Outputs": [tensor],
        "Metadata": "[ONNX Layer: node_conv]\x1e[ONNX Layer: node_relu]",
    }
    return layers_inspected(json.dumps({"Layers": [layer | changes], "Bindings": ["x"]}))


def test_what_the_engine_inspector_gives() -> None:
    (layer,) = inspected()
    assert (layer.type, layer.precision, layer.nodes) == (
        "CaskConvolution",
        "fp16",
        ("node_conv", "node_relu"),
    )
    (layer,) = inspected(Inputs=[{"Name": "x", "Format/Datatype": "Half"}])
    assert layer.precision == "fp16"
    (layer,) = inspected(Inputs=[{"Name": "x", "Datatype": "Float", "Format": "Row major linear"}])
    assert layer.precision == "float32"


@pytest.mark.parametrize(
    "text", ["", "{}", '{"Layers": ["node_conv"]}', '{"Layers": [{"Name": "node_conv"}]}']
)
def test_an_inspector_without_details_fails_loudly(text: str) -> None:
    with pytest.raises(ExportError, match="in a way that is not known, so that nothing shows"):
        layers_inspected(text)
    with pytest.raises(ExportError, match="lists no layers"):
        layers_inspected('{"Layers": []}')
