"""The choice, added to a repository."""

from collections.abc import Sequence
from pathlib import Path

from regard.serving.repository.add import Added, Endpoints, add
from regard.serving.tune.candidates import Candidate
from regard.serving.tune.trial import Trial


def add_chosen(
    trial: Trial,
    candidates: Sequence[Candidate],
    repository: Path,
    *,
    name: str | None = None,
    endpoints: Endpoints | None = None,
) -> Added:
    """Add a trial's variant as it was set up; the other arguments are as of `regard.serving.repository.add`.

    Raises:
        InvalidInput: as of `add`.
    """
    setup = trial.setup
    (candidate,) = (each for each in candidates if each.name == setup.variant)
    return add(
        candidate.artifact,
        repository,
        name=name,
        instances=setup.instances,
        threads=setup.threads,
        endpoints=endpoints,
        batching=setup.batching,
    )
