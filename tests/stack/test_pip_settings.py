"""What of this machine's pip a build is given: nothing that only this machine has."""

import configparser
from pathlib import Path

import pytest
from tests.stack.images import pip_settings as settings
from tests.stack.images.pip_settings import MOUNTED, pip_secrets, pip_settings

LISTING = """\
:env:.timeout='60'
:env:.find-links='/opt/wheels'
global.cert='/etc/ssl/ca.pem'
global.constraint='/etc/pip/constraints.txt'
global.extra-index-url='file:///opt/simple\\nhttps://packages.example/simple'
global.index-url='https://index.example/simple'
global.timeout='15'
install.index-url='https://other.example/simple'
list.format='columns'
"""


def test_paths_are_left_out_and_the_last_word_counts() -> None:
    assert pip_settings(LISTING) == {
        "cert": "/etc/ssl/ca.pem",
        "extra-index-url": "https://packages.example/simple",
        "index-url": "https://other.example/simple",
        "timeout": "60",
    }


def test_a_machine_without_settings_gives_none() -> None:
    assert pip_settings("") == {}
    assert pip_settings("global.extra-index-url='file:///opt/simple'") == {}


def test_the_secrets_are_files_that_are_gone_after_the_build(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = tmp_path / "ca.pem"
    authority.touch()
    monkeypatch.setattr(
        settings, "pip_settings", lambda: {"index-url": "https://a.example", "cert": str(authority)}
    )
    with pip_secrets() as options:
        assert options[::2] == ["--secret", "--secret"]
        found = dict(part.split(",src=") for part in options[1::2])
        assert found["id=ca.pem"] == str(authority)
        file = Path(found["id=pip.conf"])
        parser = configparser.RawConfigParser()
        parser.read(file)
        assert dict(parser["global"]) == {"index-url": "https://a.example", "cert": MOUNTED}
    assert not file.exists()


def test_a_build_has_no_authority_of_its_own_where_this_machine_names_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settings, "pip_settings", dict)
    for name in settings.AUTHORITIES:
        monkeypatch.delenv(name, raising=False)
    with pip_secrets() as options:
        assert len(options) == 2
        assert "cert" not in Path(options[1].split("src=")[1]).read_text()
