"""`python -m regard.serving.deploy.smoke URL...`: the service `client` of docker-compose.yml. It verifies
every model of the deployment through the gateway as its users reach it, by each URL, and ends.

Exit status 0: all answer as they were exported. 1: one does not, or there is none.
"""

import argparse
import sys
from pathlib import Path

from regard.errors import RegardError
from regard.serving.deploy.routing import served_repository
from regard.serving.protocol.address import address_of
from regard.serving.protocol.connect import connect
from regard.serving.protocol.credentials import Credentials
from regard.serving.repository.listing import listing
from regard.serving.verify.served import verify_served


def main() -> int:
    """Verify, and tell each result in a line."""
    parser = argparse.ArgumentParser(prog="smoke", description="Verify what a deployment serves.")
    parser.add_argument("urls", nargs="+", metavar="URL", help="of the gateway")
    parser.add_argument("--deployment", type=Path, required=True, help="the folder of colours.json")
    parser.add_argument("--repository", type=Path, required=True, help="the model repository")
    parser.add_argument(
        "--keys", type=Path, help="a folder with ca.pem and api_key; by default none is shown"
    )
    options = parser.parse_args()
    try:
        repository = served_repository(options.deployment, options.repository)
        models = [entry.name for entry in listing(repository) if entry.proven]
        credentials = _credentials(options.keys)
        faults = sum(_fails(url, credentials, models, repository) for url in options.urls)
    except RegardError as error:
        print(f"smoke: {error}", flush=True)
        return 1
    if not models:
        print(f"smoke: {repository} holds no model with goldens; add one with: regard repo add", flush=True)
    return int(faults > 0 or not models)


def _credentials(keys: Path | None) -> Credentials:
    if keys is None:
        return Credentials()
    return Credentials(ca=keys / "ca.pem", api_key=(keys / "api_key").read_text().strip())


def _fails(url: str, credentials: Credentials, models: list[str], repository: Path) -> int:
    """How many of the models do not answer there as they were exported."""
    connection = connect(address_of(url), credentials)
    faults = 0
    try:
        for model in models:
            try:
                fault = verify_served(connection, model, repository=repository).faults
            except RegardError as error:
                fault = str(error)
            faults += bool(fault)
            print(f"smoke: {url} {model}: {fault or 'answers as it was exported'}", flush=True)
    finally:
        connection.close()
    return faults


if __name__ == "__main__":
    sys.exit(main())
