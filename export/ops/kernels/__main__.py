"""`python -m regard.export.ops.kernels`: build the library ahead of its first use."""

import sys

from regard.export.ops.kernels.build import library

built = library(report=lambda line: print(line, file=sys.stderr))
if built is not None:
    print(built)
