"""The library of operators that a configuration names: of the newest version that has one.

NVIDIA's container loads it by an absolute path, below the folder where docker-compose.yml mounts the
repository, or docker-compose.gpu.yml the snapshot of it. Our own backends take from that path the file's name
alone, and the file from the folder of the version that is being loaded.
"""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from tritonclient.grpc.model_config_pb2 import ModelConfig

from regard.contract.names import OPERATORS_FILE
from regard.errors import InvalidInput

MOUNT, SNAPSHOT_MOUNT = PurePosixPath("/models"), PurePosixPath("/engines/current")


def set_library(config: ModelConfig, version: int | None) -> None:
    """Name the library of a version of the configuration's endpoint, or none."""
    config.ClearField("model_operations")
    if version is not None:
        path = MOUNT / config.name / str(version) / OPERATORS_FILE
        config.model_operations.op_library_filename.append(str(path))


def mount_elsewhere(config: ModelConfig, mount: PurePosixPath) -> None:
    """Name the same library below the folder where another mount of the repository is."""
    names = config.model_operations.op_library_filename
    names[:] = [str(mount / _below(name)) for name in names]


def version_with_library(endpoint: Path, versions: Iterable[int]) -> int | None:
    """The newest of some versions that has a library of operators."""
    having = [version for version in versions if (endpoint / str(version) / OPERATORS_FILE).is_file()]
    return max(having, default=None)


def check_library(config: ModelConfig, endpoint: Path, versions: Iterable[int], *, mend: str) -> None:
    """Refuse a configuration that names another library than the versions have; where the repository is
    mounted is the operator's affair.

    Raises:
        InvalidInput: it does.
    """
    found = [str(_below(name)) for name in config.model_operations.op_library_filename]
    version = version_with_library(endpoint, versions)
    wanted = [] if version is None else [f"{endpoint.name}/{version}/{OPERATORS_FILE}"]
    if found != wanted:
        raise InvalidInput(
            f"the configuration of {endpoint} names {', '.join(found) or 'no library of operators'}, its "
            f"versions have {', '.join(wanted) or 'none'}; {mend}"
        )


def _below(name: str) -> PurePosixPath:
    """A library's path below the repository: endpoint, version, file."""
    return PurePosixPath(*PurePosixPath(name).parts[-3:])
