"""Plant faults in servers under load, and report what their callers were answered.

python -m tests.faults                  # short: some three minutes
python -m tests.faults --long --write   # long: writes docs/faults.md and its picture
"""

import argparse
import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from tests.faults import private
from tests.faults.catalog import FAULTS
from tests.faults.report import write
from tests.faults.run import SERVERS, Result, planted
from tests.faults.scene import LONG, SHORT


def main(options: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.partition("\n")[0])
    parser.add_argument("--long", action="store_true", help="many callers, 10,000 malformed requests, a soak")
    parser.add_argument(
        "--only", action="append", metavar="WORDS", help="faults with these words in their names"
    )
    parser.add_argument(
        "--soak", type=float, metavar="SECONDS", help="of the soak, in place of the setting's"
    )
    parser.add_argument("--server", action="append", choices=SERVERS, help="by default each of them")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument(
        "--write", action="store_true", help="write docs/faults.md, with its picture and results.json"
    )
    arguments = parser.parse_args(options)
    disk = private.disk()
    if disk is None:
        return private.again(options)
    chosen = [
        fault
        for fault in FAULTS
        if arguments.only is None or any(words in fault.name for words in arguments.only)
    ]
    setting = LONG if arguments.long else SHORT
    if arguments.soak:
        setting = replace(setting, soak=arguments.soak)
    command = measured_by(arguments)
    results: list[Result] = []
    try:
        for result in planted(chosen, setting, disk, arguments.server or [*SERVERS]):
            print(line(result), flush=True)
            results.append(replace(result, command=command))
    finally:  # whatever ended it
        if arguments.json:
            found = [result.as_json() for result in results]
            arguments.json.write_text(json.dumps(found, indent=1) + "\n")
        if arguments.write:
            write(results)
    return 0 if results and all(result.good for result in results) else 1


def measured_by(arguments: argparse.Namespace) -> str:
    """The command, without where it writes."""
    words = ["python", "-m", "tests.faults", *(["--long"] if arguments.long else [])]
    words += [word for server in arguments.server or () for word in ("--server", server)]
    words += [word for each in arguments.only or () for word in ("--only", each)]
    words += ["--soak", f"{arguments.soak:g}"] if arguments.soak else []
    return shlex.join(words)


def line(result: Result) -> str:
    told = [f"{'good' if result.good else 'BAD '} {result.where}: {result.name} ({result.seconds:.1f} s)"]
    for who, counts in ("standing", result.standing), (result.own, result.others):
        if counts.sent:
            told.append(
                f"  {who}: {counts.sent} sent, {counts.right} right, {counts.refused} refused "
                f"{counts.codes or ''}, {counts.lost} lost"
            )
            told += [f"    {reason[:400]}" for reason in counts.reasons]
    told.append(f"  longest outage {result.outage:.2f} s")
    return "\n".join(
        [*told, *(f"  {note}" for note in result.notes), *(f"  WRONG: {one}" for one in result.faults)]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
