"""`python -m regard.serving.deploy.keys`: the service `keys` of docker-compose.yml. It makes what is
missing of the deployment's certificate and keys, says where they lie, and ends; run again, it changes
nothing.

`... keys token --subject alice --hours 1` prints a token instead.
"""

import argparse
import sys
from pathlib import Path

from regard.errors import RegardError
from regard.serving.deploy.keys.api_keys import keep_api_keys
from regard.serving.deploy.keys.certificates import keep_certificates
from regard.serving.deploy.keys.folders import Folders
from regard.serving.deploy.keys.tokens import keep_token_keys, token


def main(arguments: list[str] | None = None) -> int:
    """Make the keys, or print a token. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="keys", description="Make a deployment's certificate and keys.")
    default = Folders()
    parser.add_argument("--private", type=Path, default=default.private, help="folder of what signs")
    parser.add_argument("--gateway", type=Path, default=default.gateway, help="folder that the gateway reads")
    parser.add_argument("--client", type=Path, default=default.client, help="folder of what callers need")
    parser.add_argument("--grafana", type=Path, default=default.grafana, help="folder that Grafana reads")
    parser.add_argument("--host", action="append", default=[], help="one more name of the gateway")
    parser.add_argument("--rotate-api-keys", action="store_true", help="new API keys for the old ones")
    commands = parser.add_subparsers(dest="command")
    signed = commands.add_parser("token", help="print a token for a caller")
    signed.add_argument("--subject", required=True, help="who calls; `operator` has the operator's rights")
    signed.add_argument("--hours", type=float, default=1.0, help="it ends after; by default 1")
    options = parser.parse_args(arguments)
    folders = Folders(options.private, options.gateway, options.client, options.grafana)
    try:
        if options.command == "token":
            print(token(folders, options.subject, options.hours))
        else:
            keep(folders, [host for host in options.host if host], rotate_api_keys=options.rotate_api_keys)
    except RegardError as error:
        print(f"keys: {error}", file=sys.stderr)
        return 1
    return 0


def keep(folders: Folders, hosts: list[str], *, rotate_api_keys: bool = False) -> None:
    """Make what is missing and print what was made, then where a caller finds what."""
    made = keep_certificates(folders, hosts)
    made += keep_token_keys(folders)
    made += keep_api_keys(folders, rotate=rotate_api_keys)
    for line in made or ["nothing to do: everything is there"]:
        print(f"keys: {line}")
    print(f"keys: for callers: {folders.client_ca} and {folders.client_key}")
    print(f"keys: for the operator: {folders.operator_key}")


if __name__ == "__main__":
    sys.exit(main())
