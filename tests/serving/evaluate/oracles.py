"""torchmetrics, which the figures are compared with."""

from importlib.util import find_spec

from regard.models.foreign.library import import_library

if find_spec("torchvision"):  # torchmetrics imports it where it is installed
    import_library("torchvision")

import torchmetrics.classification as torchmetrics

__all__ = ["torchmetrics"]
