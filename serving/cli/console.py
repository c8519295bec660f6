"""Where commands write: results to stdout, progress and errors to stderr."""

import sys

from rich.console import Console

# columns of a table that no terminal limits, where rich would take 80 and break file names; `models --long`
# needs them
WIDE = 200

out = Console(soft_wrap=True, width=None if sys.stdout.isatty() else WIDE)
err = Console(stderr=True, soft_wrap=True)
