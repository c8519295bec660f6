"""OpenVINO's devices, and whether its CPU computes in bf16 where it may."""

import json

import openvino
from openvino import opset13

core = openvino.Core()
value = opset13.parameter([1], openvino.Type.f32)
# its stubs know two classes Model
model = openvino.Model([opset13.add(value, value)], [value])  # pyright: ignore[reportGeneralTypeIssues]
compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})
print(
    json.dumps(
        {
            "version": openvino.__version__.split("-")[0],
            "devices": core.available_devices,
            "bf16": compiled.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.bf16,
        }
    )
)
