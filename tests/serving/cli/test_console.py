"""What comes from others is printed and not obeyed: names of files, labels, messages of a server."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from regard.serving.cli.console import HIDDEN, VisibleConsole, visible
from regard.serving.client.output import Entry

HOSTILE = "a\x1b[31mb\x1b]0;title\x07\x9b2Jc\rd\x7f\u202ee\udcff"
SHOWN = "a␛[31mb␛]0;title␇\ufffd2Jc␍d\ufffd\ufffde\ufffd"


def printed(thing: object) -> str:
    stream = io.StringIO()
    VisibleConsole(file=stream, force_terminal=True, no_color=True, width=120, legacy_windows=False).print(
        thing, markup=False, highlight=False
    )
    return stream.getvalue()


def table() -> Table:
    table = Table("image", HOSTILE, title=HOSTILE)
    table.add_row(HOSTILE, Text(HOSTILE))
    return table


def test_a_sign_stands_for_each_character() -> None:
    assert visible(HOSTILE) == SHOWN
    assert visible("straße\n\tüber 東京 🚗") == "straße\n\tüber 東京 🚗"


@pytest.mark.parametrize(
    "thing", [HOSTILE, Text(HOSTILE, style="red"), table(), Panel(HOSTILE, title=HOSTILE)], ids=type
)
def test_nothing_printed_is_obeyed(thing: object) -> None:
    text = printed(thing)
    assert "␛[31m" in text
    own = text.replace("\x1b[0m", "").replace("\x1b[1m", "").replace("\x1b[3m", "")  # rich's own styles
    assert not HIDDEN.search(own), repr(text)


def test_styles_and_spans_stay() -> None:
    text = Text.assemble("\x1b", ("red", "red"), " plain")
    stream = io.StringIO()
    VisibleConsole(file=stream, force_terminal=True, color_system="standard").print(text)
    assert stream.getvalue() == "␛\x1b[31mred\x1b[0m plain\n"


def test_json_stays_exact() -> None:
    entry = Entry(Path(HOSTILE), {HOSTILE: 0.5}, {})
    text = json.dumps(entry.to_json())
    assert text.isascii()
    assert json.loads(text) == {"image": HOSTILE, "area": {HOSTILE: 0.5}}


def test_errors_and_warnings_are_single_lines_without_control_characters(tmp_path: Path) -> None:
    (tmp_path / "a.heic").touch()
    (tmp_path / "b.png").touch()
    program = (
        "import sys\nfrom pathlib import Path\nfrom regard.contract.image_files import images_in\n"
        "from regard.errors import InvalidInput\nfrom regard.serving.cli import app\n"
        "def verb(prog_name):\n    images_in(Path(sys.argv[1]))\n"
        "    raise InvalidInput('bad \\x1b[31m name')\n"
        "app.app = verb\napp.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"regard: {tmp_path}: 1 .heic left out; convert them to PNG",
        "regard: bad ␛[31m name",
    ]
