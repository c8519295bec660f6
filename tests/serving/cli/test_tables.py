"""Tables: whole names on any terminal, plain lines where none is."""

import io
import os
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text
from tests.processes import run

from regard.export.artifact import Artifact
from regard.models.listing import list_networks, systems
from regard.models.weights_index import shipped
from regard.serving.cli.tables import Table
from regard.serving.repository import add

LONG = "ccnet_mobilenet_v2_camvid_image"


def table() -> Table:
    table = Table(
        *("name", "task", "largest batch", "proof"),
        title="models",
        caption="of [a] repository",
        whole=("name",),
        figures=("largest batch",),
    )
    table.add(f"colour\n{LONG}", "semantic segmentation of streets", "4", Text("proven", "green"))
    table.add("[bold]", "classification", "128", "unproven")
    return table


def shown(width: int = 80, *, terminal: bool = True, no_color: bool = False) -> str:
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=terminal, no_color=no_color, soft_wrap=True).print(table())
    return file.getvalue()


@pytest.mark.parametrize("width", [200, 80, 60, 50, 40, 33])
def test_a_name_is_never_cut(width: int) -> None:
    text = shown(width)
    assert LONG in text
    assert "…" not in text
    for word in ("models", "semantic", "streets", "128", "proven", "unproven", "[bold]", "of [a] repository"):
        assert word in text


def test_a_terminal_too_narrow_for_columns_has_a_block_for_each_row() -> None:
    assert "─" in shown(80)
    narrow = shown(40)
    assert "─" not in narrow
    assert "largest batch" in narrow


@pytest.mark.parametrize("where", [{"terminal": False}, {"no_color": True}])
def test_plain_lines(where: dict[str, bool]) -> None:
    assert shown(20, **where).splitlines() == [
        "models",
        "name                                     task                              largest batch  proof",
        f"colour, {LONG}  semantic segmentation of streets              4  proven",
        "[bold]                                   classification                              128  unproven",
        "of [a] repository",
    ]


def test_the_commands_keep_names_whole_at_80_columns(tmp_path: Path, colour: Artifact) -> None:
    name = "a_segmenter_of_streets_with_a_name_of_50_characters"
    repository = tmp_path / "repository"
    add(colour, repository, name=name)
    for arguments, names in (
        (["models"], {system.pattern for system in systems(list_networks())} | shipped().keys()),
        (["models", "--long"], {row.name for row in list_networks() if row.measured is not None}),
        (["repo", "list", "-r", repository], {name, f"{name}_image"}),
        (["show", name, "-r", repository], {"goldens/landscape.jpg", colour.sha256}),
    ):
        text = run(
            *(sys.executable, "-m", "regard", *arguments),
            cwd=tmp_path,
            env={**os.environ, "FORCE_COLOR": "1", "COLUMNS": "80"},
        )
        assert not [each for each in names if each not in text]
        assert "\x1b" in text  # as for a terminal
