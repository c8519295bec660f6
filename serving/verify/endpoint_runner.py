"""A served endpoint as a runner: named arrays in, named arrays out."""

from collections.abc import Iterator, Mapping
from contextlib import closing

from regard.serving.protocol.connection import Connection
from regard.serving.protocol.explain import explained
from regard.serving.protocol.wire import Array, Parameter, Request

TIMEOUT = 60.0  # seconds for one request


class EndpointRunner:
    """One endpoint of a served model.

    Args:
        connection: to its server.
        endpoint: its name there.
        output: the answer's tensor.
        version: of the model; "" leaves the choice to the server.
    """

    sha256: str | None = None  # a server does not say what it runs

    def __init__(self, connection: Connection, endpoint: str, output: str, *, version: str = "") -> None:
        self.connection = connection
        self.endpoint = endpoint
        self.output = output
        self.version = version
        self.name = f"{endpoint} on {connection.address}"

    def run(
        self, inputs: Mapping[str, Array], session: Mapping[str, Parameter] | None = None
    ) -> dict[str, Array]:
        """The served answer.

        session: which the request is a step of.

        Raises:
            RegardError: as of a client's call.
        """
        request = Request(self.endpoint, self.version, inputs, (self.output,), parameters=session or {})
        with explained(self.connection, self.endpoint, timeout=TIMEOUT):
            return self.connection.infer(request, timeout=TIMEOUT).arrays

    def stream(self, inputs: Mapping[str, Array]) -> Iterator[Mapping[str, Array]]:
        """The served answers, one by one.

        Raises:
            RegardError: as of a client's call.
        """
        request = Request(self.endpoint, self.version, inputs)
        with (
            explained(self.connection, self.endpoint, timeout=TIMEOUT),
            closing(self.connection.stream(request, timeout=TIMEOUT)) as answers,
        ):
            for answer in answers:
                yield answer.arrays
