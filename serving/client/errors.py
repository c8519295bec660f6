"""What can go wrong between a client and its server; bad images and options are
`regard.errors.InvalidInput`.
"""

from regard.errors import RegardError


class ServerUnreachable(RegardError):
    """No server answers at the address, or it died before it answered."""


class InferenceError(RegardError):
    """The server answered with an error, or not in time.

    code: gRPC's name for the fault, whichever protocol was spoken: INVALID_ARGUMENT, NOT_FOUND,
        DEADLINE_EXCEEDED, ...
    """

    def __init__(self, code: str, message: str, model: str) -> None:
        super().__init__(f"model {model!r}: {code}: {message}")
        self.code = code
        self.message = message
        self.model = model

    def __reduce__(self) -> tuple[type["InferenceError"], tuple[str, str, str]]:
        return InferenceError, (self.code, self.message, self.model)
