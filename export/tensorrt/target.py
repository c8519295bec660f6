"""What an engine is built for: `rtx:8.6,8.9`, `local`, or `triton:24.10`."""

import re
from dataclasses import dataclass

from regard.contract.plan import Library
from regard.errors import InvalidInput

# what TensorRT-RTX 1.7 builds for, on a machine without any GPU
RTX_CAPABILITIES = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
TARGETS = f"rtx: and compute capabilities ({', '.join(RTX_CAPABILITIES)}), local, or triton: and a release"


@dataclass(frozen=True)
class Target:
    """A target that was asked for.

    Attributes:
        text: as it was asked for.
        library: that builds for it.
        compute_capabilities: as in 8.6; none where it is the GPU here.
        release: of NVIDIA's containers, as in 24.10, whose TensorRT it is for.
    """

    text: str
    library: Library
    compute_capabilities: tuple[str, ...] = ()
    release: str | None = None

    @property
    def here(self) -> bool:
        """Whether it is the GPU here, so that what is built runs at once."""
        return not self.compute_capabilities


def target_of(text: str) -> Target:
    """Read a target.

    Raises:
        InvalidInput: there is no such target, or TensorRT-RTX does not build for a compute capability.
    """
    kind, colon, rest = text.partition(":")
    if text == "local":
        return Target(text, "tensorrt")
    if kind == "rtx" and colon:
        return Target(text, "tensorrt_rtx", _capabilities(rest))
    if kind == "triton" and colon:
        if not re.fullmatch(r"\d\d\.\d\d", rest):
            raise InvalidInput(f"a release of Triton is a year and a month, as in 24.10; got {rest!r}")
        return Target(text, "tensorrt", release=rest)
    raise InvalidInput(f"no target {text!r}; a target is {TARGETS}, as in rtx:8.6,8.9 or triton:24.10")


def _capabilities(text: str) -> tuple[str, ...]:
    wanted = [each.strip() for each in text.split(",")]
    for each in wanted:
        if each not in RTX_CAPABILITIES:
            raise InvalidInput(
                f"TensorRT-RTX does not build for compute capability {each!r}; it builds for "
                f"{', '.join(RTX_CAPABILITIES)}. For another GPU build on it, with the target local"
            )
    return tuple(dict.fromkeys(wanted))
