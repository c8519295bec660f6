"""README and the tutorials, done from their first block to their last against a real server."""

from pathlib import Path

import pytest
from tests.docs.blocks import ROOT
from tests.docs.walk import walk

PAGES = ("README.md", "docs/my-network.md", "docs/http.md")


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_a_reader_can_do_what_the_page_says(page: str, tmp_path: Path) -> None:
    with walk(ROOT / page, tmp_path) as reader:
        print(*("not done:", *reader.left_out), sep="\n")
