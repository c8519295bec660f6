"""A canary: one real, tiny inference on each model, since a server whose model process died still calls
itself ready.
"""

import io
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
from PIL import Image

from regard.contract.card import Card
from regard.contract.names import CARD_PARAMETER
from regard.contract.reading import card_from_json
from regard.serving.protocol.address import address_of
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.grpc_connection import GrpcConnection
from regard.serving.protocol.tensors import dtype_of
from regard.serving.protocol.wire import Fault, Request

DEADLINE = 30.0  # seconds for one inference; past it the model is stuck if it answered nobody else either
BROKEN = ("INTERNAL", "UNKNOWN")


def unhealthy_models(grpc_url: str, *, deadline: float = DEADLINE) -> dict[str, str]:
    """Send a canary to every ready model; return those that fail as only a broken server does, each with the
    reason.

    A refusal, an overload or a model whose input no request can be made up for is no fault. Raises Fault
    where the server does not answer.
    """
    unhealthy = {}
    # the server is this machine's, whatever address it listens on: no proxy leads to it
    connection = GrpcConnection(address_of(grpc_url, "grpc"), Credentials(), proxy=None)
    try:
        for request in _requests(connection, deadline):
            answered = _answered(connection, request.model)
            try:
                connection.infer(request, timeout=deadline)
            except Fault as fault:
                if fault.code in BROKEN:
                    unhealthy[request.model] = fault.message
                elif fault.code == "DEADLINE_EXCEEDED" and _answered(connection, request.model) == answered:
                    unhealthy[request.model] = f"no answer to anybody for {deadline:g} s"
    finally:
        connection.close()
    return unhealthy


def _requests(connection: Connection, deadline: float) -> Iterator[Request]:
    ready = {model["name"] for model in connection.index(timeout=deadline) if model.get("state") == "READY"}
    configs = {name: connection.config(name, "", timeout=deadline) for name in ready}
    covered = {
        step["model_name"]
        for config in configs.values()
        for step in config.get("ensemble_scheduling", {}).get("step", ())
    }
    for name in sorted(ready - covered):  # an ensemble's canary goes through its parts
        request = _request(configs[name])
        if request is not None:
            yield request


def _request(config: Mapping[str, Any]) -> Request | None:
    """The smallest valid request; None where only the model's author could say what that is."""
    name, inputs = config["name"], config.get("input", ())
    if len(inputs) != 1:
        return None
    (only,) = inputs
    text = config.get("parameters", {}).get(CARD_PARAMETER, {}).get("string_value")
    card = card_from_json(text, source=name) if text else None
    batch = [1] if config.get("max_batch_size") else []
    datatype = only["data_type"].removeprefix("TYPE_")
    if datatype == "STRING":
        if card is None:
            return None
        return Request(name, "", {only["name"]: np.array([[_encoded_image(card)]], dtype=np.object_)})
    smallest = card.input.min_size if card else 1
    dims = [dim if dim > 0 else smallest for dim in map(int, only.get("dims", ()))]
    if prod(dims) <= 0:
        return None
    return Request(name, "", {only["name"]: np.zeros(batch + dims, dtype=dtype_of(datatype))})


def _encoded_image(card: Card) -> bytes:
    file = io.BytesIO()
    side = card.input.min_size  # no smaller; a network of one size stretches or crops it
    Image.new("RGB", (side, side)).save(file, "PNG")
    return file.getvalue()


def _answered(connection: Connection, model: str) -> int:
    """How many inferences the model has finished."""
    return sum(
        int(version.get("inference_stats", {}).get("success", {}).get("count", 0))
        for version in connection.statistics(model, timeout=DEADLINE)
    )
