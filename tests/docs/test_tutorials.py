"""README and the tutorials, done from their first block to their last against a real server."""

import re
import shutil
from pathlib import Path

import pytest
from tests.docs.blocks import ROOT
from tests.docs.walk import walk

PAGES = ("README.md", "docs/my-network.md", "docs/http.md", "docs/custom-operators.md")
DATA = re.compile(r"/usr/share/datasets/[\w-]+")  # of Debian's packages


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_a_reader_can_do_what_the_page_says(page: str, tmp_path: Path) -> None:
    for folder in {*DATA.findall((ROOT / page).read_text(encoding="utf-8"))}:
        if not Path(folder).is_dir():
            pytest.skip(f"{page} needs the Debian package dataset-{Path(folder).name}")
    if "g++" in (ROOT / page).read_text(encoding="utf-8") and shutil.which("g++") is None:
        pytest.skip(f"{page} needs g++")
    with walk(ROOT / page, tmp_path) as reader:
        print(*("not done:", *reader.left_out), sep="\n")
