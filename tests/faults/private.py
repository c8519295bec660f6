"""A view of the file system of the script's own, in which /dev/shm and a disk can be filled without harm to
others: a mount namespace, which ends with the script.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

SHARED_MEMORY = "1g"  # as shm_size of docker-compose.yml
DISK = "256m"
INSIDE = "REGARD_FAULTS_DISK"
MOUNT = f"""
mount -t tmpfs -o size={SHARED_MEMORY} tmpfs /dev/shm &&
mount -t tmpfs -o size={DISK} tmpfs "${INSIDE}" &&
exec "$@"
"""


def disk() -> Path | None:
    """The disk, inside such a view."""
    return Path(os.environ[INSIDE]) if INSIDE in os.environ else None


def again(options: Sequence[str]) -> int:
    """Run the script once more, in a view of its own; returns its exit code."""
    mapped = () if os.geteuid() == 0 else ("--map-root-user",)
    with tempfile.TemporaryDirectory(prefix="regard_faults_") as folder:
        enter = ["unshare", "--mount", "--propagation", "private", *mapped, "sh", "-c", MOUNT, "-"]
        command = [*enter, sys.executable, "-m", "tests.faults", *options]
        return subprocess.run(command, env=os.environ | {INSIDE: folder}, check=False).returncode
