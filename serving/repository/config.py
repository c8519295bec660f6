"""Triton configurations (config.pbtxt) from a Card and its graph, built with and checked by Triton's own
protobuf.

`<name>` takes tensors; raw_config.py has the endpoints for files, texts and streams of words. Nothing names a
GPU (KIND_AUTO), so that one repository serves on every machine.
"""

import os
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import (
    DataType,
    ModelConfig,
    ModelInput,
    ModelInstanceGroup,
    ModelOutput,
    ModelWarmup,
)

from regard.contract.card import Card
from regard.contract.names import (
    CARD_PARAMETER,
    LABELS_FILE,
    MODEL_FILE,
    PROBABILITIES,
)
from regard.contract.variant import Precision, Runtime
from regard.errors import InvalidInput
from regard.serving.machine.gpus import has_nvidia_gpu
from regard.serving.repository.runtime import (
    ONNX_RUNTIME,
    OPENVINO,
    check_batching,
    fit_onnx_runtime,
    fit_openvino,
    set_parameter,
    set_threads,
)
from regard.serving.repository.sessions import hidden, keep_sessions
from regard.serving.repository.signature import Signature, Tensor

MAX_INSTANCES = 8  # each holds the weights in memory; where there are more cores, each gets several
PREFERRED_BATCH = 4  # larger batches gain nothing on a CPU and make one request wait for many others


def model_config(
    name: str,
    card: Card,
    signature: Signature,
    *,
    runtime: Runtime,
    precision: Precision,
    instances: int,
    batching: bool,
    threads: int | None = None,
) -> ModelConfig:
    """The configuration of `<name>`: tensors in, answers out.

    Args:
        name: the served name.
        card: the model's Card.
        signature: its graph's inputs and outputs.
        runtime: what runs the graph, by the name of its backend.
        precision: that it computes in.
        instances: sessions that work at the same time; see `set_instances`.
        batching: whether requests that wait are worked on together.
        threads: of each session; None shares out the cores.
    """
    config = ModelConfig(
        name=name,
        backend=runtime,
        default_model_filename=MODEL_FILE,
        max_batch_size=card.max_batch,
        input=[_input(tensor) for tensor in signature.inputs if tensor.name not in hidden(card)],
        output=[_output(tensor) for tensor in signature.outputs if tensor.name not in hidden(card)],
    )
    for output in config.output:
        if output.name == PROBABILITIES:
            output.label_filename = LABELS_FILE
    if card.state is not None:
        keep_sessions(config, card.state)
    set_batching(config, batching)
    set_instances(config, instances)
    if threads is not None:
        set_threads(config, threads)
    if runtime == ONNX_RUNTIME:
        fit_onnx_runtime(config)
    set_card(config, card)
    warm_up(config, card)
    if runtime == OPENVINO:
        fit_openvino(config, precision)
    return config


def set_card(config: ModelConfig, card: Card) -> None:
    """Put the Card where clients read it, the parameter `card`, without the proof and the tools that made
    it.
    """
    set_parameter(config, CARD_PARAMETER, card.model_dump_json(exclude={"certificates", "tools"}))


def warm_up(config: ModelConfig, card: Card) -> None:
    """Let the server run a model once before it calls it ready, on one entry of the Card's size; of zeros,
    which are no text and no session, so that models of those are asked first by a canary.
    """
    del config.model_warmup[:]
    if card.texts or card.state is not None:
        return
    taken = card.input
    warmup = config.model_warmup.add(name=f"one {taken.kind}", batch_size=1)
    for tensor in config.input:
        sides = iter((taken.height, taken.width))
        dims = [next(sides) if dim < 0 else dim for dim in tensor.dims]
        warmup.inputs[tensor.name].CopyFrom(
            ModelWarmup.Input(data_type=tensor.data_type, dims=dims, zero_data=True)
        )


def set_instances(config: ModelConfig, instances: int) -> None:
    """How many sessions of a model work at the same time, on the device as before; they share out the cores
    as threads.
    """
    group = ModelInstanceGroup(kind=ModelInstanceGroup.KIND_AUTO)
    if config.instance_group:
        group = ModelInstanceGroup(
            kind=config.instance_group[0].kind, profile=config.instance_group[0].profile
        )
    group.count = instances
    del config.instance_group[:]
    config.instance_group.append(group)
    share_out_cores(config)


def share_out_cores(config: ModelConfig) -> None:
    """Give the threads of this machine's cores to a model's instances."""
    instances = sum(int(group.count) for group in config.instance_group)
    set_threads(config, max(1, _cores() // max(1, instances)))


def set_batching(config: ModelConfig, batching: bool) -> None:
    """Whether requests that wait are worked on together; none waits for others to arrive, and a stream of
    words is by itself.

    Raises:
        InvalidInput: the runtime cannot.
    """
    config.ClearField("dynamic_batching")
    if batching and not config.model_transaction_policy.decoupled:
        check_batching(config)
        config.dynamic_batching.preferred_batch_size.append(min(PREFERRED_BATCH, config.max_batch_size))


def default_instances() -> int:
    """One for each core, within MAX_INSTANCES."""
    return min(_cores(), MAX_INSTANCES)


def default_batching(runtime: Runtime, card: Card) -> bool:
    """For ONNX Runtime where there is an NVIDIA GPU: on a CPU it gains nothing, and makes one request wait
    for another. Never for sessions.
    """
    return runtime == ONNX_RUNTIME and card.state is None and has_nvidia_gpu()


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
