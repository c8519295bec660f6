"""The short setting: every fault is planted, and nothing is lost."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.faults.catalog import FAULTS
from tests.faults.run import SERVERS, belongs
from tests.faults.scene import SHORT

ROOT = Path(__file__).parents[2]
PLANTED = {
    server: [fault for fault in FAULTS if belongs(fault, server, [*SERVERS], SHORT)] for server in SERVERS
}


@pytest.mark.slow
@pytest.mark.timeout(1000)
@pytest.mark.parametrize("server", SERVERS)
def test_nothing_is_lost(server: str, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    only = [f"--only={fault.name}" for fault in PLANTED[server]]
    command = [sys.executable, "-m", "tests.faults", "--server", server, "--json", str(file), *only]
    done = subprocess.run(command, cwd=ROOT, check=False, timeout=900)
    results = {each["name"]: each for each in json.loads(file.read_text())}
    assert list(results) == [fault.name for fault in PLANTED[server]]
    assert [wrong for fault in PLANTED[server] for wrong in wrong_with(results[fault.name])] == []
    assert done.returncode == 0


def wrong_with(result: dict[str, Any]) -> list[str]:
    standing, others = result["standing"], result["others"]
    wrong = [*standing["reasons"], *others["reasons"], *result["faults"]]
    if standing["lost"] or others["lost"]:
        wrong.append(f"{standing['lost']} and {others['lost']} are lost")
    if not standing["right"] == standing["sent"] > 0:
        wrong.append(f"of the standing {standing['sent']} calls {standing['right']} were answered right")
    if bool(others["sent"]) is not bool(result["own"]):
        wrong.append(f"{others['sent']} calls by {result['own'] or 'nobody'}")
    return [f"{result['name']}: {each}" for each in wrong]


def test_every_fault_is_planted() -> None:
    assert {fault.name for faults in PLANTED.values() for fault in faults} == {fault.name for fault in FAULTS}


def counts(**changes: Any) -> dict[str, Any]:
    return {"sent": 5, "right": 5, "refused": 0, "lost": 0, "codes": {}, "reasons": []} | changes


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({}, False),
        ({"standing": counts(right=4, lost=1, reasons=["1 x a wrong answer"])}, True),
        ({"standing": counts(right=4, refused=1)}, True),
        ({"standing": counts(sent=0, right=0)}, True),
        ({"others": counts(right=4, lost=1)}, True),
        ({"others": counts(sent=0, right=0)}, True),
        ({"faults": ["the server died"]}, True),
    ],
)
def test_what_is_wrong_is_seen(changes: dict[str, Any], wrong: bool) -> None:
    good = {"name": "a fault", "own": "the crowd", "standing": counts(), "others": counts(), "faults": []}
    assert bool(wrong_with(good | changes)) is wrong
