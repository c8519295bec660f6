"""The configuration of an engine, and the way back to ONNX Runtime."""

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import text_format
from tests.serving.repository.plans import plan_of
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup

from regard.contract.card import Card
from regard.contract.plan import Profile
from regard.errors import InvalidInput
from regard.export.artifact import Artifact
from regard.serving.repository.config import model_config
from regard.serving.repository.engine import served_by_engine, served_by_onnx_runtime
from regard.serving.repository.signature import read_signature


def config_of(artifact: Artifact, **changes: Any) -> ModelConfig:
    options = {
        "runtime": "onnxruntime",
        "precision": "float32",
        "instances": 2,
        "batching": True,
    }
    return model_config("name", artifact.card, read_signature(artifact.model), **(options | changes))


def test_an_engine_is_called_as_the_graph_is(largest: Artifact) -> None:
    """Inputs, outputs, Card, batching and the number of instances stay; the rest is TensorRT's."""
    graph = config_of(largest)
    engine = served_by_engine(graph, largest.card, plan_of(largest.card, graph_sha256=largest.sha256))
    assert (engine.name, engine.backend, engine.default_model_filename) == ("name", "tensorrt", "model.plan")
    for field in ("input", "output", "max_batch_size", "dynamic_batching"):
        assert getattr(engine, field) == getattr(graph, field)
    assert set(engine.parameters) == {"card"}
    assert engine.parameters["card"] == graph.parameters["card"]
    assert [(group.kind, group.count, [*group.profile]) for group in engine.instance_group] == [
        (ModelInstanceGroup.KIND_GPU, 2, [])
    ]


def test_every_profile_is_used_and_warmed_up(largest: Artifact) -> None:
    """With its smallest, its best and its largest shape; a shape that two profiles name, once."""
    wide = Profile(least=(1, 16, 16, 3), best=(4, 48, 64, 3), most=(4, 128, 128, 3))
    single = Profile(least=(1, 16, 16, 3), best=(1, 48, 64, 3), most=(1, 128, 128, 3))
    plan = plan_of(largest.card, graph_sha256=largest.sha256, profiles=(single, wide))
    engine = served_by_engine(config_of(largest), largest.card, plan)
    assert [*engine.instance_group[0].profile] == ["0", "1"]
    warmed = [(each.batch_size, *each.inputs["image"].dims) for each in engine.model_warmup]
    assert warmed == [single.least, single.best, single.most, wide.best, wide.most]
    assert len({each.name for each in engine.model_warmup}) == len(warmed)


def test_there_and_back(colour: Artifact) -> None:
    """What regard wrote is what comes back, and an operator's own settings are kept on both ways."""
    graph = config_of(colour)
    plan = plan_of(colour.card, graph_sha256=colour.sha256)
    assert served_by_onnx_runtime(served_by_engine(graph, colour.card, plan), colour.card) == graph
    graph.version_policy.latest.num_versions = 2
    graph.optimization.input_pinned_memory.enable = True
    engine = served_by_engine(graph, colour.card, plan)
    assert engine.optimization.input_pinned_memory.enable
    assert served_by_onnx_runtime(engine, colour.card) == graph
    assert text_format.Parse(text_format.MessageToString(engine), ModelConfig()) == engine


@pytest.mark.parametrize(
    "narrow",
    [
        lambda card: Profile(least=(2, 16, 16, 3), best=(4, 48, 64, 3), most=(4, 128, 128, 3)),
        lambda card: Profile(least=(1, 16, 16, 3), best=(2, 48, 64, 3), most=(2, 128, 128, 3)),
        lambda card: Profile(least=(1, 16, 16, 3), best=(4, 48, 64, 3), most=(4, 128, 64, 3)),
        lambda card: Profile(least=(1, 32, 16, 3), best=(4, 48, 64, 3), most=(4, 128, 128, 3)),
        lambda card: Profile(least=(1, 16, 16), best=(4, 48, 64), most=(4, 128, 128)),
    ],
    ids=["smallest batch", "largest batch", "width", "height", "rank"],
)
def test_an_engine_for_less_than_the_card_promises(
    largest: Artifact, narrow: Callable[[Card], Profile]
) -> None:
    plan = plan_of(largest.card, graph_sha256=largest.sha256, profiles=(narrow(largest.card),))
    with pytest.raises(InvalidInput, match=r"the Card promises \[1, 16, 16, 3\] to \[4, 128, 128, 3\]"):
        served_by_engine(config_of(largest), largest.card, plan)
