"""`regard`: the verbs, and how their errors end.

A `RegardError` is the user's to mend: one line on stderr and exit code 1. Wrong usage exits with 2. Anything
else is a bug, with its traceback.
"""

import sys
import warnings

import typer

import regard
from regard.errors import RegardError
from regard.serving.cli.batch import batch
from regard.serving.cli.bench import bench
from regard.serving.cli.build import build
from regard.serving.cli.compare import compare
from regard.serving.cli.console import visible
from regard.serving.cli.convert import convert
from regard.serving.cli.deploy import deploy
from regard.serving.cli.doctor import doctor
from regard.serving.cli.evaluate import evaluate
from regard.serving.cli.export import export
from regard.serving.cli.extras import missing
from regard.serving.cli.import_ import import_
from regard.serving.cli.models import models
from regard.serving.cli.optimize import optimize
from regard.serving.cli.options import APP
from regard.serving.cli.predict import predict
from regard.serving.cli.repo import app as repo
from regard.serving.cli.serve import serve
from regard.serving.cli.show import show
from regard.serving.cli.train import train
from regard.serving.cli.tune import tune
from regard.serving.cli.up import down, up
from regard.serving.cli.verify import verify

app = typer.Typer(
    help=(
        "Put a trained PyTorch attention model into production: export, prove, serve, predict, measure.\n\n"
        "Example: regard export se_resnet18 --weights fashion_mnist --out exported/garments"
    ),
    pretty_exceptions_enable=False,
    **APP,
)
VERBS = (
    models,
    train,
    export,
    optimize,
    build,
    show,
    serve,
    deploy,
    verify,
    predict,
    batch,
    evaluate,
    compare,
    bench,
    tune,
    up,
    down,
    doctor,
)
for verb in VERBS:
    app.command()(verb)
app.command(name="import")(import_)
app.command()(convert)
app.add_typer(repo, name="repo")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"regard {regard.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Options that come before the verb."""


def main() -> None:
    """Run the command line."""
    warnings.showwarning = lambda message, *_: _say(message)
    try:
        app(prog_name="regard")  # also as `python -m regard`
    except RegardError as error:
        _say(error)
        sys.exit(1)
    except ModuleNotFoundError as error:
        verb = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
        advice = missing((error.name or "").partition(".")[0], verb)
        if advice is None:
            raise
        _say(advice)
        sys.exit(1)


def _say(message: object) -> None:
    print(f"regard: {visible(str(message))}", file=sys.stderr)
