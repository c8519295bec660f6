"""What one would write with FastAPI: `uvicorn fastapi_app:app --workers 2`."""

from fastapi import FastAPI, Request, Response
from graph import open_graph

answer = open_graph()
app = FastAPI()


@app.get("/health")
async def health() -> None: ...


@app.post("/infer")
async def infer(request: Request) -> Response:
    return Response(answer(await request.body()), media_type="application/octet-stream")
