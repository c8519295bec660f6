"""What the library says to its users. A Python caller reads it too: only the command line names its flags."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import typer.main

from regard.serving.cli.app import app

ROOT = Path(__file__).parents[1]
LIBRARY = ("src/regard", "models", "export", "serving")
COMMAND_LINE = "serving/cli/"

# files that name flags still; one that does no longer must go from here
KNOWN = {}


def flags_of(command: object) -> set[str]:
    """The long options of a command and of its subcommands."""
    own = {
        flag for option in getattr(command, "params", ()) for flag in (*option.opts, *option.secondary_opts)
    }
    below = (flags_of(each) for each in getattr(command, "commands", {}).values())
    return {flag for flag in own if flag.startswith("--")}.union(*below)


def texts_of(source: str) -> Iterator[str]:
    """The string literals of a module, without its docstrings."""
    tree = ast.parse(source)
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in statements:
            yield node.value


def is_command(file: Path) -> bool:
    """Whether a module is a command line of its own, as the services of the stack are."""
    return '\nif __name__ == "__main__":\n' in file.read_text(encoding="utf-8")


def named_in(source: str, flags: set[str]) -> set[str]:
    """Which of the flags a module's texts name."""
    words = {word for text in texts_of(source) for word in re.findall(r"(?<![\w-])--[\w-]+", text)}
    return words & flags


def test_only_the_command_line_names_its_flags() -> None:
    flags = flags_of(typer.main.get_command(app))
    assert {"--card", "--repository", "--no-resume"} <= flags
    naming = {
        str(path.relative_to(ROOT))
        for folder in LIBRARY
        for path in (ROOT / folder).rglob("*.py")
        if named_in(path.read_text(encoding="utf-8"), flags)
    }
    assert not {file for file in naming if not (file.startswith(COMMAND_LINE) or is_command(ROOT / file))}


def test_a_flag_in_a_message_is_found() -> None:
    source = '''
def f(name):
    """Docstrings may speak of --card."""
    run("tritonserver", "--http-port-of-another=1")
    raise ValueError(f"no {name}; give it with --weights, or look at a -- b")
'''
    assert named_in(source, {"--card", "--weights", "--http-port"}) == {"--weights"}
