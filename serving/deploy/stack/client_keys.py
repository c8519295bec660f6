"""What callers need, copied out of the volume that the service `keys` fills."""

import tempfile
from pathlib import Path

from regard.serving.deploy.keys.private_file import write_private
from regard.serving.deploy.stack.compose import Compose

FOLDER = Path("deployment", "client")  # below the project's
FILES = ("ca.pem", "api_key", "operator_key", "grafana_password")


def copy_keys(compose: Compose) -> Path:
    """Copy them, readable by their owner alone.

    Returns: their folder.

    Raises:
        StackError: there are none in the volume.
        InvalidInput: they cannot be written.
    """
    folder = compose.project / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    with tempfile.TemporaryDirectory(dir=folder) as draft:
        compose.ask("cp", "keys:/client-keys", f"{draft}/keys")
        for name in FILES:
            write_private(folder / name, Path(draft, "keys", name).read_bytes())
    return folder
