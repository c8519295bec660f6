"""What one would write with LitServe: `python litserve_app.py PORT WORKERS`."""

import sys
from typing import Annotated

from fastapi import Body, Response
from graph import open_graph
from litserve import LitAPI, LitServer


class Api(LitAPI):
    def setup(self, device: str) -> None:
        self.answer = open_graph()

    def decode_request(self, request: Annotated[bytes, Body()]) -> bytes:
        return request

    def predict(self, x: bytes) -> bytes:
        return self.answer(x)

    def encode_response(self, output: bytes) -> Response:
        return Response(output, media_type="application/octet-stream")


if __name__ == "__main__":
    port, workers = map(int, sys.argv[1:])
    # LitServe's advice for more than a hundred requests a second: fast_queue
    server = LitServer(Api(api_path="/infer"), accelerator="cpu", workers_per_device=workers, fast_queue=True)
    server.run("127.0.0.1", port, log_level="warning", generate_client_file=False)
