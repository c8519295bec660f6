"""A builder of engines that are none, with proper records.

As a program, `python -m tests.serving.deploy.stand_in REPOSITORY VOLUME`, it takes a snapshot with them and
waits in the middle of each build after the first.
"""

import sys
import time
from pathlib import Path
from typing import Any

from tests.serving.repository.plans import plan_of

from regard.contract.card import Card
from regard.contract.digest import sha256
from regard.contract.plan import Plan
from regard.contract.variant import Variant
from regard.serving.deploy.engine_snapshot import take_snapshot
from regard.serving.repository.engine_checks import bindings_of
from regard.serving.repository.engine_choice import Server
from regard.serving.repository.signature import read_signature

SERVER = Server(frozenset({"tensorrt"}), "10.5.0", ("8.6",))
HALF = b"half an engine"


class StandIn:
    """Writes bytes and remembers of which model. Give it faults by model: an exception to raise, or what to
    change in the record.
    """

    def __init__(self, **faults: Exception | dict[str, Any]) -> None:
        self.built: list[str] = []
        self.faults = faults

    def __call__(self, graph: Path, card: Card, variant: Variant, engine: Path) -> Plan:
        self.built.append(card.name)
        fault = self.faults.get(card.name, {})
        engine.write_bytes(HALF)
        if isinstance(fault, Exception):
            raise fault
        engine.write_bytes(b"the engine of " + sha256(graph).encode())
        fields = {
            "graph_sha256": sha256(graph),
            "precision": variant.precision,
            "bindings": bindings_of(read_signature(graph)),
        }
        return plan_of(card, **(fields | fault))


def wait_in_the_second(graph: Path, card: Card, variant: Variant, engine: Path) -> Plan:
    if BUILDER.built:
        engine.write_bytes(HALF)
        print("half-way", flush=True)
        time.sleep(600)
    return BUILDER(graph, card, variant, engine)


BUILDER = StandIn()

if __name__ == "__main__":
    take_snapshot(Path(sys.argv[1]), Path(sys.argv[2]), SERVER, wait_in_the_second)
