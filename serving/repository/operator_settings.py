"""What an operator changed in a model's configurations: where they differ from what regard would write."""

from collections.abc import Iterator
from pathlib import Path

from tritonclient.grpc.model_config_pb2 import ModelConfig

from regard.contract.card import Card
from regard.contract.names import CARD_PARAMETER, CONFIG_FILE, MODEL_FILE
from regard.contract.variant import Variant
from regard.serving.repository.accelerators import TENSORRT, accelerate, asks_for
from regard.serving.repository.config import (
    default_batching,
    default_instances,
    model_config,
    read_config,
    set_instances,
)
from regard.serving.repository.engine import served_by_engine
from regard.serving.repository.engine_choice import Engine
from regard.serving.repository.former import is_ensemble
from regard.serving.repository.layout import stream_endpoint
from regard.serving.repository.listing import Entry
from regard.serving.repository.raw_config import raw_config, stream_config
from regard.serving.repository.runtime import renew_onnx_runtime
from regard.serving.repository.signature import read_signature


def operator_settings(repository: Path, entry: Entry, card: Card, engine: Engine | None) -> Iterator[str]:
    """Each setting that differs from what regard writes, as `endpoint: field: value, not value`.

    card: the model's. engine: of its newest version, where it is served by one.
    """
    variant = entry.variant or Variant(name="own", file=None)
    newest = repository / entry.endpoints[0] / str(entry.versions[-1])
    signature = read_signature(newest / MODEL_FILE)
    for endpoint in entry.endpoints:
        config = read_config(repository / endpoint / CONFIG_FILE)
        if is_ensemble(config):
            continue
        default = model_config(
            entry.name,
            card,
            signature,
            runtime=variant.runtime,
            precision=variant.precision,
            instances=default_instances(),
            batching=default_batching(variant.runtime, card),
        )
        renew_onnx_runtime(config)  # it is not the operator who left it out
        if asks_for(config, TENSORRT):
            accelerate(default, card, variant.precision)
        if endpoint == stream_endpoint(entry.name):
            default = stream_config(default, card)
        elif endpoint != entry.name:
            default = raw_config(default, card, alone=entry.name not in entry.endpoints)
        elif engine is not None:
            if engine.plan is None:
                continue  # what would be written depends on it
            set_instances(default, 1)
            default = served_by_engine(default, card, engine.plan)
        yield from (f"{endpoint}: {setting}" for setting in settings_of(config, default))


def settings_of(config: ModelConfig, default: ModelConfig) -> list[str]:
    """The operator's settings that differ from what regard writes, each as `field: value, not value`."""
    checked = {
        *("name", "backend", "platform", "max_batch_size", "input", "output", "default_model_filename"),
        "model_operations",
    }
    found = []
    for field in ModelConfig.DESCRIPTOR.fields:
        if field.name in checked | {"parameters"}:
            continue
        present, written = (_text(each, field.name) for each in (config, default))
        if present != written:
            found.append(f"{field.name}: {present or 'none'}, not {written or 'none'}")
    for key in sorted({*config.parameters, *default.parameters} - {CARD_PARAMETER}):
        present, written = (
            each.parameters[key].string_value if key in each.parameters else "none"
            for each in (config, default)
        )
        if present != written:
            found.append(f"parameter {key}: {present}, not {written}")
    return found


def _text(config: ModelConfig, field: str) -> str:
    only = ModelConfig()
    only.CopyFrom(config)
    for other in ModelConfig.DESCRIPTOR.fields:
        if other.name != field:
            only.ClearField(other.name)
    return " ".join(str(only).split())
