"""A dashboard, said shortly, and as the JSON that Grafana reads.

Panels lie in rows of the grid's 24 columns, in the order in which they are given.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

Json = dict[str, Any]

WIDTH = 24  # columns of Grafana's grid
DATASOURCE = {"type": "prometheus", "uid": "prometheus"}  # of provisioning/datasources/prometheus.yaml
SCHEMA_VERSION = 39  # Grafana 11; a newer one moves it up itself


@dataclass(frozen=True)
class Panel:
    """One or more queries, drawn over time or as they are now.

    Attributes:
        title: short; one that needs a GPU begins with "GPU".
        text: what it shows, and what to make of it.
        queries: legend -> PromQL.
        unit: Grafana's name of it.
        kind: "timeseries", "stat" for numbers as they are now, "table" for labels as they are now.
        width: in columns.
        stacked: draw the queries' values on top of each other.
        highest: of the axis; None where it follows the values.
    """

    title: str
    text: str
    queries: dict[str, str]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    stacked: bool = False
    highest: float | None = None

    @property
    def height(self) -> int:
        return 4 if self.kind == "stat" else 8

    def to_json(self, number: int, x: int, y: int) -> Json:
        """As panel `number` of a dashboard, with its upper left corner at a column and a line of the grid."""
        now = self.kind != "timeseries"
        defaults: Json = {"unit": self.unit, "min": 0}
        if self.highest is not None:
            defaults["max"] = self.highest
        if not now:
            defaults["custom"] = {
                "fillOpacity": 30 if self.stacked else 0,
                "showPoints": "never",
                "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
            }
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.text,
            "datasource": DATASOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "fieldConfig": {"defaults": defaults, "overrides": []},
            "targets": [
                {
                    "refId": letter,
                    "datasource": DATASOURCE,
                    "expr": expression,
                    "legendFormat": legend,
                    "instant": now,
                    "range": not now,
                    "format": "table" if self.kind == "table" else "time_series",
                }
                for letter, (legend, expression) in zip("ABCDEFGH", self.queries.items(), strict=False)
            ],
        }


@dataclass(frozen=True)
class Row:
    """Panels under a headline."""

    title: str
    panels: Sequence[Panel]

    def to_json(self, numbers: Iterator[int], y: int) -> Iterator[Json]:
        """The headline and the panels, from line `y` of the grid."""
        yield {
            "id": next(numbers),
            "type": "row",
            "title": self.title,
            "collapsed": False,
            "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1},
            "panels": [],
        }
        x, y, tallest = 0, y + 1, 0
        for panel in self.panels:
            if x + panel.width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            yield panel.to_json(next(numbers), x, y)
            x, tallest = x + panel.width, max(tallest, panel.height)


@dataclass(frozen=True)
class Dashboard:
    """Rows of panels.

    Attributes:
        name: of its file and in its address.
        title: as Grafana lists it.
        variables: label that is chosen at the top -> a metric that has it.
        rows: from top to bottom.
    """

    name: str
    title: str
    variables: dict[str, str]
    rows: Sequence[Row]

    def to_json(self) -> Json:
        """What Grafana reads."""
        numbers, panels = count(1), list[Json]()
        for row in self.rows:
            end = max((each["gridPos"]["y"] + each["gridPos"]["h"] for each in panels), default=0)
            panels += row.to_json(numbers, end)
        return {
            "uid": f"regard-{self.name}",
            "title": self.title,
            "tags": ["regard"],
            "schemaVersion": SCHEMA_VERSION,
            "editable": True,
            "refresh": "10s",
            "time": {"from": "now-1h", "to": "now"},
            "timezone": "browser",
            "graphTooltip": 1,  # the same moment is marked in every panel
            "templating": {"list": [_variable(label, metric) for label, metric in self.variables.items()]},
            "annotations": {"list": []},
            "panels": panels,
        }


def _variable(label: str, metric: str) -> Json:
    return {
        "name": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": f"label_values({metric}, {label})",
        "refresh": 2,  # when the time range changes
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }
