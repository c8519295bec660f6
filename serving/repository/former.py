"""The layout that earlier regards wrote, which is still served, listed and removed: `<name>_image` was an
ensemble of `<name>_preprocess`, with decoding code of its own, and `<name>`.
"""

from pathlib import Path

from tritonclient.grpc.model_config_pb2 import ModelConfig

from regard.contract.names import CONFIG_FILE, IMAGE_ENDPOINT
from regard.serving.repository.config import read_config


def is_ensemble(config: ModelConfig) -> bool:
    """Whether a configuration is that of the former endpoint for images."""
    platform: str = config.platform
    return platform == "ensemble"


def is_former(repository: Path, name: str) -> bool:
    """Whether a model lies there as an earlier regard left it."""
    file = repository / (name + IMAGE_ENDPOINT) / CONFIG_FILE
    return file.is_file() and is_ensemble(read_config(file))
