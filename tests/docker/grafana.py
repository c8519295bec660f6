"""The dashboards, as the tests read them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "docker" / "grafana"
DASHBOARDS: dict[str, Any] = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((FOLDER / "dashboards").glob("*.json"))
}


def panels_of(dashboard: Any) -> list[Any]:
    """Its panels, without the headlines of rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """(dashboard / panel / legend, PromQL) of every query, with all models and colours chosen."""
    for name, dashboard in DASHBOARDS.items():
        for panel in panels_of(dashboard):
            for target in panel["targets"]:
                expression = target["expr"].replace("$colour", ".*").replace("$model", ".*")
                yield f"{name} / {panel['title']} / {target['legendFormat']}", expression
