"""Looking into repositories, and changing what is added."""

from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from regard.export.artifact import Artifact


def config_of(folder: Path) -> ModelConfig:
    return text_format.Parse((folder / "config.pbtxt").read_text(), ModelConfig())


def unchecked(repository: Path, name: str) -> None:
    """A server's check of files that lets all of them pass, for faults that only loading shows."""


def changed(artifact: Artifact, **changes: Any) -> Artifact:
    """The artifact with another Card; its input, answer or origin is changed in the fields given."""
    fields = {name: getattr(artifact.card, name).model_dump() | value for name, value in changes.items()}
    if "input" in fields:
        fields["inputs"] = [fields.pop("input")]
    return Artifact(artifact.folder, artifact.card.updated(**fields), artifact.sha256)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
