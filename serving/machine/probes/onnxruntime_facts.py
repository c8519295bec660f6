"""Which providers ONNX Runtime really gives a session; those that it only lists prove nothing."""

import json

import onnxruntime

# an ONNX file of one node, y = x + x, both float32 (1)
MODEL = (
    b"\x08\x08:5\n\x0e\n\x01x\n\x01x\x12\x01y\x22\x03Add\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n"
    b"\x02\x08\x01b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)
ASKED = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]

session = onnxruntime.InferenceSession(MODEL, providers=ASKED)
print(
    json.dumps(
        {
            "version": onnxruntime.__version__,
            "given": session.get_providers(),
            "listed": [name for name in ASKED if name in onnxruntime.get_available_providers()],
        }
    )
)
