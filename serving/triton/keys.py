"""What a run of the server keeps to those who show a key: what would let a stranger run code in it, silence
its log, or have answers written into another process's memory.
"""

import secrets
from dataclasses import dataclass, field

from regard.serving.protocol.address import Address
from regard.serving.protocol.shared_memory_key import HEADER, write_key

CONTROL_HEADER = "regard-control"
GRPC_PREFIX = "triton-grpc-protocol-"
CONTROL = ("model-repository", "logging", "trace")
SHARED_MEMORY = "shared-memory"


@dataclass(frozen=True)
class Keys:
    """The keys of one run.

    host: that the server listens on; shared memory is for its own user's clients (shared_memory_key.py), and
        for nobody where others can reach it.
    """

    host: str
    control: str = field(default_factory=secrets.token_hex, repr=False)
    shared_memory: str = field(default_factory=secrets.token_hex, repr=False)

    @property
    def shares_memory(self) -> bool:
        """Whether anybody gets the key for shared memory."""
        return Address("grpc", self.host, 1).is_loopback

    @property
    def headers(self) -> dict[str, str]:
        """What regard itself shows over gRPC."""
        return {GRPC_PREFIX + CONTROL_HEADER: self.control}

    def options(self) -> list[str]:
        """The server's options."""
        controlled = CONTROL if self.shares_memory else (*CONTROL, SHARED_MEMORY)
        rules = [f"{','.join(controlled)}:{CONTROL_HEADER}={self.control}"]
        if self.shares_memory:
            rules.append(f"{SHARED_MEMORY}:{HEADER}={self.shared_memory}")
        kinds = ("--grpc-restricted-protocol", "--http-restricted-api")
        return [f"{kind}={rule}" for kind in kinds for rule in rules]

    def leave(self, ports: list[int], *, prefix: str) -> None:
        """Leave the key for shared memory where clients look for it; prefix: as of `write_key`."""
        for port in ports if self.shares_memory else ():
            write_key(self.shared_memory, port, prefix=prefix)
