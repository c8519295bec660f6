"""The exporter's chatter, held back: what matters comes as an exception or in the certificate."""

import io
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr


class _Held(io.StringIO):
    """Swallows what libraries print, but lets rich's progress bar, which looks for this attribute, go on to
    the terminal.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rich_proxied_file = getattr(sys.stderr, "rich_proxied_file", sys.stderr)


@contextmanager
def quiet() -> Iterator[None]:
    """While active, this process shows no warnings, no log records and nothing that is printed to stderr."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stderr(_Held()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
