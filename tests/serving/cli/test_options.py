"""The commands as a whole: each option has one spelling and one meaning, and help says what it must."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import typer.main
from typer.testing import CliRunner

from regard.serving.cli.app import app

SHORT = {"--help": "-h", "--out": "-o", "--repository": "-r"}
# one word for two things; no command takes both
OF_TWO_KINDS = {
    "--version": {bool, int},  # regard's own; of a model
    "--key": {str, Path},  # the place of weights in a checkpoint; a file with a private key
    "--weights": {str, Path},  # a file or a tag or 'random'; a file
}


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that call it, groups included."""
    command = command or typer.main.get_command(app)
    yield path, command
    for name, each in getattr(command, "commands", {}).items():
        yield from commands(each, (*path, name))


COMMANDS = [*commands()]
OPTIONS = [
    (" ".join(path), option)
    for path, command in COMMANDS
    for option in command.params
    if option.param_type_name == "option"
]


def long_names(option: Any) -> list[str]:
    return [name for name in option.opts if name.startswith("--")]


def test_every_command_is_looked_at() -> None:
    assert {("bench",), ("repo", "add"), ("import",)} < {path for path, _ in COMMANDS}
    assert {"--out", "--repository", "--url", "--json", "--install-completion"} < {
        name for _, option in OPTIONS for name in option.opts
    }


def test_an_option_has_one_spelling() -> None:
    spellings: dict[str, set[tuple[str, ...]]] = {}
    for _, option in OPTIONS:
        (name,) = long_names(option)
        spellings.setdefault(name, set()).add((*option.opts, *option.secondary_opts))
    assert {name: found for name, found in spellings.items() if len(found) > 1} == {}
    found = {name: word for name, (words,) in spellings.items() for word in words if word[1] != "-"}
    assert found | {"--help": "-h"} == SHORT  # the command line adds its own help option
    # what is written goes to --out, or to a file of a kind of its own
    assert not {"--output", "--output-dir", "--out-dir", "--repo", "--model-repository"} & spellings.keys()


def test_an_option_has_one_meaning() -> None:
    kinds: dict[str, set[type]] = {}
    for _, option in OPTIONS:
        kind = option.type_descriptor.annotation
        # one that may be repeated is of its values' kind
        kinds.setdefault(long_names(option)[0], set()).update(
            get_args(kind) if get_origin(kind) is list else [kind]
        )
    assert {name: found for name, found in kinds.items() if len(found) > 1} == OF_TWO_KINDS


def test_options_of_a_server_and_a_repository_are_the_same_everywhere() -> None:
    for name in ("--repository", "--url", "--protocol", "--api-key", "--json", "--set"):
        texts = {option.help for _, option in OPTIONS if name in option.opts}
        assert len(texts) == 1, name


@pytest.mark.parametrize(("command", "option"), OPTIONS, ids=lambda each: getattr(each, "name", each))
def test_help_of_an_option(command: str, option: Any) -> None:
    assert option.help[0].isupper() or option.help.startswith("host:port")
    assert option.help.endswith(".")
    if option.default is not None and not option.is_flag:
        assert option.show_default


@pytest.mark.parametrize("path", [path for path, _ in COMMANDS], ids=" ".join)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_of_a_command(path: tuple[str, ...], flag: str) -> None:
    result = CliRunner().invoke(app, [*path, flag], prog_name="regard")
    assert result.exit_code == 0
    assert f"Example: regard {' '.join(path)}".strip() in result.stdout
    assert "shared/data" not in result.stdout
    assert "╭" not in result.stdout  # a pipe
