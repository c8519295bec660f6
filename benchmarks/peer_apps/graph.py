"""What both apps answer with: GRAPH names the ONNX file, and CONTRACT holds the Card's input. regard's
preprocess.py lies beside this file, so that all servers see the same pixels.
"""

import json
import os
from collections.abc import Callable

import onnxruntime
import preprocess

FITTING = ("resize", "height", "width", "interpolation", "crop", "channels")


def open_graph() -> Callable[[bytes], bytes]:
    """From an image file to the answer's bytes; one compute thread."""
    contract = json.loads(os.environ["CONTRACT"])
    fitting = {name: contract[name] for name in FITTING}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(os.environ["GRAPH"], options, providers=["CPUExecutionProvider"])
    wanted = [session.get_outputs()[0].name]

    def answer(encoded: bytes) -> bytes:
        pixels = preprocess.decode_and_fit(encoded, **fitting)
        return session.run(wanted, {"image": pixels[None]})[0].tobytes()

    return answer
