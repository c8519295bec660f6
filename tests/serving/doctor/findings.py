"""What findings are tested with: machines without a GPU and with one, and the law of a finding."""

from collections.abc import Iterable

from regard.serving.doctor.finding import Finding
from regard.serving.machine.gpus import Gpu, Gpus

NONE = Gpus()
ONE = Gpus((Gpu("Stand-in", "8.6", 2**33),), driver="550.54")


def only(findings: Iterable[Finding]) -> Finding:
    """The one finding; a next step comes with what is not in order, and with nothing else."""
    (finding,) = findings
    assert (finding.next_step is None) == (finding.status == "ok")
    return finding
