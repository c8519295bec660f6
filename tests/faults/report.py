"""docs/faults.md and its picture, from a run."""

import json
from collections.abc import Sequence
from pathlib import Path

from tests.faults.catalog import FAULTS
from tests.faults.picture import draw
from tests.faults.run import SERVERS, Counts, Result

from regard.contract.whole_file import write_text
from regard.serving.bench.report import machine

RESULTS = Path(__file__).with_name("results.json")
DOCS = Path(__file__).parents[2] / "docs"
PAGE, PICTURE = DOCS / "faults.md", DOCS / "images" / "faults.png"
HEAD = Path(__file__).with_name("head.md").read_text(encoding="utf-8")


def write(results: Sequence[Result]) -> None:
    """Write both, and keep the results: those of other faults stay as they were measured."""
    new = {(result.where, result.name): result for result in results}
    old = {(result.where, result.name): result for result in kept()}
    order = [(where, fault.name) for where in SERVERS for fault in FAULTS]
    together = [(old | new)[key] for key in order if key in old | new]
    write_text(RESULTS, json.dumps([result.as_json() for result in together], separators=(",", ":")) + "\n")
    draw(together, PICTURE)
    write_text(PAGE, page(together))


def kept() -> list[Result]:
    """The results of former runs."""
    return [Result.from_json(each) for each in json.loads(RESULTS.read_text())] if RESULTS.exists() else []


def page(results: Sequence[Result]) -> str:
    """The text of docs/faults.md."""
    at = machine()
    lines = [HEAD]
    for command in dict.fromkeys(result.command for result in results):
        minutes = sum(result.seconds for result in results if result.command == command) / 60
        lines.append(f"- `{command}`: {minutes:.1f} minutes")
    lines += [
        "",
        f"on {at['processors']} processors ({at['processor']}) that other work used too, which makes times "
        "worse and counts not.",
        "",
        "| where | fault | who | sent | right | refused | lost | outage |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        standing = f"standing | {_counts(result.standing)} | {result.outage:.1f} s"
        lines.append(f"| {result.where} | {result.name} | {standing} |")
        if result.others.sent:
            lines.append(f"| | | {result.own} | {_counts(result.others)} | |")
    good = sum(result.good for result in results)
    lines += [
        "",
        f"{good} of {len(results)} are as they must be.",
        "",
        "![Time lines](images/faults.png)",
        "",
    ]
    lines += ["## What was done", ""]
    for result in results:
        lines += [f"**{result.where}: {result.name}.** {result.says}", ""]
        lines += [f"- {moment:.1f} s: {label}" for moment, label in result.events]
        lines += [f"- {note}" for note in result.notes]
        wrong = [*result.faults, *result.standing.reasons, *result.others.reasons]
        lines += [f"- **wrong**: {one}" for one in wrong]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _counts(counts: Counts) -> str:
    codes = ", ".join(f"{count:,} {code}" for code, count in counts.codes.items())
    refused = f"{counts.refused:,}" + (f" ({codes})" if codes else "")
    return f"{counts.sent:,} | {counts.right:,} | {refused} | {counts.lost:,}"
