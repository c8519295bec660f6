"""A run: its jobs one after the other within the time, the result's file and the table."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from bench import Bench, Job, NotPresent, failed, said
from figures import Figure, as_json, table_of
from machine import machine, versions
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from regard.contract.whole_file import write_text

PURPOSE = "kernels, networks and engines on a GPU"
SECONDS = 400.0  # after which no job starts; the longest takes a minute
COLUMNS = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))


def run(bench: Bench, jobs: Sequence[Job], result: Path, *, seconds: float = SECONDS) -> int:
    """Run the jobs, write the result after each, print the table; gives the exit code."""
    started = time.monotonic()
    load = round(os.getloadavg()[0], 2)
    figures: list[Figure] = []
    errors = 0
    console = Console(stderr=True)
    with Progress(*COLUMNS, console=console) as progress:
        task = progress.add_task("", total=len(jobs))
        for job in jobs:
            progress.update(task, description=job.title)
            try:
                if time.monotonic() - started > seconds:
                    raise NotPresent("the time for it")
                figures += job.run(bench)
            except Exception as error:  # the others go on
                figures.append(failed(job.title, said(error)))
                errors += not isinstance(error, NotPresent)
            progress.advance(task)
            write(result, figures, bench, load, time.monotonic() - started)
    Console(soft_wrap=True).print(table_of(figures, title=PURPOSE))
    console.print(f"-> {result}")
    wrong = [figure for figure in figures if figure.name.startswith("right") and not figure.met]
    return 1 if errors or wrong else 0


def write(result: Path, figures: Sequence[Figure], bench: Bench, load: float, seconds: float) -> None:
    """The result's file, as the other benchmarks have theirs."""
    written = {
        "name": "gpu",
        "purpose": PURPOSE,
        "command": "python benchmarks/gpu/run.py",
        "quick": bench.quick,
        "seconds": round(seconds, 1),
        "load_average_before": load,
        "figures": [as_json(figure) for figure in figures],
        "machine": machine(bench.device),
        "versions": versions(Path(__file__).parent),
    }
    write_text(result, json.dumps(written, indent=2, allow_nan=False) + "\n")
