"""`regard deploy`: roll a new version out without losing a request, go back, and see how it stands."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regard.contract.names import VARIANTS
from regard.serving.cli.addition import (
    AcceleratorOption,
    BackendOption,
    Batching,
    EndpointsOption,
    Expect,
    Instances,
    Name,
    Threads,
    serving_options,
)
from regard.serving.cli.connection import PANEL, ApiKey, Ca, Certificate, Key, Token, Url
from regard.serving.cli.console import out
from regard.serving.cli.deploy_tables import history_table, state_table
from regard.serving.cli.options import DEFAULT_REPOSITORY, Json, Repository
from regard.serving.cli.phase_bar import phase_bar
from regard.serving.cli.stages import say

if TYPE_CHECKING:
    from regard.serving.deploy.rollout.history import Entry
    from regard.serving.deploy.rollout.rollout import Place
    from regard.serving.deploy.rollout.settings import Settings
    from regard.serving.deploy.rollout.snapshots import Addition
    from regard.serving.protocol.credentials import Credentials

GATEWAY = "https://localhost:8443"
ACTIONS = ("--rollback", "--retire", "--status", "--history")
BESIDE = (  # how a version is tried beside another
    *("slo", "canary", "images", "clients"),
    *("least_seconds", "least_requests", "mirror_seconds", "watch_seconds"),
)
TRIED, DO = "How it is tried", "Instead of a rollout"


def deploy(
    context: typer.Context,
    artifact: Annotated[
        Path | None, typer.Argument(help="The folder that `regard export` wrote, or one of its variants'.")
    ] = None,
    repository: Repository = DEFAULT_REPOSITORY,
    deployment: Annotated[
        Path, typer.Option(help="The deployment's folder, which the servers and the gateway read.")
    ] = Path("deployment"),
    variant: Annotated[str | None, typer.Option(help="A variant of the artifact, such as int8.")] = None,
    name: Name = None,
    instances: Instances = None,
    threads: Threads = None,
    endpoints: EndpointsOption = None,
    batching: Batching = None,
    backend: BackendOption = None,
    accelerator: AcceleratorOption = None,
    expect: Expect = None,
    slo: Annotated[
        str,
        typer.Option(
            help="What it must hold, with commas: p95=50ms or p95=1.2x (of the old version's), errors=0.1%, "
            "agreement=99%, memory=1MB (in 1000 requests); by default p95=1.2x,errors=0%,memory=1MB, and "
            "the agreement that the certificates of both promise, or 50% where they are of other weights.",
            rich_help_panel=TRIED,
        ),
    ] = "",
    canary: Annotated[
        str, typer.Option(help="Share of the requests that it gets first.", rich_help_panel=TRIED)
    ] = "10%",
    images: Annotated[
        Path | None,
        typer.Option(
            help="A folder of images to compare both versions with, beside the goldens; by default regard's "
            "samples.",
            rich_help_panel=TRIED,
        ),
    ] = None,
    least_seconds: Annotated[
        float, typer.Option(help="Compare for so long at least.", rich_help_panel=TRIED)
    ] = 60.0,
    least_requests: Annotated[
        int, typer.Option(help="And by so many requests at least.", rich_help_panel=TRIED)
    ] = 1000,
    mirror_seconds: Annotated[
        float, typer.Option(help="It first gets copies of all requests for so long.", rich_help_panel=TRIED)
    ] = 10.0,
    watch_seconds: Annotated[
        float,
        typer.Option(
            help="It is watched for so long as the canary, and again with all requests.",
            rich_help_panel=TRIED,
        ),
    ] = 30.0,
    start_seconds: Annotated[
        float, typer.Option(help="Its server may take so long to start.", rich_help_panel=TRIED)
    ] = 600.0,
    clients: Annotated[int, typer.Option(help="That compare at the same time.", rich_help_panel=TRIED)] = 4,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Go back to the version before, at once.", rich_help_panel=DO)
    ] = False,
    retire: Annotated[
        bool,
        typer.Option("--retire", help="Free the colour that serves nobody any more.", rich_help_panel=DO),
    ] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Show who serves what.", rich_help_panel=DO)
    ] = False,
    history: Annotated[
        bool, typer.Option("--history", help="Show who was served when.", rich_help_panel=DO)
    ] = False,
    embedded: Annotated[
        bool,
        typer.Option(
            "--embedded",
            help="For `regard serve --watch`, whose address is given as ever: no second colour, no canary.",
            rich_help_panel=PANEL,
        ),
    ] = False,
    url: Url = None,
    ca: Ca = None,
    certificate: Certificate = None,
    key: Key = None,
    api_key: ApiKey = None,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Roll a new version out: it proves itself beside the one that serves - by goldens, copies of requests, a
    comparison under load, a canary - and takes over; or what served before serves on, and exit 1. Where they
    are not given, the gateway is https://localhost:8443, and CA and the operator's key are those in the
    deployment's folder client/.

    Example: regard deploy exported/garments --canary 10% --slo p95=50ms,errors=0.1%

    Example: regard deploy exported/garments --variant int8

    Example: regard deploy --rollback
    """
    from regard.serving.deploy.rollout.objectives import Objectives, parse_objectives
    from regard.serving.deploy.rollout.settings import Settings
    from regard.serving.protocol.credentials import Credentials
    from regard.serving.triton.interrupts import Stopped, stopped_by_signals

    asked = [flag for flag in ACTIONS if context.params[flag.removeprefix("--")]]
    if len(asked) + (artifact is not None) != 1:
        raise typer.BadParameter(f"give an artifact, or one of {', '.join(ACTIONS)}", context)
    if embedded:
        _check_embedded(context)
    settings = Settings(
        objectives=parse_objectives(slo, Objectives(seconds=least_seconds, requests=least_requests)),
        canary=_percent(canary),
        mirror=mirror_seconds,
        watch=watch_seconds,
        start=start_seconds,
        clients=clients,
        images=images,
    )
    options = serving_options(instances, threads, endpoints, batching, backend, accelerator)
    folder = None if artifact is None else artifact if variant is None else artifact / VARIANTS / variant
    os.umask(0o022)  # the containers' users read what is written
    try:
        with stopped_by_signals():
            if embedded:
                credentials = Credentials(
                    ca=ca, certificate=certificate, key=key, api_key=api_key, token=token
                )
                addition = None if folder is None else _addition(folder, expect, name, options)
                _embedded(repository, url, credentials, addition, asked, name, start_seconds, as_json)
                return
            credentials = _credentials(deployment / "client", ca, certificate, key, api_key, token)
            with _place(deployment, repository, url, credentials) as place:
                if folder is not None:
                    _roll_out(place, _addition(folder, expect, name, options), settings, as_json)
                else:
                    _do(place, asked[0], as_json)
    except Stopped:
        raise typer.Exit(130) from None


