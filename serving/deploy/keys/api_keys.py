"""API keys: random, one for callers and one for the operator, and what Envoy knows them by."""

import secrets
from pathlib import Path

from regard.serving.deploy.keys.envoy import api_key_filter
from regard.serving.deploy.keys.folders import Folders
from regard.serving.deploy.keys.private_file import read_private, write_private

BYTES = 32


def keep_api_keys(folders: Folders, *, rotate: bool = False) -> list[str]:
    """Make each secret that is missing, and Envoy's filter of the API keys. rotate: new API keys; the old
    ones end when Envoy has read it, within a second.

    Returns what was made, a line each.

    Raises:
        InvalidInput: a file cannot be read or written.
    """
    made: list[str] = []
    clients = {
        "client": _kept_secret(folders.client_key, made, again=rotate),
        "operator": _kept_secret(folders.operator_key, made, again=rotate),
    }
    password = _kept_secret(folders.client_grafana_password, made)
    write_private(folders.grafana_password, password.encode())
    if write_private(folders.api_keys, api_key_filter(clients)):
        made.append(f"{folders.api_keys}: the API keys that the gateway knows")
    return made


def _kept_secret(path: Path, made: list[str], *, again: bool = False) -> str:
    present = (read_private(path) or b"").decode(errors="replace").strip()
    if present and not again:
        return present
    secret = secrets.token_urlsafe(BYTES)
    write_private(path, secret.encode())
    made.append(f"{path}: a new secret")
    return secret
