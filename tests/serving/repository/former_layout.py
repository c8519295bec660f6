"""Models as earlier regards laid them out: the endpoint for images was an ensemble."""

import json
import shutil
from pathlib import Path

from google.protobuf import text_format
from tests.serving.repository.repositories import config_of
from tritonclient.grpc.model_config_pb2 import ModelConfig

from regard.contract import preprocess
from regard.export.artifact import Artifact
from regard.serving.repository import add

STEP = Path(__file__).with_name("former_step.py")  # as it was copied into every repository
PREPROCESS = """
name: "{name}_preprocess"
backend: "python"
max_batch_size: {batch}
input {{ name: "encoded_image" data_type: TYPE_STRING dims: 1 }}
output {{ name: "image" data_type: TYPE_UINT8 dims: {dims} }}
instance_group {{ count: 1 kind: KIND_CPU }}
"""
ENSEMBLE = """
name: "{name}_image"
platform: "ensemble"
max_batch_size: {batch}
input {{ name: "encoded_image" data_type: TYPE_STRING dims: 1 }}
ensemble_scheduling {{
  step {{
    model_name: "{name}_preprocess" model_version: -1
    input_map {{ key: "encoded_image" value: "encoded_image" }}
    output_map {{ key: "image" value: "pixels" }}
  }}
  step {{
    model_name: "{name}" model_version: -1
    input_map {{ key: "image" value: "pixels" }}
    output_map {{ key: "{output}" value: "{output}" }}
  }}
}}
"""


def of_schema_1(text: str) -> str:
    """A Card's JSON as it was before."""
    card = json.loads(text)
    (taken,), answer = card.pop("inputs"), card.pop("answer")
    task = {"classes": "classification", "label_map": "segmentation"}[answer["kind"]]
    for name in ("kind", "channels", "pad_to"):
        del taken[name]
    output = {"labels": answer["labels"], "palette": answer.get("palette"), "ignore_index": None}
    for certificate in card.get("certificates", ()):
        del certificate["reference_sha256"], certificate["candidate_sha256"]
    return json.dumps(card | {"schema_version": 1, "task": task, "input": taken, "output": output})


def add_as_before(*versions: Artifact, repository: Path, name: str) -> None:
    """Add versions of a model, and lay it out as an earlier regard did: with Cards of schema 1, without
    goldens and manifests.
    """
    for artifact in versions:
        add(artifact, repository, name=name, instances=1, batching=True)
    model, image, step = (repository / (name + suffix) for suffix in ("", "_image", "_preprocess"))
    for path in (model, *(model / str(version) for version in range(1, len(versions) + 1))):
        (path / "card.json").write_text(of_schema_1((path / "card.json").read_text()))
        (path / "manifest.json").unlink(missing_ok=True)
        shutil.rmtree(path / "goldens", ignore_errors=True)
    config = config_of(model)
    config.parameters["card"].string_value = of_schema_1(config.parameters["card"].string_value)
    (model / "config.pbtxt").write_text(text_format.MessageToString(config))
    (output,) = config.output
    facts = {
        "name": name,
        "batch": config.max_batch_size,
        "dims": list(config.input[0].dims),
        "output": output.name,
    }
    ensemble = text_format.Parse(ENSEMBLE.format(**facts), ModelConfig())
    ensemble.output.add(name=output.name, data_type=output.data_type, dims=output.dims)
    ensemble.parameters["card"].CopyFrom(config.parameters["card"])
    shutil.rmtree(image)
    (image / "1").mkdir(parents=True)
    (image / "1" / ".keep").touch()
    (image / "config.pbtxt").write_text(text_format.MessageToString(ensemble))
    (step / "1").mkdir(parents=True)
    (step / "config.pbtxt").write_text(PREPROCESS.format(**facts))
    shutil.copyfile(STEP, step / "1" / "model.py")
    shutil.copyfile(preprocess.__file__, step / "1" / "preprocess.py")
    shutil.copyfile(model / "card.json", step / "1" / "card.json")
    (step / "1" / "__pycache__").touch()
