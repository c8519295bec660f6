"""What image_endpoint.py compares with: an app of a few lines, in a virtual environment of its own.

GRAPH names the ONNX file and CONTRACT holds the Card's input; regard's preprocess.py lies beside this file,
so that both servers give the same answers.
"""

import json
import os

import onnxruntime
import preprocess
from fastapi import FastAPI, Request, Response

contract = json.loads(os.environ["CONTRACT"])
fitting = {name: contract[name] for name in ("resize", "height", "width", "interpolation", "crop")}
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["GRAPH"], options, providers=["CPUExecutionProvider"])
app = FastAPI()


@app.get("/ready")
async def ready() -> None: ...


@app.post("/infer")
async def infer(request: Request) -> Response:
    pixels = preprocess.decode_and_fit(await request.body(), **fitting)
    (answer,) = session.run(None, {"image": pixels[None]})
    return Response(answer.tobytes(), media_type="application/octet-stream")
