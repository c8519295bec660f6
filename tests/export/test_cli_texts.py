"""`regard export` of networks that take texts."""

from pathlib import Path

import pytest
import typer
from tests.export.toys import toys
from typer.testing import CliRunner, Result

from regard.errors import InvalidInput
from regard.export.artifact import read_artifact
from regard.models.load import own_callable
from regard.serving.cli.export import export

app = typer.Typer()
app.command()(export)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["my_package.my_module:build", *map(str, arguments)])


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_callable, "find_callable", lambda name: lambda: toys()["story"])


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    file = tmp_path / "texts.tsv"
    file.write_text("a red ball. a blue box.\ta ball\na box.\tblue ball\n", encoding="utf-8")
    return file


@pytest.mark.usefixtures("story")
def test_texts_of_a_file_prove_the_graph(lines: Path, tmp_path: Path) -> None:
    result = run("-o", tmp_path / "out", "--texts", lines)
    assert result.exit_code == 0, result.output
    assert "6 words" in result.stdout
    assert read_artifact(tmp_path / "out").card.certificates[0].images == str(lines)
    assert "story" in result.stdout
    assert "unknown ones read as <unk>" in " ".join(result.stdout.split())


@pytest.mark.usefixtures("story")
@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a red ball\n", "line 1 of .* has 1 texts, toy takes 2 with a tab between: story, question"),
        ("", "is empty; write a text on each line"),
        ("a ball.\t!!\n", "line 1 of .*, question: the text is empty"),
        ("a ball.\t" + "a " * 9 + "\n", "line 1 of .*, question: the text has 9 words"),
    ],
)
def test_texts_that_are_none(text: str, fault: str, lines: Path, tmp_path: Path) -> None:
    lines.write_text(text, encoding="utf-8")
    result = run("-o", tmp_path / "out", "--texts", lines)
    assert isinstance(result.exception, InvalidInput)
    with pytest.raises(InvalidInput, match=fault):
        raise result.exception


@pytest.mark.usefixtures("story")
def test_images_for_who_takes_texts_alone(tmp_path: Path) -> None:
    result = run("-o", tmp_path / "out", "--images", tmp_path)
    assert isinstance(result.exception, InvalidInput)
    assert str(result.exception) == "toy takes no images; leave --images out"
