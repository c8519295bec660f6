"""One request whose large tensors go through shared memory, or over the connection where that does not pay or
the server will not have it.
"""

from collections.abc import Mapping
from dataclasses import replace

from regard.errors import InvalidInput
from regard.serving.client.exchange import exchange
from regard.serving.client.regions import WORTH_SHARING, Region, Regions, room_for
from regard.serving.client.retry import Retry
from regard.serving.client.steps import Register, Steps
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
    retry: Retry,
    deadline: Deadline,
) -> Steps[Outputs]:
    """Send a request; raises Fault.

    sizes: bytes of the outputs, where known.
    insist: a server's refusal is an error instead of a reason to do without.
    """
    outputs = sizes if sum(sizes.values()) >= WORTH_SHARING else {}
    region = None
    if sum(array.nbytes for array in request.inputs.values()) + sum(outputs.values()) >= WORTH_SHARING:
        region = yield from _registered(room_for(request.inputs, outputs), regions, address, insist, deadline)
    if region is None:
        answer: Answer = yield from exchange(request, retry, deadline)
        return answer.arrays
    reusable = False
    try:
        spans = region.place(request.inputs, outputs)
        answer = yield from exchange(replace(request, spans=spans), retry, deadline)
        reusable = True
        return answer.arrays | {
            name: region.read(spans[name], *facts) for name, facts in answer.written.items()
        }
    except Fault as fault:
        if _in_doubt(fault):
            raise
        if "shared memory" not in fault.message.lower():
            reusable = True
            raise
    finally:
        (regions.give_back if reusable else regions.destroy)(region)
    # the server has forgotten the region
    answer = yield from exchange(request, retry, deadline)
    return answer.arrays


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
        if _in_doubt(fault):
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
