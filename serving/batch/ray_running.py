"""Ray as a batch uses it: one of its own on this machine, bound to loopback, or a cluster."""

import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache

from regard.errors import InvalidInput, ServerError

CONNECT = 5.0  # seconds
STDERR = 2  # as the system numbers it
OBJECTS = 128 * 2**20  # bytes of Ray's shared memory; ours are small
LONGEST = 32  # of a folder's path; Ray adds some 75 characters, and a socket's has 107
LOGS = {"RAY_BACKEND_LOG_LEVEL": "fatal"}  # of the compiled part


@contextmanager
def ray_running(workers: int | None, address: str | None) -> Iterator[int]:
    """Ray while the block runs; yields how many processors it has.

    workers: that must find a processor each on this machine, if there is no address.
    address: of a cluster; by default the one that this process is connected to, or a Ray of this process,
        which nobody else reaches and which ends with the block.

    Raises:
        InvalidInput: no such cluster; Ray was imported before, so that it cannot be kept to this machine.
    """
    if address is None and not _ray_is_anothers():
        processors = max(workers or 0, len(os.sched_getaffinity(0)))
        with _environment(LOGS), _own_ray(processors):
            yield processors
        return
    import ray.exceptions

    if address is None and not ray.is_initialized():
        raise InvalidInput(
            "Ray was imported before it could be bound to this machine alone: import it later, connect it "
            "with ray.init() yourself, or give the address of a cluster"
        )
    with _environment(LOGS):
        if address is not None:
            _connect(address)
        try:
            yield int(ray.cluster_resources().get("CPU", 0))
        finally:
            if address is not None:
                ray.shutdown()


def _connect(address: str) -> None:
    import ray.exceptions

    host, _, port = address.rpartition(":")
    try:
        if port.isdecimal():  # Ray itself asks for minutes
            socket.create_connection((host.rpartition("/")[2], int(port)), timeout=CONNECT).close()
        with _without_native_words():
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise InvalidInput(
            f"cannot reach a Ray cluster at {address}: {error}. It must be of this Ray's version, and its "
            "token stand in RAY_AUTH_TOKEN"
        ) from None


@cache
def _settings() -> Mapping[str, str]:
    """What Ray reads when it is imported, or once: the same for every Ray of this process."""
    return {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # all ports on loopback, on Linux too
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",  # nothing is reported to anybody
    }


def _ray_is_anothers() -> bool:
    """Whether it was imported without our settings, or is connected to a cluster."""
    if "ray" not in sys.modules:
        return False
    import ray

    return not _settings.cache_info().currsize or ray.is_initialized()


@contextmanager
def _own_ray(processors: int) -> Iterator[None]:
    """A Ray of this process, which nobody else reaches and which ends with the block."""
    temporary = tempfile.gettempdir()
    folder = tempfile.mkdtemp(prefix="regard-ray-", dir=temporary if len(temporary) < LONGEST else "/tmp")  # noqa: S108
    try:
        with _environment(_settings()):
            import ray

            try:
                _start(processors, f"{folder}/r")  # it lets everybody in, and the folder around it nobody
                yield
            finally:
                ray.shutdown()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(processors: int, folder: str) -> None:
    import ray

    try:
        with _without_native_words():
            ray.init(
                address="local",
                num_cpus=processors,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=OBJECTS,
                _temp_dir=folder,
            )
    except Exception as error:  # Ray raises plain ones
        raise ServerError(f"Ray could not be started: {error} Where the machine is busy, try again") from None


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _without_native_words() -> Iterator[None]:
    """Ray's compiled part writes past Python's stderr as it starts."""
    sys.stderr.flush()
    kept, nowhere = os.dup(STDERR), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDERR)
    try:
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)
        os.close(nowhere)
