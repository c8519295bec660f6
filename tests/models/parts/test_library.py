"""Which parts networks are made of, and which are a library that nothing here calls: as the docs say."""

import ast
import re
from pathlib import Path

from regard.models import parts

ROOT = Path(__file__).parents[3]
FOLDER = Path(parts.__file__).parent
LIBRARY = {
    "scoring": {"Scoring", "Dot", "Cosine", "Distance"},
    "hard": {"ArgmaxAttention", "SampledAttention"},
    "max_saliency": {"MaxSaliency"},
}


def imported() -> dict[str, set[str]]:
    """What files outside the folder import from each of its files."""
    found: dict[str, set[str]] = {path.stem: set() for path in FOLDER.glob("*.py") if path.stem != "__init__"}
    for room in ("models", "export", "serving"):
        for path in (ROOT / room).rglob("*.py"):
            if path.is_relative_to(ROOT / "models" / "parts"):
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{parts.__name__}."):
                    found[str(node.module).rpartition(".")[2]] |= {alias.name for alias in node.names}
    return found


def test_the_library_is_called_by_nothing_here() -> None:
    used = imported()
    for module, names in LIBRARY.items():
        assert not used[module] & names
    assert {module for module, names in used.items() if not names} == {"max_saliency"}
    assert used["scoring"] == {"Additive", "Bilinear", "ScaledDot"}
    assert used["hard"] == {"sampled"}


def test_the_docs_name_the_library() -> None:
    page = (ROOT / "docs" / "backbones-and-heads.md").read_text(encoding="utf-8")
    named = set(
        re.findall(r"`(\w+)`", page.partition("## Parts that no command calls")[2].partition("So are")[0])
    )
    assert named == set().union(*LIBRARY.values()) - {"Scoring"}
    assert all(module in str(parts.__doc__) for module in LIBRARY)
