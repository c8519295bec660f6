"""The site's first page is README.md, and what a page links to outside docs/ is named without a link."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
ROOT_PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md"}
LINK = re.compile(
    r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>(?!https?:|#|mailto:)[^)\s#]+)(?P<anchor>#[^)\s]*)?\)"
)


def on_files(files: Files, config: Any) -> Files:
    """Add README.md and CHANGELOG.md as pages; both speak of files from the root."""
    for name, page in ROOT_PAGES.items():
        content = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Name what lies elsewhere in the repository, without a link; a link that leads nowhere stays, for MkDocs
    to find.
    """
    folder = (
        ROOT if page.file.src_uri in ROOT_PAGES.values() else Path(config.docs_dir, page.file.src_uri).parent
    )

    def named(found: re.Match[str]) -> str:
        target = (folder / found["target"]).resolve()
        outside = not target.is_relative_to(config.docs_dir)
        return found["text"] if outside and target.exists() else found[0]

    return LINK.sub(named, markdown)
