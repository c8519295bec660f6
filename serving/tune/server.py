"""A real server with the model set up in one way, and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from regard.export.artifact import Artifact
from regard.serving.repository.add import Endpoints, add
from regard.serving.triton.ports import free_ports
from regard.serving.triton.server import EmbeddedTriton
from regard.serving.tune.setup import Setup


@contextmanager
def serving(artifact: Artifact, setup: Setup, endpoints: Endpoints | None) -> Iterator[EmbeddedTriton]:
    """A started server on free ports, under the model's own name; it goes with its repository.

    Raises:
        RegardError: it cannot run here, or refuses the model.
    """
    with TemporaryDirectory(prefix="regard_tune_") as folder:
        repository = Path(folder, "repository")
        add(
            artifact,
            repository,
            instances=setup.instances,
            threads=setup.threads,
            endpoints=endpoints,
            batching=setup.batching,
        )
        http, grpc, metrics = free_ports(3)
        server = EmbeddedTriton(repository, http_port=http, grpc_port=grpc, metrics_port=metrics)
        server.start()
        try:
            yield server
        finally:
            server.stop(grace=0)  # no request is in flight: seconds for each setup
