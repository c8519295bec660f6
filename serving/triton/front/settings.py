"""What a front is told."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Where a front stands, and what it lets pass.

    host, port: where it listens.
    upstream: host and port of Triton's HTTP.
    key_header, key: what Triton demands of each request (--http-restricted-api), and callers cannot know.
    max_body: bytes of one request.
    max_json: bytes of JSON in one request; tensors behind it are not counted.
    max_in_flight: bytes of all requests that are being read or answered.
    body_timeout: seconds that a request may take to arrive.
    answer_timeout: seconds that an answer may take, of a request that says no other time.
    """

    host: str
    port: int
    upstream: str
    key_header: str
    key: str
    max_body: int = 256 * 2**20
    max_json: int = 8 * 2**20
    max_in_flight: int = 2**30
    body_timeout: float = 60.0
    answer_timeout: float = 60.0
