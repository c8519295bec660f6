"""Engines that are none, with proper records: nothing here can load one."""

from typing import Any

from regard.contract.card import Card
from regard.contract.digest import sha256
from regard.contract.manifest import write_manifest
from regard.contract.plan import Layer, Plan
from regard.export.artifact import Artifact
from regard.export.tensorrt.profile import profile_of
from regard.export.variant import read_artifact_or_variant
from regard.serving.repository.engine_checks import bindings_of
from regard.serving.repository.signature import read_signature


def plan_of(card: Card, *, graph_sha256: str, **changes: Any) -> Plan:
    """The record of an engine that fits the Card, of Triton 24.10's TensorRT and for one GPU."""
    fields: dict[str, Any] = {
        "graph_sha256": graph_sha256,
        "library": "tensorrt",
        "version": "10.5.0.18",
        "target": "triton:24.10",
        "compute_capabilities": ("8.6",),
        "gpu": "a GPU",
        "precision": "float32",
        "profiles": (profile_of(card.input),),
        "layers": (Layer(name="convolution", type="CaskConvolution", precision="FP32"),),
        "workspace": 2**30,
        "seconds": 1.0,
    }
    return Plan.model_validate(fields | changes)


def with_engine(artifact: Artifact, **changes: Any) -> Artifact:
    """The artifact, with an engine of its graph beside it; `changes` are of the record."""
    of_it = {
        "graph_sha256": artifact.sha256,
        "precision": artifact.precision,
        "bindings": bindings_of(read_signature(artifact.model)),
    }
    plan = plan_of(artifact.card, **(of_it | changes))
    (artifact.folder / "model.plan").write_bytes(b"an engine")
    (artifact.folder / "plan.json").write_text(plan.model_dump_json())
    of = artifact.variant_of
    write_manifest(artifact.folder, variant_of=None if of is None else sha256(of / "manifest.json"))
    return read_artifact_or_variant(artifact.folder)
