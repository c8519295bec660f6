"""Triton's gRPC protocol: protobuf messages, serialized."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from google.protobuf.json_format import MessageToDict
from tritonclient.grpc import service_pb2

from regard.serving.protocol.codec import Call, Message, Reply, microseconds
from regard.serving.protocol.shared_memory_key import HEADER
from regard.serving.protocol.tensors import array_from, datatype_of, dtype_of, payload
from regard.serving.protocol.wire import Answer, Fault, Request, Span

SERVICE = "/inference.GRPCInferenceService/"
PARAMETERS = {bool: "bool_param", int: "int64_param", str: "string_param"}  # the protobuf's fields


class GrpcCodec:
    """See `regard.serving.protocol.codec.Codec`."""

    def infer(self, request: Request, timeout: float | None = None) -> Call[Answer]:
        """ModelInfer."""
        message = _inference(request)
        if timeout is not None:
            message.parameters["timeout"].int64_param = microseconds(timeout)
        return Call(_message("ModelInfer", message), partial(_answer, request))

    def stream(self, request: Request) -> Call[Answer | None]:
        """ModelStreamInfer, of one request."""
        message = _message("ModelStreamInfer", _inference(request))
        # or an error would come as words without their code
        message = replace(message, headers={"triton_grpc_error": "true"})
        return Call(message, partial(_one_of_many, request))

    def config(self, model: str, version: str) -> Call[Mapping[str, Any]]:
        """ModelConfig."""
        message = service_pb2.ModelConfigRequest(name=model, version=version)
        return Call(
            _message("ModelConfig", message),
            lambda reply: _fields(service_pb2.ModelConfigResponse, reply)["config"],
        )

    def server(self) -> Call[str]:
        """ServerMetadata."""
        return Call(
            _message("ServerMetadata", service_pb2.ServerMetadataRequest()),
            lambda reply: service_pb2.ServerMetadataResponse.FromString(reply.body).version,
        )

    def versions(self, model: str) -> Call[list[int]]:
        """ModelMetadata."""
        return Call(
            _message("ModelMetadata", service_pb2.ModelMetadataRequest(name=model)),
            lambda reply: [*map(int, service_pb2.ModelMetadataResponse.FromString(reply.body).versions)],
        )

    def statistics(self, model: str) -> Call[list[dict[str, Any]]]:
        """ModelStatistics."""
        message = service_pb2.ModelStatisticsRequest(name=model)
        return Call(
            _message("ModelStatistics", message),
            lambda reply: list(_fields(service_pb2.ModelStatisticsResponse, reply).get("model_stats", ())),
        )

    def index(self) -> Call[list[dict[str, str]]]:
        """RepositoryIndex."""
        message = service_pb2.RepositoryIndexRequest()
        return Call(
            _message("RepositoryIndex", message),
            lambda reply: list(_fields(service_pb2.RepositoryIndexResponse, reply).get("models", ())),
        )

    def loaded(self) -> Call[list[dict[str, str]]]:
        """ModelStatistics of all."""
        return Call(
            _message("ModelStatistics", service_pb2.ModelStatisticsRequest()),
            lambda reply: [
                {"name": model.name, "version": model.version, "state": "READY"}
                for model in service_pb2.ModelStatisticsResponse.FromString(reply.body).model_stats
            ],
        )

    def load(self, model: str, config: str) -> Call[None]:
        """RepositoryModelLoad."""
        message = service_pb2.RepositoryModelLoadRequest(model_name=model)
        message.parameters["config"].string_param = config
        return Call(_message("RepositoryModelLoad", message), lambda reply: None)

    def unload(self, model: str) -> Call[None]:
        """RepositoryModelUnload."""
        message = service_pb2.RepositoryModelUnloadRequest(model_name=model)
        return Call(_message("RepositoryModelUnload", message), lambda reply: None)

    def ready(self) -> Call[bool]:
        """ServerReady."""
        return Call(
            _message("ServerReady", service_pb2.ServerReadyRequest()),
            lambda reply: bool(service_pb2.ServerReadyResponse.FromString(reply.body).ready),
        )

    def register(self, region: str, key: str, size: int, secret: str | None) -> Call[None]:
        """SystemSharedMemoryRegister."""
        message = service_pb2.SystemSharedMemoryRegisterRequest(name=region, key=key, byte_size=size)
        return Call(_message("SystemSharedMemoryRegister", message, secret), lambda reply: None)

    def unregister(self, region: str, secret: str | None) -> Call[None]:
        """SystemSharedMemoryUnregister."""
        message = service_pb2.SystemSharedMemoryUnregisterRequest(name=region)
        return Call(_message("SystemSharedMemoryUnregister", message, secret), lambda reply: None)

    def regions(self, secret: str | None) -> Call[list[str]]:
        """SystemSharedMemoryStatus."""
        message = service_pb2.SystemSharedMemoryStatusRequest()
        return Call(
            _message("SystemSharedMemoryStatus", message, secret),
            lambda reply: list(service_pb2.SystemSharedMemoryStatusResponse.FromString(reply.body).regions),
        )


def _message(method: str, message: Any, secret: str | None = None) -> Message:
    headers = {} if secret is None else {f"triton-grpc-protocol-{HEADER}": secret}
    return Message(SERVICE + method, message.SerializeToString(), headers=headers)


def _inference(request: Request) -> Any:
    message = service_pb2.ModelInferRequest(model_name=request.model, model_version=request.version)
    for key, value in request.parameters.items():
        setattr(message.parameters[key], PARAMETERS[type(value)], value)
    for name, array in request.inputs.items():
        entry = message.inputs.add(name=name, datatype=datatype_of(array.dtype), shape=array.shape)
        if name in request.spans:
            _share(entry, request.spans[name])
        else:
            message.raw_input_contents.append(payload(array).tobytes())
    for name in request.outputs or ():
        wanted = message.outputs.add(name=name)
        if name in request.spans:
            _share(wanted, request.spans[name])
    return message


def _answer(request: Request, reply: Reply) -> Answer:
    return _answer_in(service_pb2.ModelInferResponse.FromString(reply.body), request)


def _one_of_many(request: Request, reply: Reply) -> Answer | None:
    response = service_pb2.ModelStreamInferResponse.FromString(reply.body)
    if response.error_message:
        raise Fault("UNKNOWN", response.error_message)
    return _answer_in(response.infer_response, request) if response.infer_response.outputs else None


def _answer_in(response: Any, request: Request) -> Answer:
    arrays, written = {}, {}
    for index, output in enumerate(response.outputs):
        if output.name in request.spans:
            written[output.name] = dtype_of(output.datatype), tuple(output.shape)
        else:
            arrays[output.name] = array_from(
                response.raw_output_contents[index], output.datatype, output.shape
            )
    return Answer(arrays, written)


def _fields(kind: Any, reply: Reply) -> Any:
    return MessageToDict(kind.FromString(reply.body), preserving_proto_field_name=True)


def _share(tensor: Any, span: Span) -> None:
    tensor.parameters["shared_memory_region"].string_param = span.region
    tensor.parameters["shared_memory_offset"].int64_param = span.offset
    tensor.parameters["shared_memory_byte_size"].int64_param = span.size
