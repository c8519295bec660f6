"""Requests that must be refused."""

import itertools
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from tests.faults.corpus import malformed
from tests.faults.leaks import MIB, Footprint
from tests.faults.load import Load
from tests.faults.malformed import Malformed
from tests.faults.models import COLOUR, pixels
from tests.faults.overload import answer
from tests.faults.raw import Wire
from tests.faults.scene import REST, Scene
from tests.faults.servers import Protocol
from tests.faults.stack import BURST, GREEDY, RATE, Stack
from tests.faults.tally import REFUSED, RIGHT, Call, Question, Tally

from regard import Client
from regard.serving.protocol.address import address_of
from regard.serving.protocol.connect import connect
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.wire import Outputs, Request

SENDERS = 4
WARM = 0.3  # of the requests, before what is held is measured
SETTLES = 2.0  # seconds for connections to close
PATIENCE = 10.0  # seconds of a caller's deadline
TOKEN = 1.0  # seconds of a token
SKEW = 7.0  # seconds after which a token is refused for certain: the gateway allows 5 for clocks that differ
PROTOCOLS: tuple[Protocol, ...] = ("grpc", "http")
INPUTS = {"image": pixels(0, 8, 8)[None]}
ALLOWED = Footprint(memory=24 * MIB, descriptors=40, regions=4, shared=16 * MIB)


def malformed_requests(scene: Scene) -> Sequence[Call]:
    """Wrong protobuf, JSON, images, shapes and names, over both protocols."""
    pid = scene.server.find("the server")
    requests = list(malformed(scene.setting.malformed, gateway=isinstance(scene.server, Stack)))
    warm = int(WARM * len(requests))
    scene.mark(f"{len(requests)} malformed requests")
    calls = _sent(scene, requests[:warm])
    time.sleep(SETTLES)
    before = scene.footprint()
    calls += _sent(scene, requests[warm:])
    scene.mark("the last one")
    time.sleep(SETTLES)
    after = scene.footprint()
    scene.notes.append(f"after {warm}: {before}; after {len(requests)}: {after}")
    scene.faults += after.growth(before, ALLOWED)
    if scene.server.find("the server") != pid:
        scene.faults.append("the server did not live through it")
    scene.settle()
    return calls


def _sent(scene: Scene, requests: Sequence[Malformed]) -> list[Call]:
    ahead, lock = iter(requests), threading.Lock()

    def work(_: int) -> list[Call]:
        wire = Wire(scene.server)
        done = []
        while True:
            with lock:
                request = next(ahead, None)
            if request is None:
                wire.close()
                return done
            done.append(wire.refused(request))

    with ThreadPoolExecutor(SENDERS) as threads:
        return [*itertools.chain.from_iterable(threads.map(work, range(SENDERS)))]


def unauthorised(scene: Scene) -> Sequence[Call]:
    """Callers without a key, with one that is none, and with tokens that the gateway did not sign."""
    assert isinstance(scene.server, Stack)
    stranger = "x" * len(scene.server.stack.gateway.api_key)
    claims = {"iss": "regard", "aud": "regard", "sub": "operator", "exp": int(time.time()) + 3600}
    other = jwt.encode(claims, generate_private_key(SECP256R1()), "ES256")
    ways: dict[str, dict[str, Any]] = {
        "no key": {},
        "a key that is none": {"api_key": stranger},
        "an empty signature": {"token": jwt.encode(claims, None, "none")},
        "another's signature": {"token": other},
        "a secret in the place of a key": {"token": jwt.encode(claims, "secret" * 8, "HS256")},
        "a foreign name": {"headers": {"x-regard-client": "operator"}},
        "a colour": {"api_key": scene.server.stack.gateway.api_key, "headers": {"regard-colour": "a"}},
    }
    callers, clients = [], []
    for way, options in ways.items():
        for protocol in PROTOCOLS:
            ca = scene.server.stack.gateway.ca
            client = Client(
                scene.server.url(protocol), ca=ca, timeout=PATIENCE, shared_memory=False, **options
            )
            clients.append(client)
            code = "PERMISSION_DENIED" if way == "a colour" else "UNAUTHENTICATED"
            callers.append([Question(way, partial(client.infer, COLOUR, INPUTS), _never, PATIENCE, (code,))])
    scene.mark("strangers ask")
    with Load(callers, rest=REST) as load:
        scene.lasts()
    scene.mark("they go")
    for client in clients:
        client.close()
    scene.settle()
    return load.calls


def over_limit(scene: Scene) -> Sequence[Call]:
    """One caller who asks faster than one may: the others are not its victims."""
    assert isinstance(scene.server, Stack)
    token = scene.server.stack.gateway.token(GREEDY)
    ca = scene.server.stack.gateway.ca
    connections = [
        connect(address_of(scene.server.url(protocol), None), Credentials(ca=ca, token=token))
        for protocol in PROTOCOLS
    ]
    request = Request(COLOUR, "", INPUTS)
    callers = [
        [
            Question(
                f"{number}",
                partial(answer, connection, request, PATIENCE),
                _probabilities,
                PATIENCE,
                ("RESOURCE_EXHAUSTED",),
            )
        ]
        for number, connection in enumerate(connections * 6)
    ]
    scene.mark("one asks too fast")
    begun = time.monotonic()
    with Load(callers, rest=0) as load:
        scene.lasts()
    most = BURST + RATE * (1 + time.monotonic() - begun)
    scene.mark("and goes")
    for connection in connections:
        connection.close()
    answered = Tally(load.calls).right
    scene.notes.append(f"{answered} of them answered, and the limit is {most:.0f}")
    if answered > most:
        scene.faults.append(f"{answered} were answered, and {most:.0f} are the limit")
    if not Tally(load.calls).refused:
        scene.faults.append("nobody was over the limit")
    scene.settle()
    return load.calls


def old_token(scene: Scene) -> Sequence[Call]:
    """A token whose time passes while its caller asks."""
    assert isinstance(scene.server, Stack)
    gateway = scene.server.stack.gateway
    token = gateway.token("short", hours=TOKEN / 3600)
    past = time.monotonic() + TOKEN + SKEW
    clients = [
        Client(scene.server.url(protocol), ca=gateway.ca, token=token, timeout=PATIENCE, shared_memory=False)
        for protocol in PROTOCOLS
    ]
    callers = [
        [
            Question(
                "a token",
                partial(client.infer, COLOUR, INPUTS),
                _probabilities,
                PATIENCE,
                ("UNAUTHENTICATED",),
            )
        ]
        for client in clients
    ]
    scene.mark("a token of some seconds")
    with Load(callers, rest=REST) as load:
        time.sleep(max(0.0, past - time.monotonic()))
        scene.mark("its time is over")
        scene.lasts()
    for client in clients:
        client.close()
    if not any(call.outcome == RIGHT for call in load.calls):
        scene.faults.append("the token was never good")
    late = [call for call in load.calls if call.outcome == RIGHT and call.begun > past]
    if late or not any(call.outcome == REFUSED for call in load.calls):
        scene.faults.append(f"{len(late)} calls were answered after the token's time")
    scene.settle()
    return load.calls


def _probabilities(outputs: Outputs) -> bool:
    return abs(float(outputs["probabilities"].sum()) - 1) < 1e-5


def _never(outputs: Outputs) -> bool:
    """An answer to a stranger is wrong, whatever it says."""
    return False
