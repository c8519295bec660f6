"""What is known of the models of a running server, from its load to the last look at it."""

from regard.serving.deploy.supervised.status import ModelState, ModelStatus
from regard.serving.triton.health import Observation
from regard.serving.triton.server import EmbeddedTriton


class Models:
    """Remembers what looks at one server showed."""

    def __init__(self, server: EmbeddedTriton) -> None:
        self._server = server
        self._answered: dict[str, tuple[int, ...]] = {}  # canaries, with the versions that were there
        self._unproven: dict[str, str] = {}
        self._failing: dict[str, str] = {}

    def seen(self, seen: Observation) -> None:
        """Take up what a look showed."""
        served = self._server.served
        self._answered |= {name: served[name] for name in seen.proven & served.keys()}
        self._unproven |= seen.unproven
        self._failing = {model: f"its process has died (pid {pid})" for pid, model in seen.died.items()}
        self._failing |= seen.unhealthy

    def status(self) -> dict[str, ModelStatus]:
        """Each by the name of its endpoint."""
        served, refused = self._server.served, self._server.refused
        goldens: dict[str, dict[int, bool]] = {}
        for (name, version), kept in self._server.goldens.items():
            goldens.setdefault(name, {})[version] = kept
        return {
            name: self._of(name, served.get(name, ()), refused.get(name), goldens.get(name, {}))
            for name in sorted(served.keys() | refused.keys())
        }

    def _of(
        self, name: str, versions: tuple[int, ...], refused: str | None, goldens: dict[int, bool]
    ) -> ModelStatus:
        proven = bool(versions) and (
            self._answered.get(name) == versions or all(goldens.get(version) for version in versions)
        )
        state: ModelState
        if refused is not None:
            state, reason = "refused", refused
        elif name in self._failing:
            state, reason = "failing", self._failing[name]
        elif proven:
            state, reason = "ok", None
        else:
            state, reason = "unproven", self._unproven.get(name, "it has not answered a canary yet")
        answers = False if name in self._failing else True if proven else None
        return ModelStatus(versions, state, reason, answers, goldens)
