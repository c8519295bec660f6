"""`regard doctor`: what of regard works on this machine, and what to do next."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer
from rich.text import Text

from regard.serving.cli.connection import ApiKey, Ca, Certificate, Key, ProtocolOption, Token, Url
from regard.serving.cli.console import err, out
from regard.serving.cli.options import DEFAULT_REPOSITORY, Json, Repository
from regard.serving.cli.tables import Table

if TYPE_CHECKING:
    from regard.serving.doctor.finding import Status

STYLES = {"ok": "green", "note": "yellow", "problem": "red"}


def doctor(
    repository: Repository = DEFAULT_REPOSITORY,
    as_json: Json = False,
    url: Url = None,
    protocol: ProtocolOption = None,
    ca: Ca = None,
    certificate: Certificate = None,
    key: Key = None,
    api_key: ApiKey = None,
    token: Token = None,
) -> None:
    """Look at this machine: its processors and GPUs, the runtimes and what they really give, the embedded
    server, Docker, compilers, and whether the engines of a repository load here. With --url look at a server
    instead, such as a deployed one: whether it is reached and lets us in, its certificate, its models.

    A note is something that regard works without. Exit code 1: there is a problem, something that is asked
    for here and cannot work.

    Example: regard doctor --repository model_repository

    Example: regard doctor --url https://localhost:8443 --ca deployment/client/ca.pem
    """
    from regard.serving.doctor.deployed import examine_deployed
    from regard.serving.doctor.examine import examine, works
    from regard.serving.protocol.address import address_of
    from regard.serving.protocol.credentials import Credentials

    given = repository if repository != DEFAULT_REPOSITORY or repository.exists() else None
    with err.status(f"looking at {url or 'this machine'}"):
        if url is None:
            findings = examine(given)
        else:
            address = address_of(url, protocol.value if protocol else None)
            shown = Credentials(ca=ca, certificate=certificate, key=key, api_key=api_key, token=token)
            findings = examine_deployed(address, shown, given)
    if as_json:
        print(json.dumps({"works": works(findings), "findings": list(map(asdict, findings))}, indent=2))
    else:
        table = Table("", "", "found", "next step")
        for finding in findings:
            status = Text(finding.status, style=STYLES[finding.status])
            table.add(status, finding.about, finding.says, finding.next_step or "")
        out.print(table)
        out.print(_summary([finding.status for finding in findings]))
    if not works(findings):
        raise typer.Exit(1)


def _summary(statuses: "list[Status]") -> str:
    problems, notes = statuses.count("problem"), statuses.count("note")
    return f"{problems} problem{'s' * (problems != 1)}, {notes} note{'s' * (notes != 1)}"