def _check_embedded(context: typer.Context) -> None:
    """Refuse what would be passed over in silence."""
    for name in BESIDE:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = "--" + name.replace("_", "-")
            raise typer.BadParameter(
                f"{option} is for two servers, and --embedded has one; leave it out", context
            )


def _percent(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,3})%?", text)
    if found is None:
        raise typer.BadParameter(f"a share of the requests is a whole percentage, such as 10%; got {text!r}")
    return int(found[1])


def _addition(folder: Path, expect: str | None, name: str | None, options: dict[str, Any]) -> "Addition":
    from regard.export.variant import read_artifact_or_variant
    from regard.serving.deploy.rollout.snapshots import Addition

    artifact = read_artifact_or_variant(folder, expect=expect)
    return Addition(artifact=artifact, name=name or artifact.card.name, **options)


def _credentials(
    client: Path,
    ca: Path | None,
    certificate: Path | None,
    key: Path | None,
    api_key: str | None,
    token: str | None,
) -> "Credentials":
    """The operator's; what is not given is in the folder that `regard up` fills, if it is there."""
    from regard.errors import InvalidInput
    from regard.serving.protocol.credentials import Credentials

    own_ca, own_key = client / "ca.pem", client / "operator_key"
    if api_key is None and token is None and own_key.is_file():
        try:
            api_key = own_key.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise InvalidInput(f"cannot read the operator's key {own_key}: {error}") from None
    if ca is None and own_ca.is_file():
        ca = own_ca
    return Credentials(ca=ca, certificate=certificate, key=key, api_key=api_key, token=token)


