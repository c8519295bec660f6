"""What a server says of a session that it has forgotten."""

import re

# from Triton and from its backends
_FORGOTTEN = re.compile(r"must specify the START flag|has no state here", re.IGNORECASE)


def says_forgotten(message: str) -> bool:
    """Whether a step was refused because the server has no such session any more."""
    return _FORGOTTEN.search(message) is not None
