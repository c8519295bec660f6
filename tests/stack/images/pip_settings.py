"""pip as it is set up on this machine, its index and the authorities it trusts, for a build: as secrets,
which no layer keeps.
"""

import ast
import configparser
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.stack.engine import command

TAKEN = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout")
AUTHORITIES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
MOUNTED = "/run/secrets/ca.pem"  # where docker/Dockerfile has the secret `ca.pem`


@contextmanager
def pip_secrets() -> Iterator[list[str]]:
    """Options of `docker build`: the secrets `pip.conf` and `ca.pem` of docker/Dockerfile."""
    settings = pip_settings()
    authorities = settings.pop("cert", None) or next(filter(None, map(os.environ.get, AUTHORITIES)), None)
    parser = configparser.RawConfigParser()
    parser["global"] = {**settings, **({"cert": MOUNTED} if authorities else {})}
    with tempfile.TemporaryDirectory(prefix="regard-stack-") as folder:
        file = Path(folder) / "pip.conf"
        with file.open("w") as out:
            parser.write(out)
        secrets = {"pip.conf": file, **({"ca.pem": Path(authorities)} if authorities else {})}
        yield [part for name, path in secrets.items() for part in ("--secret", f"id={name},src={path}")]


def pip_settings(listing: str | None = None) -> dict[str, str]:
    """What of pip's settings holds in a container, too: paths of this machine do not.

    listing: of `pip config list`; without one, that command is asked.
    """
    if listing is None:
        listing = command(sys.executable, "-m", "pip", "config", "list")
    found: dict[str, str] = {}
    for section in ("global.", "install.", ":env:."):  # a later one goes before an earlier one
        for line in listing.splitlines():
            name, _, value = line.partition("=")
            key = name.removeprefix(section)
            if name.startswith(section) and key in (*TAKEN, "cert"):
                words = [
                    word for word in str(ast.literal_eval(value)).split() if not word.startswith("file:")
                ]
                found |= {key: " ".join(words)} if words else {}
    return found
