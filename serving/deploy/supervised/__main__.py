"""`python -m regard.serving.deploy.supervised --colour a`: the process of the containers triton-a and
triton-b of docker-compose.yml. It serves what colours.json says until SIGTERM, and tells each event as a
line of JSON.

Exit status 0: it was told to end. 1: the source cannot be served, or needs restart after restart; the last
line says why.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from regard.errors import RegardError
from regard.serving.deploy.colours import COLOURS
from regard.serving.deploy.supervised.colour import Colour
from regard.serving.deploy.supervised.init import go_on_as_child
from regard.serving.deploy.supervised.pages import pages
from regard.serving.triton.installation import find_installation
from regard.serving.triton.interrupts import Stopped, stopped_by_signals
from regard.serving.triton.nvidia_image import installation_at
from regard.serving.triton.server import EmbeddedTriton


def main() -> int:
    """Serve until a signal; the exit status."""
    options = _options()
    if os.getpid() == 1:
        go_on_as_child()
    say = _sayer(options.colour)
    colour = Colour(
        options.colour,
        deployment=options.deployment,
        repository=options.repository,
        new_server=partial(
            EmbeddedTriton,
            host=options.host,
            http_port=options.http_port,
            grpc_port=options.grpc_port,
            metrics_port=options.metrics_port,
            watch=True,
            strict=False,
            installation=partial(installation_at, options.triton) if options.triton else find_installation,
        ),
        say=say,
        canary=options.canary,
    )
    try:
        with stopped_by_signals(), pages(options.host, options.status_port, colour):
            colour.run()
    except Stopped:
        say("stopped")
    except RegardError as error:
        say(f"ends, for its container to be started again: {error}")
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="supervised", description="Serve one colour of a deployment.")
    parser.add_argument("--colour", choices=COLOURS, required=True, help="which one this is")
    parser.add_argument(
        "--deployment", type=Path, default=Path("/deployment"), help="the folder of colours.json; only read"
    )
    parser.add_argument(
        "--repository", type=Path, default=Path("/models"), help="the model repository; it is only read"
    )
    parser.add_argument(
        "--triton", type=Path, help="the server in NVIDIA's image, /opt/tritonserver; by default pip's"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    for service, port in (("http", 8000), ("grpc", 8001), ("metrics", 8002), ("status", 8003)):
        parser.add_argument(f"--{service}-port", type=int, default=port, help=f"by default {port}")
    parser.add_argument("--canary", type=float, default=10.0, help="seconds between canaries")
    return parser.parse_args()


def _sayer(colour: str) -> Callable[[str], None]:
    def say(line: str) -> None:
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        print(json.dumps({"time": now, "colour": colour, "event": line}), flush=True)

    return say


if __name__ == "__main__":
    sys.exit(main())
