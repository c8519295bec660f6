"""`regard serve`: run the embedded Triton server on a model repository."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from regard.serving.cli.console import err, out
from regard.serving.cli.options import DEFAULT_REPOSITORY, Repository
from regard.serving.cli.tables import Table


def serve(
    repository: Repository = DEFAULT_REPOSITORY,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on; 0.0.0.0 opens the server to the network, without any login."
        ),
    ] = "127.0.0.1",
    http_port: Annotated[int, typer.Option(help="Port for HTTP.")] = 8000,
    grpc_port: Annotated[int, typer.Option(help="Port for gRPC.")] = 8001,
    metrics_port: Annotated[int, typer.Option(help="Port for Prometheus metrics.")] = 8002,
    watch: Annotated[
        bool, typer.Option("--watch", help="Pick up models and versions as they are added and removed.")
    ] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="End with an error when a model is refused, rather than serve the others."
        ),
    ] = False,
    log: Annotated[
        Path | None,
        typer.Option(
            help="File that the server's log is appended to; by default runs/triton.log, or one that is kept "
            "while the server runs where that cannot be written."
        ),
    ] = None,
) -> None:
    """Serve every model of a repository with a real Triton server, until Ctrl-C or SIGTERM.

    A model that is refused is named with the reason, and the others are served. One whose process dies is
    brought back by restarting the server.

    Example: regard serve --repository model_repository --watch
    """
    from regard.serving.repository import entries
    from regard.serving.triton.interrupts import Stopped, stopped_by_signals
    from regard.serving.triton.server import EmbeddedTriton
    from regard.serving.triton.supervisor import Supervisor

    log = _default_log() if log is None else log
    report = partial(err.print, markup=False, highlight=False)  # reasons hold brackets of their own
    server = EmbeddedTriton(
        repository,
        host=host,
        http_port=http_port,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        watch=watch,
        strict=strict,
        report=report,
        log=log,
    )
    with stopped_by_signals() as stop:
        try:
            with err.status(f"starting Triton on {repository}"):
                server.start()
            table = Table(*("model", "task", "versions", "endpoints", "proof"), whole=("model", "endpoints"))
            served = server.served
            for entry in entries(repository, served.keys()):
                table.add(
                    entry.name,
                    entry.card.task if entry.card else "",
                    ", ".join(map(str, served[entry.endpoints[0]])),
                    "\n".join(entry.endpoints),
                    entry.proof,
                )
            out.print(table)
            out.print(
                f"ready: gRPC {server.grpc_url}, HTTP http://{server.http_url}, metrics "
                f"http://{server.metrics_url}/metrics, log {server.log_file}"
            )
            Supervisor(server, report=report).run(stop)
        except Stopped:
            err.print("stopping")
        finally:
            stop.set()  # from here on another Ctrl-C changes nothing
            server.stop()


def _default_log() -> Path | None:
    log = Path("runs/triton.log")
    try:
        log.parent.mkdir(exist_ok=True)
        log.open("ab").close()
    except OSError:  # the working directory is another's, or read-only
        return None
    return log
