"""More than can be answered, or than is waited for."""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from tests.faults.leaks import MIB, Footprint
from tests.faults.load import Load
from tests.faults.models import SLOW, pixels
from tests.faults.scene import Scene
from tests.faults.servers import Protocol
from tests.faults.tally import REFUSED, Call, Question, Tally

from regard import AsyncClient
from regard.serving.protocol.connection import Connection
from regard.serving.protocol.wire import Outputs, Request

IMAGE = pixels(0, 8, 8)[None]
HURRY = 0.05  # seconds, the deadline of a storm
BURST = 400  # callers at a time: more than may wait for one instance
CONNECTIONS = 3  # of each protocol: one of gRPC has at most 128 calls under way at the gateway
AT_ONCE = 10.0  # seconds in which a refusal must come on a machine that is overloaded
WAITS = 60.0  # seconds that the callers of a burst would wait
KEPT = Footprint(memory=128 * MIB, descriptors=40, regions=4, shared=16 * MIB)  # of calls given up, at most


def sums_to_one(outputs: dict[str, Any]) -> bool:
    return outputs["probabilities"].shape == (1, 2) and abs(float(outputs["probabilities"].sum()) - 1) < 1e-5


def answer(connection: Connection, request: Request, timeout: float) -> Outputs:
    """Without retries."""
    return connection.infer(request, timeout=timeout).arrays


def deadline_storm(scene: Scene) -> Sequence[Call]:
    """Callers whose deadline is shorter than their turn, over both protocols."""
    pid = scene.server.find("the server")
    clients = [
        scene.server.client(protocol, timeout=HURRY, shared_memory=False) for protocol in ("grpc", "http")
    ]
    for client in clients:
        client.infer(SLOW, {"image": IMAGE}, timeout=WAITS)
    ask = [partial(client.infer, SLOW, {"image": IMAGE}) for client in clients]
    storm = [
        [Question(f"{number}", ask[number % 2], sums_to_one, HURRY, ("DEADLINE_EXCEEDED", "UNAVAILABLE"))]
        for number in range(scene.setting.callers)
    ]
    scene.mark(f"{len(storm)} callers with {1000 * HURRY:g} ms each")
    with Load(storm, rest=0.01) as load:
        scene.lasts()
    scene.mark("they go")
    scene.settle()
    for client in clients:
        client.close()
    if scene.server.find("the server") != pid:
        scene.faults.append("the server did not live through it")
    return load.calls


def queue_overflow(protocols: tuple[Protocol, ...], scene: Scene) -> Sequence[Call]:
    """More callers at a time than may wait, without retries: who finds the queue full hears it at once."""
    connections = [scene.server.connection(protocol) for protocol in protocols for _ in range(CONNECTIONS)]
    request = Request(SLOW, "", {"image": IMAGE})
    burst = [
        [
            Question(
                f"{number}",
                partial(answer, connections[number % len(connections)], request, WAITS),
                sums_to_one,
                WAITS,
                ("UNAVAILABLE",),
            )
        ]
        for number in range(BURST * len(protocols))
    ]
    scene.mark(f"{len(burst)} callers at a time")
    with Load(burst, rest=0.1) as load:
        scene.lasts()
    scene.mark("they go")
    scene.settle()
    for connection in connections:
        connection.close()
    slowest = Tally(load.calls).slowest(REFUSED)
    scene.notes.append(f"slowest refusal {slowest:.2f} s")
    if slowest > AT_ONCE:
        scene.faults.append(f"a refusal took {slowest:.1f} s")
    if not Tally(load.calls).refused:
        scene.faults.append("no queue was full")
    return load.calls


def given_up(scene: Scene) -> None:
    """Tasks that are cancelled while their inference runs: what they held is free again."""
    before = scene.footprint()
    scene.mark("tasks are cancelled")
    count = sum(asyncio.run(_cancelled(scene, protocol)) for protocol in ("grpc", "http"))
    scene.mark("the last one")
    with scene.server.client("grpc", shared_memory=False) as client:
        begun = time.monotonic()
        client.infer(SLOW, {"image": IMAGE})
        scene.notes.append(
            f"{count} cancelled; the next caller waited {1000 * (time.monotonic() - begun):.0f} ms"
        )
    scene.settle()
    after = scene.footprint()
    scene.notes.append(f"before: {before}; after: {after}")
    scene.faults += after.growth(before, KEPT)


async def _cancelled(scene: Scene, protocol: Protocol) -> int:
    """How many were."""
    count, end = 0, time.monotonic() + scene.setting.lasting / 2
    async with AsyncClient(scene.server.url(protocol), **scene.server.credentials) as client:
        image = np.repeat(IMAGE, 8, axis=0)
        await client.infer(SLOW, {"image": image})
        while time.monotonic() < end:
            tasks = [asyncio.create_task(client.infer(SLOW, {"image": image})) for _ in range(4)]
            await asyncio.sleep(0.02)
            for task in tasks:
                count += task.cancel()
            await asyncio.wait(tasks)
    return count
