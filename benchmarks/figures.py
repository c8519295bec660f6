"""Figures with their targets: what a benchmark measures, as a row of a table and of the results' file."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from rich.markup import escape
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One measured figure and what it should be.

    n: how many measurements are behind it, of the kind named in `of`.
    half_width: of the 95 % confidence interval, where it has one.
    """

    name: str
    measured: float
    unit: str
    n: int
    of: str
    target: float | None = None
    better: Literal["at least", "at most"] = "at most"
    half_width: float | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; NaN meets none. None without a target."""
        if self.target is None:
            return None
        return self.measured >= self.target if self.better == "at least" else self.measured <= self.target


def as_json(figure: Figure) -> dict[str, Any]:
    """For the results' file, which knows neither NaN nor infinity: they become None."""
    return _finite(asdict(figure) | {"met": figure.met})


def table_of(figures: Iterable[Figure], *, title: str) -> Table:
    """Green and "met" or red and "missed", where there is a target. Without a figure there is its unit alone,
    which may say why.
    """
    table = Table("figure", "measured", "target", "n", title=title)
    for figure in figures:
        colour = {True: "green", False: "red", None: "default"}[figure.met]
        word = "met" if figure.met else "missed"
        target = "" if figure.target is None else f"{figure.better} {figure.target:g}: {word}"
        measured = "-" if math.isnan(figure.measured) else f"{figure.measured:.4g}"
        table.add_row(
            figure.name,
            f"[{colour}]{measured} {escape(figure.unit)}[/{colour}]",
            target,
            f"{figure.n} {figure.of}",
        )
    return table


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
