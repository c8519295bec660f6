"""The gRPC transports: tritonclient's channel, sync and async."""

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput, InferResult
from tritonclient.grpc.aio import InferenceServerClient as AsyncInferenceServerClient
from tritonclient.utils import InferenceServerException, np_to_triton_dtype, triton_to_np_dtype

from regard.serving.client.cancellation import Cancellation
from regard.serving.client.wire import Answer, Fault, Request

CHANNEL = [
    ("grpc.max_send_message_length", 2**31 - 1),
    ("grpc.max_receive_message_length", 2**31 - 1),
    ("grpc.initial_reconnect_backoff_ms", 100),  # gRPC's own second would outlast our retries
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),  # a client never inherits another one's back-off
]
# gRPC says UNAVAILABLE about a connection, too, as Triton does about a model: these words tell them apart
LOST = (
    "failed to connect",
    "connection",
    "socket",
    "dns resolution",
    "name resolution",
    "goaway",
    "broken pipe",
    "endpoint",
)


class GrpcTransport:
    """See `regard.serving.client.wire.Transport`."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._headers = dict(headers)
        self._client: Any = InferenceServerClient(url, channel_args=CHANNEL)

    def infer(self, request: Request, *, timeout: float, cancellation: Cancellation) -> Answer:
        """Send one inference."""
        done: Future[Any] = Future()

        def finish(result: Any, error: Any) -> None:
            done.set_exception(error) if error is not None else done.set_result(result)

        try:
            call = self._client.async_infer(
                callback=finish, client_timeout=timeout, headers=self._headers, **_arguments(request)
            )
            try:
                with cancellation.on(call.cancel):
                    return _answer(done.result(), request)
            except KeyboardInterrupt:
                call.cancel()
                raise
        except InferenceServerException as error:
            raise _fault(error) from None

    def config(self, model: str, version: str, *, timeout: float) -> Mapping[str, Any]:
        """A model's configuration."""
        try:
            answer = self._client.get_model_config(
                model, version, headers=self._headers, as_json=True, client_timeout=timeout
            )
        except InferenceServerException as error:
            raise _fault(error) from None
        return _config(answer)

    def index(self, *, timeout: float) -> list[dict[str, str]]:
        """The repository index: name, version and state of every model."""
        try:
            answer = self._client.get_model_repository_index(
                headers=self._headers, as_json=True, client_timeout=timeout
            )
        except InferenceServerException as error:
            raise _fault(error) from None
        return _index(answer)

    def ready(self, *, timeout: float) -> bool:
        """Whether the server and all its models are ready."""
        try:
            return bool(self._client.is_server_ready(headers=self._headers, client_timeout=timeout))
        except InferenceServerException as error:
            raise _fault(error) from None

    def register(self, region: str, key: str, size: int, *, timeout: float) -> None:
        """Let the server open a shared memory region."""
        try:
            self._client.register_system_shared_memory(
                region, key, size, headers=self._headers, client_timeout=timeout
            )
        except InferenceServerException as error:
            raise _fault(error) from None

    def unregister(self, region: str, *, timeout: float) -> None:
        """Let the server forget a region."""
        try:
            self._client.unregister_system_shared_memory(
                region, headers=self._headers, client_timeout=timeout
            )
        except InferenceServerException as error:
            raise _fault(error) from None

    def close(self) -> None:
        """Close the channel."""
        self._client.close()


class AsyncGrpcTransport:
    """See `regard.serving.client.wire.AsyncTransport`. It belongs to the event loop that first uses it."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url = url
        self._headers = dict(headers)
        self._opened: Any = None

    @property
    def _client(self) -> Any:
        if self._opened is None:
            self._opened = AsyncInferenceServerClient(self._url, channel_args=CHANNEL)
        return self._opened

    async def infer(self, request: Request, *, timeout: float) -> Answer:
        """Send one inference."""
        try:
            result = await self._client.infer(
                client_timeout=timeout, headers=self._headers, **_arguments(request)
            )
        except InferenceServerException as error:
            raise _fault(error) from None
        return _answer(result, request)

    async def config(self, model: str, version: str, *, timeout: float) -> Mapping[str, Any]:
        """A model's configuration."""
        try:
            answer = await self._client.get_model_config(
                model, version, headers=self._headers, as_json=True, client_timeout=timeout
            )
        except InferenceServerException as error:
            raise _fault(error) from None
        return _config(answer)

    async def index(self, *, timeout: float) -> list[dict[str, str]]:
        """The repository index: name, version and state of every model."""
        try:
            answer = await self._client.get_model_repository_index(
                headers=self._headers, as_json=True, client_timeout=timeout
            )
        except InferenceServerException as error:
            raise _fault(error) from None
        return _index(answer)

    async def ready(self, *, timeout: float) -> bool:
        """Whether the server and all its models are ready."""
        try:
            return bool(await self._client.is_server_ready(headers=self._headers, client_timeout=timeout))
        except InferenceServerException as error:
            raise _fault(error) from None

    async def register(self, region: str, key: str, size: int, *, timeout: float) -> None:
        """Let the server open a shared memory region."""
        try:
            await self._client.register_system_shared_memory(
                region, key, size, headers=self._headers, client_timeout=timeout
            )
        except InferenceServerException as error:
            raise _fault(error) from None

    async def unregister(self, region: str, *, timeout: float) -> None:
        """Let the server forget a region."""
        try:
            await self._client.unregister_system_shared_memory(
                region, headers=self._headers, client_timeout=timeout
            )
        except InferenceServerException as error:
            raise _fault(error) from None

    async def close(self) -> None:
        """Close the channel."""
        if self._opened is not None:
            await self._opened.close()


def _arguments(request: Request) -> dict[str, Any]:
    inputs = []
    for name, array in request.inputs.items():
        tensor = InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        span = request.spans.get(name)
        if span:
            tensor.set_shared_memory(span.region, span.size, span.offset)
        else:
            tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    outputs = None if request.outputs is None else [InferRequestedOutput(name) for name in request.outputs]
    for wanted in outputs or ():
        span = request.spans.get(wanted.name())
        if span:
            wanted.set_shared_memory(span.region, span.size, span.offset)
    return {
        "model_name": request.model,
        "model_version": request.version,
        "inputs": inputs,
        "outputs": outputs,
    }


def _answer(result: InferResult, request: Request) -> Answer:
    arrays, written = {}, {}
    for output in result.get_response().outputs:
        if output.name in request.spans:
            written[output.name] = np.dtype(triton_to_np_dtype(output.datatype)), tuple(output.shape)
        else:
            arrays[output.name] = result.as_numpy(output.name)
    return Answer(arrays, written)


def _config(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    config: Mapping[str, Any] = answer["config"]
    return config


def _index(answer: Mapping[str, Any]) -> list[dict[str, str]]:
    return list(answer.get("models", ()))


def _fault(error: InferenceServerException) -> Fault:
    code = (error.status() or "UNKNOWN").removeprefix("StatusCode.")
    message = error.message() or "no details"
    if code == "UNAVAILABLE" and any(sign in message.lower() for sign in LOST):
        return Fault(code, message.rpartition(": ")[2], answered=False)
    return Fault(code, message)
