"""One request whose large tensors go through shared memory, or over the connection where that does not pay or
the server will not have it.
"""

from collections.abc import Mapping
from dataclasses import replace

from regard.errors import InvalidInput
from regard.serving.client.persistence import Persistence
from regard.serving.client.regions import WORTH_SHARING, Region, Regions, room_for
from regard.serving.client.retry import passing
from regard.serving.client.steps import Infer, Register, Steps
from regard.serving.protocol.address import Address
from regard.serving.protocol.deadline import Deadline
from regard.serving.protocol.wire import Answer, Fault, Outputs, Request


def shared_exchange(
    request: Request,
    sizes: Mapping[str, int],
    regions: Regions,
    address: Address,
    *,
    insist: bool,
    persistence: Persistence,
    deadline: Deadline,
) -> Steps[Outputs]:
    """Send a request; raises Fault. Only the first attempt goes through shared memory: a server that was
    started again knows no region, and one that may still write into a region must not meet it twice.

    sizes: bytes of the outputs, where known.
    insist: a server's refusal is an error instead of a reason to do without.
    """
    outputs = sizes if sum(sizes.values()) >= WORTH_SHARING else {}
    region = None
    if sum(array.nbytes for array in request.inputs.values()) + sum(outputs.values()) >= WORTH_SHARING:
        region = yield from _registered(room_for(request.inputs, outputs), regions, address, insist, deadline)
    if region is None:
        return (yield from persistence.infer(request, deadline)).arrays
    reusable = False
    try:
        shared = replace(request, spans=region.place(request.inputs, outputs))
        answer: Answer = yield from persistence.once(Infer(shared, deadline.remaining()))
        reusable = True
        return answer.arrays | {
            name: region.read(shared.spans[name], *facts) for name, facts in answer.written.items()
        }
    except Fault as fault:
        forgotten = "shared memory" in fault.message.lower()  # by the server
        reusable = not (_in_doubt(fault) or forgotten)
        if not (forgotten or passing(fault, met=persistence.met(request.model, request.version))):
            raise
    finally:
        (regions.give_back if reusable else regions.destroy)(region)
    return (yield from persistence.infer(request, deadline)).arrays


def _registered(
    size: int, regions: Regions, address: Address, insist: bool, deadline: Deadline
) -> Steps[Region | None]:
    """A region that the server knows; None where it has to be done without."""
    region = regions.lend(size)
    if region is None or region.registered:
        return region
    try:
        yield Register(region, deadline.remaining())
        region.registered = True
    except Fault as fault:
        if _in_doubt(fault) and not fault.restricted:
            return None  # sending the request will tell
        regions.enabled = False
        if insist:
            raise InvalidInput(
                f"the server at {address} refuses shared memory ({fault.message}): it must run on this "
                "machine and see the same shared memory; leave shared_memory out to send images over the "
                "connection"
            ) from None
        return None
    finally:
        if not region.registered:
            regions.destroy(region)
    return region


def _in_doubt(fault: Fault) -> bool:
    """Whether the server may have the region in use."""
    return not fault.answered or fault.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")
