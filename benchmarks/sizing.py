"""How many processors a load needs -> docs/sizing.md, from what peers.py measured of our server."""

import json
import re
from pathlib import Path
from typing import Any

from harness import RESULTS

from regard.contract.whole_file import write_text

PAGE = Path(__file__).parents[1] / "docs" / "sizing.md"
OURS = re.compile(r"(?P<model>\w+), (?P<clients>\d+) clients?: ours( in (?P<precision>int8))? \(.+\)")
MEMORY = re.compile(r"(?P<model>\w+): memory of ours( in (?P<precision>int8))?")
HEAD = """# Sizing

Written by `python benchmarks/sizing.py` from the results of `python benchmarks/peers.py`; do not edit it.

One server on {processors} processors ({processor}), one JPEG of 640 x 480 in a request, by gRPC. The server
has an instance for each processor, and the clients share those with it: on a machine of its own it does
better. Throughput stands still once every processor is busy; from there on more clients only wait longer:
plan with the row whose p99 your users bear. Nothing here was measured on a GPU.

| model | precision | clients | images/s | p50 ms | p99 ms | memory MB | processors for 100 images/s |
|---|---|---|---|---|---|---|---|
"""
TAIL = """
- **Memory** is that of the server and all its processes after the load (proportional set size), with both
  endpoints of one model. A rollout has two servers for a while: plan for twice that, and for `/dev/shm`.
- **Replicas**: your peak in images/s, divided by the row's images/s at 4 clients, rounded up, and one more
  for what fails or is being replaced.
- `regard tune` finds instances, threads and batching for a model on the machine it runs on, and `regard
  bench` measures what is served: both say it of your model, and this table does not.
"""


def page(result: dict[str, Any]) -> str:
    """The page, from the results' file of peers.py."""
    figures, processors = result["figures"], result["machine"]["processors"]
    memory = {
        (match["model"], match["precision"]): figure["measured"]
        for figure in figures
        if (match := MEMORY.fullmatch(figure["name"]))
    }
    rows = [
        _row(match, figure, memory[match["model"], match["precision"]], processors)
        for figure in figures
        if (match := OURS.fullmatch(figure["name"]))
    ]
    return HEAD.format(**result["machine"]) + "".join(rows) + TAIL


def _row(match: re.Match[str], figure: dict[str, Any], memory: float, processors: int) -> str:
    details = figure["details"]
    busy = int(match["clients"]) > processors  # else some processors wait
    cells = (
        match["model"],
        match["precision"] or "float32",
        match["clients"],
        f"{figure['measured']:.3g}",
        f"{details['p50']['value']:.3g}",
        f"{details['p99']['value']:.3g}",
        f"{memory:.0f}",
        f"{100 * processors / figure['measured']:.2g}" if busy else "",
    )
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    write_text(PAGE, page(json.loads((RESULTS / "peers.json").read_text(encoding="utf-8"))))
