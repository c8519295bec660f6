"""`python -m tests.stack COMMAND ...`: a command, or a shell, with an engine that has the stack's images, and
in its network: `docker-compose up --wait --no-build`, `docker ps` and `curl` then speak to it.
"""

import subprocess
import sys

from tests.stack.compose import ROOT, Stack, settings
from tests.stack.engine import Network, cache, engine
from tests.stack.images import build


def main() -> int:
    with engine(cache(), Network.HOST) as builder:
        stack = Stack(builder, ROOT, settings(ROOT))
        build(builder, stack.images())
    with engine(cache(), Network.OWN) as own, own.network():
        stack = Stack(own, ROOT, settings(ROOT))
        return subprocess.run(sys.argv[1:] or ["bash"], env=stack.environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
