"""Triton configurations (config.pbtxt) from a Card and its graph, built with and checked by Triton's own
protobuf.

A model has two endpoints: `<name>` takes tensors, `<name>_image` takes encoded images. The second is an
ensemble of `<name>_preprocess` and `<name>`. Nothing names a GPU (KIND_AUTO), so that one repository serves
on every machine.
"""

import os
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import (
    DataType,
    ModelConfig,
    ModelEnsembling,
    ModelInput,
    ModelInstanceGroup,
    ModelOutput,
    ModelParameter,
    ModelWarmup,
)

from regard.contract.card import Card
from regard.contract.names import (
    CARD_PARAMETER,
    ENCODED_IMAGE,
    IMAGE,
    IMAGE_ENDPOINT,
    LABELS_FILE,
    MODEL_FILE,
    PREPROCESS_STEP,
    PROBABILITIES,
)
from regard.errors import InvalidInput
from regard.serving.repository.signature import Signature, Tensor

MAX_INSTANCES = 8  # each holds the weights in memory; where there are more cores, each gets several
PREFERRED_BATCH = 4  # larger batches gain nothing on a CPU and make one request wait for many others


def model_config(name: str, card: Card, signature: Signature, *, instances: int) -> ModelConfig:
    """The configuration of `<name>`: tensors in, answers out, on the onnxruntime backend.

    Args:
        name: the served name.
        card: the model's Card.
        signature: its graph's inputs and outputs.
        instances: sessions that work at the same time; see `set_instances`.
    """
    config = ModelConfig(
        name=name,
        backend="onnxruntime",
        default_model_filename=MODEL_FILE,
        max_batch_size=card.input.max_batch,
        input=[_input(tensor) for tensor in signature.inputs],
        output=[_output(tensor) for tensor in signature.outputs],
    )
    for output in config.output:
        if output.name == PROBABILITIES:
            output.label_filename = LABELS_FILE
    config.dynamic_batching.preferred_batch_size.append(min(PREFERRED_BATCH, card.input.max_batch))
    set_instances(config, instances)
    _set(config, "inter_op_thread_count", "1")
    set_card(config, card)
    warmup = config.model_warmup.add(name="one image", batch_size=1)
    for tensor in signature.inputs:
        dims = (
            (card.input.height, card.input.width, card.input.channels)
            if tensor.name == IMAGE
            else tuple(max(dim, 1) for dim in tensor.dims)
        )
        warmup.inputs[tensor.name].CopyFrom(
            ModelWarmup.Input(data_type=DataType.Value(tensor.data_type), dims=dims, zero_data=True)
        )
    return config


def preprocess_config(name: str, card: Card, signature: Signature, *, instances: int) -> ModelConfig:
    """The configuration of `<name>_preprocess`: encoded images in, pixels out, in Python on the server."""
    return ModelConfig(
        name=name + PREPROCESS_STEP,
        backend="python",
        max_batch_size=card.input.max_batch,
        input=[ModelInput(name=ENCODED_IMAGE, data_type=DataType.TYPE_STRING, dims=[1])],
        output=[_output(tensor) for tensor in signature.inputs if tensor.name == IMAGE],
        instance_group=[ModelInstanceGroup(kind=ModelInstanceGroup.KIND_CPU, count=instances)],
    )


def image_config(name: str, card: Card, signature: Signature) -> ModelConfig:
    """The configuration of `<name>_image`, the ensemble: encoded images in, answers out."""
    config = ModelConfig(
        name=name + IMAGE_ENDPOINT,
        platform="ensemble",
        max_batch_size=card.input.max_batch,
        input=[ModelInput(name=ENCODED_IMAGE, data_type=DataType.TYPE_STRING, dims=[1])],
        output=[_output(tensor) for tensor in signature.outputs],
        ensemble_scheduling=ModelEnsembling(
            step=[
                # the tensor between the steps is no output: exposed and not asked for, it would stop the
                # ensemble
                ModelEnsembling.Step(
                    model_name=name + PREPROCESS_STEP,
                    model_version=-1,
                    input_map={ENCODED_IMAGE: ENCODED_IMAGE},
                    output_map={IMAGE: "pixels"},
                ),
                ModelEnsembling.Step(
                    model_name=name,
                    model_version=-1,
                    input_map={IMAGE: "pixels"},
                    output_map={tensor.name: tensor.name for tensor in signature.outputs},
                ),
            ]
        ),
    )
    set_card(config, card)
    return config


def set_card(config: ModelConfig, card: Card) -> None:
    """Put the Card where clients read it, the parameter `card`, without the proof and the tools that made
    it.
    """
    _set(config, CARD_PARAMETER, card.model_dump_json(exclude={"certificates", "tools"}))


def set_instances(config: ModelConfig, instances: int) -> None:
    """How many sessions of a model work at the same time; they share out the cores as threads."""
    del config.instance_group[:]
    config.instance_group.add(kind=ModelInstanceGroup.KIND_AUTO, count=instances)
    _set(config, "intra_op_thread_count", str(max(1, _cores() // instances)))


def default_instances() -> int:
    """One for each core, within MAX_INSTANCES."""
    return min(_cores(), MAX_INSTANCES)


def to_text(config: ModelConfig) -> str:
    """The configuration as the text of config.pbtxt; reading it back gives the same configuration."""
    text = text_format.MessageToString(config, as_utf8=True)
    if text_format.Parse(text, ModelConfig()) != config:
        raise AssertionError(f"config.pbtxt of {config.name} does not read back as it was written")
    return text


def read_config(path: Path) -> ModelConfig:
    """Read a config.pbtxt.

    Raises:
        InvalidInput: no such file, or not what Triton's protobuf describes.
    """
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), ModelConfig())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise InvalidInput(
            f"cannot read {path}: {error}. Correct it, or remove the model and add it again."
        ) from None


def _input(tensor: Tensor) -> ModelInput:
    return ModelInput(name=tensor.name, data_type=DataType.Value(tensor.data_type), dims=tensor.dims)


def _output(tensor: Tensor) -> ModelOutput:
    return ModelOutput(name=tensor.name, data_type=DataType.Value(tensor.data_type), dims=tensor.dims)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _set(config: ModelConfig, key: str, value: str) -> None:
    config.parameters[key].CopyFrom(ModelParameter(string_value=value))