@contextmanager
def _place(
    deployment: Path, repository: Path, url: str | None, credentials: "Credentials"
) -> Iterator["Place"]:
    from regard.serving.deploy.rollout.gateway import Gateway
    from regard.serving.deploy.rollout.rollout import Place
    from regard.serving.protocol.address import VARIABLE, address_of

    address = address_of(url or os.environ.get(VARIABLE) or GATEWAY, "http")
    if not address.encrypted:
        credentials = replace(credentials, ca=None)
    with Gateway(address, credentials) as gateway:
        yield Place(deployment, repository, gateway)


def _roll_out(place: "Place", addition: "Addition", settings: "Settings", as_json: bool) -> None:
    from regard.serving.deploy.rollout.rollout import roll_out
    from regard.serving.deploy.rollout.settings import Refused, Teller

    try:
        with phase_bar(f"rolling out {addition.name}") as progress:
            entry = roll_out(place, addition, settings, Teller(say, progress))
    except Refused as refused:
        if as_json and refused.entry is not None:
            print(json.dumps(asdict(refused.entry)))
        raise
    _say_entry(entry, as_json)


def _do(place: "Place", action: str, as_json: bool) -> None:
    from regard.serving.deploy.rollout.changes import retire, roll_back
    from regard.serving.deploy.rollout.history import read_history
    from regard.serving.deploy.rollout.settings import Teller
    from regard.serving.deploy.rollout.state import state_of

    if action == "--history":
        entries = read_history(place.folder)
        if as_json:
            print(json.dumps([asdict(entry) for entry in entries], indent=2))
        else:
            out.print(history_table(entries))
    elif action == "--status":
        state = state_of(place)
        if as_json:
            print(json.dumps(state, indent=2))
        else:
            out.print(state_table(state))
    else:
        change = roll_back if action == "--rollback" else retire
        _say_entry(change(place, Teller(say)), as_json)


def _embedded(
    repository: Path,
    url: str | None,
    credentials: "Credentials",
    addition: "Addition | None",
    asked: list[str],
    name: str | None,
    start: float,
    as_json: bool,
) -> None:
    from regard.serving.deploy.rollout.embedded import deploy_embedded, roll_back_embedded
    from regard.serving.deploy.rollout.settings import Teller
    from regard.serving.protocol.address import address_of
    from regard.serving.protocol.connect import connect

    if addition is None and (asked != ["--rollback"] or name is None):
        raise typer.BadParameter("the embedded server takes an artifact, or --rollback with --name")
    if addition is None:
        assert name is not None
        version = roll_back_embedded(repository, name, Teller(say), start=start)
    else:
        name, connection = addition.name, connect(address_of(url), credentials)
        try:
            with phase_bar(f"rolling out {name}") as progress:
                teller = Teller(say, progress)
                version = deploy_embedded(repository, connection, addition, teller, start=start).version
        finally:
            connection.close()
    if as_json:
        print(json.dumps({"model": name, "version": version}))
    else:
        out.print(f"{name} version {version} serves")


def _say_entry(entry: "Entry", as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(entry)))
        return
    what = "" if entry.model is None else f"{entry.model} version {entry.version} on "
    out.print(f"{entry.event}: {what}{entry.colour}")
