"""OpenVINO, and whether it computes bf16 here."""

from collections.abc import Iterator
from importlib.util import find_spec

from regard.serving.doctor.finding import Finding, broken, not_installed, note, ok
from regard.serving.machine.asking import probe

ABOUT = "OpenVINO"


def openvino() -> Iterator[Finding]:
    """OpenVINO's devices, and whether its CPU computes in bf16 where it may."""
    if find_spec("openvino") is None:
        yield not_installed(ABOUT, "variants in bf16 and int8 do not run here", "openvino")
        return
    facts, answer = probe("openvino_facts")
    if answer.fault is not None:
        yield broken(ABOUT, "openvino", answer.fault)
        return
    says = f"{facts['version']} on {', '.join(facts['devices'])}"
    if facts["bf16"]:
        yield ok(ABOUT, f"{says}, which computes bf16", facts)
    else:
        yield note(
            ABOUT,
            f"{says}, which has no bf16: such variants would be computed in float32",
            "serve an int8 variant here, or the artifact's own graph",
            facts,
        )
