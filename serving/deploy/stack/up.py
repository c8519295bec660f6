"""Bringing the stack up and taking it down."""

from collections.abc import Callable
from pathlib import Path

from regard.contract.names import model_of
from regard.errors import InvalidInput
from regard.serving.deploy.published_faults import warning_of
from regard.serving.deploy.routing import served_repository
from regard.serving.deploy.stack.client_keys import FOLDER, copy_keys
from regard.serving.deploy.stack.compose import OVERLAYS, compose_in
from regard.serving.deploy.stack.readiness import wait_until_ready
from regard.serving.deploy.stack.running import Running, release_of, running

REPOSITORY = "model_repository"  # in the project's folder
TRITON = GATEWAY = 1000  # users, and groups, of the containers
PROMETHEUS = 65534
MOUNTED = {
    REPOSITORY: TRITON,
    "deployment/snapshots": TRITON,
    "deployment/routing": GATEWAY,
    "docker/gateway": GATEWAY,
    "docker/prometheus": PROMETHEUS,
}


def up(
    project: Path,
    *,
    gpu: bool = False,
    dev: bool = False,
    build: bool = False,
    timeout: float = 900.0,
    report: Callable[[str], None],
) -> Running:
    """Start the stack of a folder, or what of it does not run yet, and wait until it serves.

    Args:
        project: the folder that holds docker-compose.yml.
        gpu: with the GPUs of this machine.
        dev: without TLS and keys, for this machine alone.
        build: make the images again, as after an update; otherwise those that are missing.
        timeout: seconds to wait for, once the containers are started.
        report: told what is under way, in lines.

    Raises:
        InvalidInput: the folder holds no stack, or names no release of Triton, or its containers may not read
            what they are given.
        StackError: there is no Docker, or a service does not come up.
    """
    compose = compose_in(project, gpu=gpu, dev=dev)
    warning_of(release_of(compose.config["services"]))
    repository = served_repository(project / "deployment", project / REPOSITORY)
    models = models_in(repository)
    for folder, user in MOUNTED.items():
        check_readable(project / folder, user)
    if build:
        compose.follow("build", report=report)
    compose.follow("up", "--detach", report=report)
    wait_until_ready(compose, timeout=timeout, report=report)
    keys = None if dev else copy_keys(compose)
    return running(compose.config["services"], repository, models=models, keys=keys)


def down(project: Path, *, volumes: bool = False, report: Callable[[str], None]) -> None:
    """End and remove all containers of a folder's stack, whichever overlays it was started with.

    Args:
        volumes: remove what they keep too: keys, certificates, measurements and engines.

    Raises:
        InvalidInput, StackError: as of `up`.
    """
    compose = compose_in(project, **dict.fromkeys(OVERLAYS, True))
    more = ("-v",) if volumes else ()
    compose.follow("--profile", "*", "down", "--remove-orphans", *more, report=report)
    if volumes:
        for file in (project / FOLDER).glob("[!.]*"):
            file.unlink()


def models_in(repository: Path) -> tuple[str, ...]:
    """The names of the models, each of which has up to two endpoints.

    Raises:
        InvalidInput: there is no such folder.
    """
    if not repository.is_dir():
        raise InvalidInput(f"there is no {repository}; add a model to it with: regard repo add")
    folders = {config.parent.name for config in repository.glob("*/config.pbtxt")}
    return tuple(sorted({model_of(name) for name in folders}))


def check_readable(folder: Path, user: int) -> None:
    """Refuse what the user of a container, and the group of the same number, cannot read.

    Raises:
        InvalidInput: names the first such file or folder.
    """
    for path in [folder, *sorted(folder.rglob("*"))] if folder.is_dir() else []:
        status = path.stat()
        shift = 6 if status.st_uid == user else 3 if status.st_gid == user else 0
        wanted = 0o5 if path.is_dir() else 0o4
        if (status.st_mode >> shift) & wanted != wanted:
            raise InvalidInput(
                f"{path} cannot be read by the container's user {user}; next: chmod -R a+rX {folder}"
            )
