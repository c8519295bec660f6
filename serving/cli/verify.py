"""`regard verify`: send a served model its goldens, and hold the answers against those of the export."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from regard.errors import InferenceError
from regard.serving.cli.completion import served_models
from regard.serving.cli.connection import ApiKey, Ca, Certificate, Key, ProtocolOption, Token, Url
from regard.serving.cli.console import err, out
from regard.serving.cli.options import DEFAULT_REPOSITORY, Json, Repository
from regard.serving.cli.tables import Table


def verify(
    model: Annotated[str, typer.Argument(autocompletion=served_models, help="A model's name on the server.")],
    repository: Repository = DEFAULT_REPOSITORY,
    artifact: Annotated[
        Path | None,
        typer.Option(help="The exported model, where the server's repository is not on this machine."),
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Write what was verified to this file as JSON, too.")
    ] = None,
    as_json: Json = False,
    url: Url = None,
    protocol: ProtocolOption = None,
    ca: Ca = None,
    certificate: Certificate = None,
    key: Key = None,
    api_key: ApiKey = None,
    token: Token = None,
) -> None:
    """Send a model's goldens - images made at its export to tell one preprocessing from another - to both its
    endpoints; exit 1 where an answer is not that of the exported graph, or not PyTorch's.

    Example: regard verify se_resnet18 --url 127.0.0.1:8001
    """
    from regard.contract.whole_file import write_text
    from regard.serving.protocol.address import address_of
    from regard.serving.protocol.connect import connect
    from regard.serving.protocol.credentials import Credentials
    from regard.serving.verify.served import verify_served

    credentials = Credentials(ca=ca, certificate=certificate, key=key, api_key=api_key, token=token)
    connection = connect(address_of(url, protocol.value if protocol else None), credentials)
    try:
        with err.status(f"verifying {model}"):
            done = verify_served(connection, model, repository=repository, artifact=artifact)
    finally:
        connection.close()
    text = json.dumps(done.to_json(), indent=2)
    if record is not None:
        write_text(record, text + "\n")
    if as_json:
        print(text)
    else:
        table = Table(
            *("golden", "endpoint", "error", "agreement", "reference error", "reference agreement", ""),
            whole=("endpoint",),
            figures=("error", "agreement", "reference error", "reference agreement"),
        )
        for check in done.checks:
            table.add(
                check.golden,
                check.endpoint,
                f"{check.error:.2g}",
                f"{check.agreement:.2%}",
                f"{check.reference_error:.2g}",
                f"{check.reference_agreement:.2%}",
                Text("equal", "green") if check.passed else Text("NOT equal", "red"),
            )
        out.print(table)
    if not done.passed:
        raise InferenceError("DATA_LOSS", f"not what was exported: {done.faults}", model)
    if not as_json:
        out.print(f"{model} on {done.address} answers as it was exported ({done.date})")
