"""What `regard deploy` shows of a deployment: who serves what, and who was served when."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from regard.serving.cli.tables import Table

if TYPE_CHECKING:
    from regard.serving.deploy.rollout.history import Entry


def state_table(state: dict[str, Any]) -> Table:
    """A row for each colour, of what `state_of` found."""
    underway = state["underway"]
    table = Table(
        *("colour", "source", "requests", "state", "models", "memory"),
        caption=""
        if underway is None
        else f"under way: {underway['model']} version {underway['version']} on {underway['colour']}",
        whole=("colour", "source", "models"),
        figures=("requests", "memory"),
    )
    for colour, found in state["colours"].items():
        status = found["status"]
        mirrored = f" + {found['mirrored']}% copied" if found["mirrored"] else ""
        table.add(
            colour,
            found["source"] or "",
            f"{found['percent']}%{mirrored}",
            found["fault"] or ": ".join(filter(None, (status["state"], status["reason"]))),
            "" if status is None else "\n".join(_models(status["models"])),
            "" if status is None else f"{status['memory_bytes'] / 1e6:.0f} MB",
        )
    return table


def history_table(entries: Sequence["Entry"]) -> Table:
    """A row for each change, the oldest first."""
    table = Table(
        *("time", "event", "model", "version", "tried", "colour", "source", "reason"),
        whole=("time", "model", "colour", "source"),
        figures=("version", "tried"),
    )
    for entry in entries:
        numbers = ("" if number is None else str(number) for number in (entry.version, entry.tried))
        table.add(
            *(entry.time, entry.event, entry.model or "", *numbers, entry.colour, entry.source or ""),
            entry.reason or "",
        )
    return table


def _models(models: dict[str, dict[str, Any]]) -> Iterator[str]:
    for name, model in models.items():
        state = "" if model["state"] == "ok" else f" {model['state']}"
        yield f"{name} {', '.join(map(str, model['versions']))}{state}"
