"""A canary: one real, tiny inference on each model, since a server whose model process died still calls
itself ready.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
import tritonclient.grpc as triton
from PIL import Image
from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from regard.contract.card import Card, card_from_json
from regard.contract.names import CARD_PARAMETER

DEADLINE = 30.0  # seconds for one inference; past it the model is stuck if it answered nobody else either
BROKEN = ("StatusCode.INTERNAL", "StatusCode.UNKNOWN")


@dataclass(frozen=True)
class Request:
    """A valid request for a model."""

    model: str
    input: str
    array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]
    data_type: str  # as the protocol names it


def unhealthy_models(grpc_url: str, *, deadline: float = DEADLINE) -> dict[str, str]:
    """Send a canary to every ready model; return those that fail as only a broken server does, each with the
    reason.

    A refusal, an overload or a model whose input no request can be made up for is no fault.
    """
    unhealthy = {}
    with triton.InferenceServerClient(grpc_url) as client:
        for request in _requests(client, deadline):
            answered = _answered(client, request.model)
            tensor = triton.InferInput(request.input, list(request.array.shape), request.data_type)
            tensor.set_data_from_numpy(request.array)
            try:
                client.infer(request.model, [tensor], client_timeout=deadline)
            except InferenceServerException as error:
                if error.status() in BROKEN:
                    unhealthy[request.model] = str(error.message())
                elif (
                    error.status() == "StatusCode.DEADLINE_EXCEEDED"
                    and _answered(client, request.model) == answered
                ):
                    unhealthy[request.model] = f"no answer to anybody for {deadline:g} s"
    return unhealthy


def _requests(client: triton.InferenceServerClient, deadline: float) -> Iterator[Request]:
    ready = {
        model.name
        for model in client.get_model_repository_index(client_timeout=deadline).models
        if model.state == "READY"
    }
    configs = {name: client.get_model_config(name, client_timeout=deadline).config for name in ready}
    covered = {step.model_name for config in configs.values() for step in config.ensemble_scheduling.step}
    for name in sorted(ready - covered):  # an ensemble's canary goes through its parts
        request = _request(configs[name])
        if request is not None:
            yield request


def _request(config: ModelConfig) -> Request | None:
    """The smallest valid request; None where only the model's author could say what that is."""
    if len(config.input) != 1:
        return None
    only = config.input[0]
    card = (
        card_from_json(config.parameters[CARD_PARAMETER].string_value, source=config.name)
        if CARD_PARAMETER in config.parameters
        else None
    )
    batch = [1] if config.max_batch_size else []
    if only.data_type == DataType.TYPE_STRING:
        if card is None:
            return None
        return Request(config.name, only.name, np.array([[_encoded_image(card)]], dtype=np.object_), "BYTES")
    smallest = card.input.min_size if card else 1
    dims = [dim if dim > 0 else smallest for dim in only.dims]
    kind = DataType.Name(only.data_type).removeprefix("TYPE_")
    if prod(dims) <= 0:
        return None
    return Request(config.name, only.name, np.zeros(batch + dims, dtype=triton_to_np_dtype(kind)), kind)


def _encoded_image(card: Card) -> bytes:
    file = io.BytesIO()
    side = card.input.min_size  # no smaller; a network of one size stretches or crops it
    Image.new("RGB", (side, side)).save(file, "PNG")
    return file.getvalue()


def _answered(client: triton.InferenceServerClient, model: str) -> int:
    """How many inferences the model has finished."""
    statistics = client.get_inference_statistics(model, client_timeout=DEADLINE).model_stats
    return sum(version.inference_stats.success.count for version in statistics)
