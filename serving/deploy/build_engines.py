"""`python -m regard.serving.deploy.build_engines REPOSITORY VOLUME`: the service `build-engine` of
docker-compose.gpu.yml. It takes a snapshot of the repository, with engines for the GPU here, and ends.

Exit status 0: the snapshot is current. 1: it is not, and the one before still is.
"""

import argparse
import sys
from pathlib import Path

from regard.errors import RegardError
from regard.export.tensorrt.target import target_of
from regard.serving.deploy.engine_snapshot import CURRENT, take_snapshot
from regard.serving.deploy.tensorrt_build import server_here, tensorrt_build
from regard.serving.repository.releases import RELEASE


def main() -> int:
    """Take a snapshot and tell each step."""
    parser = argparse.ArgumentParser(prog="build-engine", description="Build engines for the GPU here.")
    parser.add_argument("repository", type=Path, help="the model repository; it is only read")
    parser.add_argument("volume", type=Path, help="the folder for snapshots and engines")
    parser.add_argument("--release", default=RELEASE, help=f"of NVIDIA's images; by default {RELEASE}")
    options = parser.parse_args()
    try:
        server = server_here(say)
        target = target_of(f"triton:{options.release}")
        take_snapshot(options.repository, options.volume, server, tensorrt_build(target, say), report=say)
    except RegardError as error:
        say(f"no new snapshot: {error}")
        current = options.volume / CURRENT
        say(f"{current} stays as it was" if current.exists() else "there is no earlier one; serve the graphs")
        return 1
    return 0


def say(line: str) -> None:
    """A line of the log, at once."""
    print(f"build-engine: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
