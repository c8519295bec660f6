"""Callers who are slow, dead, or gone without a word."""

import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress

from tests.faults.raw import vanish
from tests.faults.scene import Scene

BODY = 200_000  # bytes that are announced
PATIENCE = 10.0
HEAD = f"POST /v2/models/colour/infer HTTP/1.1\r\nHost: faults\r\nContent-Length: {BODY}\r\n"
# a client that goes on asking with shared memory, until it is killed
CLIENT = """
import sys, numpy
from regard import Client
with Client(sys.argv[1]) as client:
    while True:
        client.infer("largest", {"image": numpy.zeros((4, 128, 128, 3), numpy.uint8)})
        print("answered", flush=True)
"""


def slow(scene: Scene) -> None:
    """Some send a request byte by byte, some never read the answer."""
    with ExitStack() as stack:
        sending = [
            stack.enter_context(scene.server.socket(PATIENCE)) for _ in range(scene.setting.connections)
        ]
        silent = [
            stack.enter_context(scene.server.socket(PATIENCE)) for _ in range(scene.setting.connections)
        ]
        head = HEAD + "".join(f"{name}: {value}\r\n" for name, value in scene.server.headers.items())
        for each in sending:
            each.sendall(head.encode())
        metadata = head.replace("POST", "GET").replace("/infer", "").replace(f"{BODY}", "0").encode()
        for each in silent:
            with suppress(OSError):
                each.sendall((metadata + b"\r\n") * 200)
        scene.mark(f"{len(sending)} send slowly, {len(silent)} do not read")
        end = time.monotonic() + scene.setting.lasting
        while time.monotonic() < end:
            for each in sending:
                with suppress(OSError):  # the server has had enough
                    each.sendall(b"x")
            time.sleep(0.2)
        scene.mark("they go")
    scene.settle()


def dead(scene: Scene) -> None:
    """Some break off within a request, some reset the connection; real clients are killed while they ask."""
    credentials = "".join(f"{name}: {value}\r\n" for name, value in scene.server.headers.items())
    scene.mark(f"{2 * scene.setting.connections} break off")
    for number in range(2 * scene.setting.connections):
        with scene.server.socket(PATIENCE) as connection:
            connection.sendall((HEAD + credentials + "\r\n").encode() + bytes(BODY // 2))
            if number % 2:  # an RST in place of a FIN
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    if scene.server.shared_memory:
        clients = [_client(scene.server.address("grpc")) for _ in range(2)]
        for client in clients:
            assert client.stdout is not None
            client.stdout.readline()
        scene.mark("two clients are killed")
        for client in clients:
            client.kill()
            client.communicate()
    scene.lasts()
    scene.settle()


def half_open(scene: Scene) -> None:
    """Connections whose client vanished without a FIN, within a request and before one, and silent ones."""
    before = scene.footprint().descriptors
    silent = []
    for number in range(scene.setting.connections):
        host, _, port = scene.server.address("grpc" if number % 2 else "http").rpartition(":")
        connection = socket.create_connection((host, int(port)), PATIENCE)
        silent.append(socket.create_connection((host, int(port)), PATIENCE))
        if number % 4 < 2:
            connection.sendall(HEAD.encode())
        vanish(connection)
    scene.mark(f"{len(silent)} vanish, {len(silent)} are silent")
    scene.lasts()
    for connection in silent:
        connection.close()
    scene.mark("the silent ones go")
    scene.settle()
    kept = scene.footprint().descriptors - before
    scene.notes.append(f"{max(0, kept)} descriptors more than before")


def _client(address: str) -> subprocess.Popen[str]:
    pipe, quiet = subprocess.PIPE, subprocess.DEVNULL  # Python's own tracker tells of what the dead left
    return subprocess.Popen([sys.executable, "-c", CLIENT, address], stdout=pipe, stderr=quiet, text=True)
