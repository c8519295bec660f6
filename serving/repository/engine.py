"""A model by its engine, in NVIDIA's `tensorrt` backend, or by the graph beside it in ONNX Runtime: the same
name, inputs, outputs and batching, in either configuration.
"""

from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig, ModelInstanceGroup, ModelWarmup

from regard.contract.card import Card
from regard.contract.names import ENGINE_FILE, IMAGE, MODEL_FILE
from regard.contract.plan import Plan, Shape
from regard.serving.repository.config import set_card, share_out_cores, warm_up
from regard.serving.repository.engine_checks import check_covers
from regard.serving.repository.runtime import ONNX_RUNTIME, TENSORRT, fit_onnx_runtime, forget_onnx_runtime


def served_by_engine(config: ModelConfig, card: Card, plan: Plan) -> ModelConfig:
    """The configuration that loads a model's engine, from the one that runs its graph in ONNX Runtime.

    It runs on GPUs alone, and is warmed up with the shapes of every profile; what is ONNX Runtime's is left
    out.

    Raises:
        InvalidInput: the engine does not take all that the Card promises.
    """
    check_covers(plan, card)
    engine = _copy(config, TENSORRT, ENGINE_FILE)
    forget_onnx_runtime(engine)
    set_card(engine, card)
    fit_profiles(engine, plan)
    return engine


def served_by_onnx_runtime(config: ModelConfig, card: Card) -> ModelConfig:
    """The configuration that runs a model's graph in ONNX Runtime, from the one that loads its engine; the
    instances share out the cores.
    """
    graph = _copy(config, ONNX_RUNTIME, MODEL_FILE)
    for group in graph.instance_group:
        group.kind = ModelInstanceGroup.KIND_AUTO
        del group.profile[:]
    fit_onnx_runtime(graph)
    share_out_cores(graph)
    set_card(graph, card)
    warm_up(graph, card)
    return graph


def fit_profiles(config: ModelConfig, plan: Plan) -> None:
    """Let a configuration use all profiles of an engine, and warm each of them up."""
    for group in config.instance_group:
        group.kind = ModelInstanceGroup.KIND_GPU
        del group.profile[:]
        if len(plan.profiles) > 1:  # by default the first alone is used
            group.profile.extend(map(str, range(len(plan.profiles))))
    del config.model_warmup[:]
    for shape in shapes_of(plan):
        batch, *dims = shape
        warmup = config.model_warmup.add(name=f"{batch} of {' x '.join(map(str, dims))}", batch_size=batch)
        warmup.inputs[IMAGE].CopyFrom(
            ModelWarmup.Input(data_type=DataType.TYPE_UINT8, dims=dims, zero_data=True)
        )


def shapes_of(plan: Plan) -> tuple[Shape, ...]:
    """The shapes that an engine's profiles name, each once."""
    sizes = (shape for each in plan.profiles for shape in (each.least, each.best, each.most))
    return tuple(dict.fromkeys(sizes))


def _copy(config: ModelConfig, backend: str, file: str) -> ModelConfig:
    copy = ModelConfig()
    copy.CopyFrom(config)
    copy.backend, copy.platform = backend, ""
    copy.default_model_filename = file
    copy.cc_model_filenames.clear()
    return copy
