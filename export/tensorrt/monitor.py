"""How far a build is, from the phases that TensorRT's IProgressMonitor tells of, one inside the other."""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any


@dataclass
class _Phase:
    parent: str | None
    steps: int
    done: int = 0


class Phases:
    """The phases that are under way.

    Attributes:
        fraction: of the build, 0 to 1; it never falls.
    """

    def __init__(self) -> None:
        self._running: dict[str, _Phase] = {}
        self.fraction = 0.0

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase begins inside its parent."""
        self._running[name] = _Phase(parent, max(steps, 1))

    def step(self, name: str, step: int) -> None:
        """A step of a phase is done, counted from 0."""
        if name in self._running:
            self._running[name].done = step + 1
            self._look(name)

    def finish(self, name: str) -> None:
        """A phase is over: in its parent it is a step."""
        phase = self._running.pop(name, None)
        if phase is not None and phase.parent in self._running:
            parent = self._running[phase.parent]
            parent.done = min(parent.done + 1, parent.steps)
            self._look(phase.parent)

    def _look(self, name: str) -> None:
        inside = 0.0
        phase: _Phase | None = self._running[name]
        while phase is not None:
            inside = min((phase.done + inside) / phase.steps, 1.0)
            phase = self._running.get(phase.parent) if phase.parent else None
        self.fraction = max(self.fraction, inside)


def monitor_of(trt: ModuleType, report: Callable[[str, float], None]) -> Any:
    """A monitor of the library that reports the phase and the fraction; an OSError of `report` ends the
    build, since nobody listens any more.
    """

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc,name-defined] # known when it runs
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.phases = Phases()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self.phases.start(phase_name, parent_phase, num_steps)
            self._tell(phase_name)

        def phase_finish(self, phase_name: str) -> None:
            self.phases.finish(phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:
            self.phases.step(phase_name, step)
            return self._tell(phase_name)

        def _tell(self, phase: str) -> bool:
            try:
                report(phase, self.phases.fraction)
            except OSError:
                return False
            return True

    return Monitor()
