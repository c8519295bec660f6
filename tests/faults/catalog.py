"""All faults, in the order in which one server meets them."""

from functools import partial

from tests.faults import connections, kills, overload, room, soak, strangers, versions
from tests.faults.scene import Fault
from tests.faults.servers import Serve
from tests.faults.stack import Stack

KILLS = tuple(
    Fault(
        f"kill -9 of {part}",
        "One process is killed.",
        partial(kills.kill, part),
        needs="" if part in Serve.parts else "stack",
    )
    for part in Stack.parts
)
FAULTS = (
    *KILLS,
    Fault("restart under load", "The server is ended in good order and started again.", kills.restart),
    Fault(
        "/dev/shm full",
        "No room in shared memory; then a model's process is killed, so that the server must wait for some.",
        room.shared_memory,
    ),
    Fault(
        "disk full while a version is added",
        "The version is refused, nothing of it stays.",
        room.disk,
        needs="serve",
    ),
    Fault(
        "disk full during a deploy",
        "The rollout is refused, nothing of it stays, the old version serves on.",
        room.disk_of_a_deploy,
        needs="stack",
    ),
    Fault("slow clients", "Some send a byte at a time, some never read.", connections.slow),
    Fault("dead clients", "Some break off within a request, some reset, some are killed.", connections.dead),
    Fault(
        "half-open connections", "Clients that vanish without a FIN, and silent ones.", connections.half_open
    ),
    Fault(
        "deadline storm",
        "Callers who wait less long than their turn takes.",
        overload.deadline_storm,
        own="who hurry",
    ),
    Fault(
        "queue overflow",
        "More callers at a time than may wait, without retries; over HTTP, where there is a limit.",
        partial(overload.queue_overflow, ("http",)),
        own="the crowd",
        needs="serve",
    ),
    Fault(
        "queue overflow at the gateway",
        "The same over both protocols.",
        partial(overload.queue_overflow, ("http", "grpc")),
        own="the crowd",
        needs="stack",
    ),
    Fault(
        "unauthorised callers",
        "Without a key, with a wrong one, with forged tokens, with another's name.",
        strangers.unauthorised,
        own="strangers",
        needs="stack",
    ),
    Fault(
        "a caller over its limit",
        "One caller asks faster than one may; the others feel nothing of it.",
        strangers.over_limit,
        own="the greedy one",
        needs="stack",
    ),
    Fault(
        "a token past its time",
        "It is good until then, and refused afterwards.",
        strangers.old_token,
        own="who has it",
        needs="stack",
    ),
    Fault("calls given up", "Tasks are cancelled while their inference runs.", overload.given_up),
    Fault(
        "malformed requests",
        "Protobuf, JSON, image bytes, shapes and names that are wrong.",
        strangers.malformed_requests,
        own="the malformed",
    ),
    Fault("hot swap", "A new version is added; then it alone may answer.", versions.hot_swap, needs="serve"),
    Fault(
        "rollout and rollback",
        "`regard deploy` of a new version, then back; after each only the right one may answer.",
        versions.rollout,
        needs="stack",
    ),
    Fault("soak", "Nothing but the load.", soak.soak, needs="stack"),
)
