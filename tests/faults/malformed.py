"""What a malformed request is, and the wrong bytes that both protocols carry."""

import random
import struct
import zlib
from dataclasses import dataclass

from tests.faults.models import pixels, png

REFUSING = frozenset(
    {"400", "404", "405", "408", "411", "413", "414", "415", "417", "422", "431", "501", "505"}
)
CLOSED = "closed"  # the connection, without an answer: to what is no HTTP
INVALID = frozenset({"INVALID_ARGUMENT", "NOT_FOUND"})
BATCH = INVALID | {"INTERNAL"}  # Triton's own word for a batch of 0, or of 2^62
LONG = INVALID | {"RESOURCE_EXHAUSTED"}  # gRPC's word where a name is too long for the error that names it
UNREADABLE = INVALID | {"INTERNAL", "UNIMPLEMENTED"}  # gRPC's own words for a bad message

Draw = random.Random


@dataclass(frozen=True)
class OverHttp:
    """content: all that is sent, except that {credentials} stands for the caller's headers."""

    kind: str
    content: bytes
    codes: frozenset[str] = REFUSING


@dataclass(frozen=True)
class OverGrpc:
    """A message to a method."""

    kind: str
    method: str
    content: bytes
    codes: frozenset[str] = INVALID


Malformed = OverHttp | OverGrpc
CREDENTIALS = b"{credentials}\r\n"
STEPS = ["..", "%2e%2e", "..%2f", "%2e%2e%2f", "..%5c", "%252e%252e", "....//", "%c0%ae%c0%ae", ".%00."]


def noise(draw: Draw, least: int = 0, most: int = 400) -> bytes:
    return draw.randbytes(draw.randint(least, most))


def no_image(draw: Draw) -> bytes:
    whole = png(pixels(0, 48, 64))
    return draw.choice(
        [
            whole[: draw.randrange(1, len(whole) - 20)],
            b"\x89PNG\r\n\x1a\n" + noise(draw),
            b"\xff\xd8\xff\xe0" + noise(draw),
            b"RIFF\x10\x00\x00\x00WEBP" + noise(draw),
            b"GIF89a" + noise(draw),
            noise(draw, 1),
            whole[:8] + draw.randbytes(16) + whole[24:],
            claiming(draw.choice([0, 1, 2**31 - 1, 60_000]), draw.choice([0, 2**31 - 1, 60_000])),
        ]
    )


def claiming(columns: int, rows: int) -> bytes:
    """A PNG of a few bytes that claims so many pixels."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(1000))),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
