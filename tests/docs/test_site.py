"""The documentation as a site: every page is reached, and every link within it leads somewhere."""

import shutil
import sys
from pathlib import Path

import pytest
from tests.docs.blocks import ROOT
from tests.processes import run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.version_info < (3, 11), reason="Material for MkDocs needs Python 3.11"),
]


def build(root: Path, site: Path) -> str:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", site]
    return run(*command, cwd=root)


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    build(ROOT, tmp_path / "site")
    pages = {path.parent.relative_to(tmp_path / "site") for path in (tmp_path / "site").rglob("index.html")}
    assert {Path("export"), Path("api"), Path("decisions/0001-source-links"), Path()} <= pages
    api = (tmp_path / "site" / "api" / "index.html").read_text()
    assert 'id="regard.Client"' in api


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    for name in ("docs", "mkdocs.yml", "README.md", "CHANGELOG.md", "src", "models", "export", "serving"):
        if (ROOT / name).is_dir() and name == "docs":
            shutil.copytree(ROOT / name, tmp_path / name)
        else:
            (tmp_path / name).symlink_to(ROOT / name)
    page = tmp_path / "docs" / "serve.md"
    page.write_text(page.read_text() + "\n[gone](export.md#no-such-place)\n")
    with pytest.raises(AssertionError, match="no-such-place"):
        build(tmp_path, tmp_path / "site")
