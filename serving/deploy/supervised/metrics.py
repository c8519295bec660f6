"""A colour's metrics, in the text format of Prometheus."""

from collections.abc import Iterator

from regard.serving.deploy.supervised.status import Status
from regard.serving.machine.cgroup import limits
from regard.serving.machine.memory import memory

KINDS = {
    "regard_up": ("gauge", "1 while it serves."),
    "regard_idle": ("gauge", "1 while it has nothing to serve."),
    "regard_restarts_total": ("counter", "Restarts of the server since the container began."),
    "regard_memory_bytes": ("gauge", "Proportional set size of the server and its models' processes."),
    "regard_memory_limit_bytes": ("gauge", "What it may use: of its container, else of the machine."),
    "regard_source_info": ("gauge", "1, with the source that it serves."),
    "regard_canary_ok": ("gauge", "Whether the model answers; none of one that was not asked yet."),
    "regard_goldens_ok": ("gauge", "Whether the version answered its goldens when it was loaded."),
    "regard_model_refused": ("gauge", "1 of a model that is not served, or not as the source holds it."),
}


def exposition(status: Status) -> str:
    """All of them."""
    lines: dict[str, list[str]] = {name: [] for name in KINDS}
    for name, value, labels in _samples(status):
        told = ",".join(
            f'{key}="{_escaped(text)}"' for key, text in ({"colour": status.colour} | labels).items()
        )
        lines[name].append(f"{name}{{{told}}} {value}")
    return "".join(
        "\n".join([f"# HELP {name} {about}", f"# TYPE {name} {kind}", *lines[name], ""])
        for name, (kind, about) in KINDS.items()
    )


def _samples(status: Status) -> Iterator[tuple[str, int, dict[str, str]]]:
    """Names, values and the labels besides the colour."""
    serving = status.state == "serving"
    yield "regard_up", int(serving), {}
    yield "regard_idle", int(status.state == "idle"), {}
    yield "regard_restarts_total", status.restarts, {}
    yield "regard_memory_bytes", status.memory_bytes, {}
    limit = _memory_limit()
    if limit is not None:
        yield "regard_memory_limit_bytes", limit, {}
    yield "regard_source_info", 1, {"source": status.source or ""}
    for name, model in status.models.items():
        if model.answers is not None:
            yield "regard_canary_ok", int(serving and model.answers), {"model": name}
        for version, kept in model.goldens.items():
            yield "regard_goldens_ok", int(kept), {"model": name, "version": str(version)}
        yield "regard_model_refused", int(model.state == "refused"), {"model": name}


def _memory_limit() -> int | None:
    machine = memory()
    totals = (limits().memory, machine.total if machine else None)
    return min((total for total in totals if total is not None), default=None)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
