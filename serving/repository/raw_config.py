"""The configurations of a model's endpoints for what people have: image files and texts in, answers out with
the words among them, whole or word by word.
"""

from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig, ModelInstanceGroup, ModelOutput

from regard.contract.card import Card
from regard.contract.inputs import FramesInput
from regard.contract.names import ENCODED_IMAGE, LOG_PROBABILITY, SEQUENCE, TEXT, TOKEN
from regard.serving.repository.layout import raw_endpoint, stream_endpoint
from regard.serving.repository.runtime import (
    IMAGE_BACKEND,
    ONNX_RUNTIME,
    OPENVINO,
    RUNTIME,
    STREAM_BACKEND,
    declare_batches,
    runtime_of,
    set_parameter,
)

STREAMED = {  # what a stream answers for each word
    TOKEN: DataType.TYPE_INT64,
    TEXT: DataType.TYPE_STRING,
    LOG_PROBABILITY: DataType.TYPE_FP32,
}


def raw_config(model: ModelConfig, card: Card, *, alone: bool) -> ModelConfig:
    """The configuration of `<name>_image` or `<name>_text`: otherwise as `<name>`.

    Args:
        model: the configuration of `<name>`.
        card: the model's.
        alone: there is no `<name>` to call, so that it computes on the CPU, wherever it runs.
    """
    config = ModelConfig()
    config.CopyFrom(model)
    config.name = raw_endpoint(model.name, card)
    config.backend, config.platform = IMAGE_BACKEND, ""
    _take(config, card)
    config.cc_model_filenames.clear()
    runtime = runtime_of(model)
    if runtime == OPENVINO:
        set_parameter(config, RUNTIME, runtime)
        # by a backend of ours, which takes any; nor would a file as a request's whole body do without
        declare_batches(config, card.max_batch)
    if card.answer.tensor == SEQUENCE:
        config.output.add(name=TEXT, data_type=DataType.TYPE_STRING, dims=[1])
    if alone:
        for group in config.instance_group:
            group.kind = ModelInstanceGroup.KIND_CPU
    else:
        set_parameter(config, "model", model.name)
        if runtime not in (ONNX_RUNTIME, OPENVINO):
            set_parameter(config, "compute", "model")  # another backend's file, which no session here reads
    return config


def stream_config(model: ModelConfig, card: Card) -> ModelConfig:
    """The configuration of `<name>_stream`: one request at a time for each instance, and an answer for each
    word.

    Args:
        model: the configuration of `<name>`.
        card: the model's.
    """
    config = ModelConfig()
    config.CopyFrom(model)
    config.name = stream_endpoint(model.name)
    config.backend, config.platform = STREAM_BACKEND, ""
    config.max_batch_size = 1
    config.ClearField("dynamic_batching")
    config.model_transaction_policy.decoupled = True
    _take(config, card)
    del config.output[:]
    config.output.extend(ModelOutput(name=name, data_type=kind, dims=[1]) for name, kind in STREAMED.items())
    for group in config.instance_group:
        group.kind = ModelInstanceGroup.KIND_CPU
    return config


def raw_inputs(card: Card) -> dict[str, int]:
    """The tensors of strings that such an endpoint takes, each with how many elements a request has for one
    answer: the frames of a clip together.
    """
    found = {}
    for each in card.inputs:
        name = ENCODED_IMAGE if each is card.pixels else each.tensor
        found[name] = each.frames if isinstance(each, FramesInput) else 1
    return found


def _take(config: ModelConfig, card: Card) -> None:
    """Take files and texts in place of tensors."""
    del config.input[:]
    for name, count in raw_inputs(card).items():
        config.input.add(name=name, data_type=DataType.TYPE_STRING, dims=[count])
    del config.model_warmup[:]  # for the inputs of `<name>`; the backend warms itself up
