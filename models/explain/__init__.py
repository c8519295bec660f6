"""Where in an image a classifier sees its answer: class activation maps in closed form, never by a
framework's autograd.
"""

from typing import Literal

# the ways of explaining; `regard.models.explain.explainers` says what each gives
Explain = Literal["weights", "cam", "gradcam"]
