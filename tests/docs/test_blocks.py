"""README and docs hold what they promise: every command is one, every Python block compiles and imports what
there is. Those that are tutorials are also run, in the slow suite (test_tutorials.py).
"""

import ast
import importlib
import json
import re
import shlex
from pathlib import Path

import pytest
import typer
from tests.docs.blocks import LANGUAGES, PAGES, ROOT, Block, blocks, blocks_of, without_blocks
from tests.docs.shell import commands, parse

OURS = frozenset({"regard", "make", "docker", "python", ".venv/bin/python", ".ci/run"})


def ours(block: Block) -> list[list[str]]:
    return [words for words in commands(block.text) if words[0] in OURS]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is_written_in(page: Path) -> None:
    languages = {block.language for block in blocks_of(page)}
    assert languages <= LANGUAGES
    assert page.read_text(encoding="utf-8").count("```") == 2 * len(list(blocks_of(page)))
    # four spaces after an empty line would be a block without a language
    assert not re.search(r"(?<=\n\n) {4,}(?![ \d*-])", without_blocks(page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("block", [block for block in blocks("sh") if ours(block)], ids=str)
def test_every_command_is_one(block: Block) -> None:
    for words in ours(block):
        check(words)


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_every_python_block_compiles_and_finds_what_it_imports(block: Block) -> None:
    tree = compile(block.text, str(block), "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    own = {found.title.removesuffix(".py") for found in blocks("python") if found.title}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name not in own:
                    importlib.import_module(alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module not in own:
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):  # a module of a package, or nothing
                    importlib.import_module(f"{node.module}.{alias.name}")


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_every_json_block_is_json(block: Block) -> None:
    json.loads(block.text)


def test_a_wrong_command_is_found() -> None:
    with pytest.raises(Exception, match="No such option: --nonsense"):
        check(shlex.split("regard export se_resnet18 --nonsense -o x"))
    with pytest.raises(Exception, match="No such command"):
        check(shlex.split("regard exprot se_resnet18"))
    with pytest.raises(AssertionError, match="no target"):
        check(shlex.split("make dmeo"))


def test_commands_are_taken_apart() -> None:
    text = "A=1 regard serve \\\n  --watch  # comment\ncurl -s x | jq . > y && regard models\n"
    assert list(commands(text)) == [
        ["regard", "serve", "--watch"],
        ["curl", "-s", "x"],
        ["jq", "."],
        ["regard", "models"],
    ]


def check(words: list[str]) -> None:
    """Whether what a command names is there; nothing of it runs."""
    program, *rest = words
    if program == "regard":
        try:
            parse(rest)
        except typer.Exit:  # --help and --version
            return
    elif program == "make":
        targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
        for target in rest:
            assert "=" in target or target in targets, f"the Makefile has no target {target}"
    elif program == "docker":
        for file in re.findall(r"-f (\S+)", " ".join(rest)):
            assert (ROOT / file).is_file(), f"there is no {file}"
    elif program.endswith("python") and rest and not rest[0].startswith("-"):
        assert (ROOT / rest[0]).is_file(), f"there is no {rest[0]}"
    elif "/" in program:
        assert program.startswith(".venv") or (ROOT / program).is_file(), f"there is no {program}"
