"""The TensorRT engines of a model repository: what each was built for, and whether it loads here."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from regard.contract.names import CARD_FILE, MODEL_FILE, model_of
from regard.contract.plan import Plan
from regard.errors import InvalidInput
from regard.serving.doctor.finding import Finding, Status, not_installed, note, ok, refused
from regard.serving.machine.gpus import Gpus

LONG = {"layers", "certificates", "profiles", "bindings"}  # of a record


def plans(repository: Path | None, gpus: Gpus) -> Iterator[Finding]:
    """Every engine of a repository; none is looked for without one."""
    about = "repository"
    if repository is None:
        yield note(about, "there is none yet", "add an exported model to one: regard repo add")
        return
    if find_spec("onnx") is None:
        yield not_installed(about, "what reads the graphs of a repository", "server")
        return
    from regard.serving.repository.checks import check_repository  # opens onnx

    try:
        check_repository(repository)
    except InvalidInput as error:
        yield refused(about, error)
        return
    places = [*_versions(repository)]
    engines = [finding for place in places for finding in _engine(place, gpus)]
    facts = {"folder": str(repository), "versions": len(places), "engines": len(engines)}
    yield ok(about, f"{repository}: {len(places)} versions of models, {len(engines) or 'no'} engines", facts)
    yield from engines


def _versions(repository: Path) -> Iterator[Path]:
    """The folders of the versions that regard added; a model's endpoint for images holds the same again."""
    from regard.serving.repository.layout import home_of, model_folders, versions_in

    names = {model_of(folder.name) for folder in model_folders(repository)}
    homes = [home for name in sorted(names) if (home := home_of(repository, name)) is not None]
    for home in homes:
        if (home / CARD_FILE).is_file():
            yield from (home / str(version) for version in versions_in(home))


def _engine(place: Path, gpus: Gpus) -> Iterator[Finding]:
    """What there is to say of the engine in a version's folder, if it has one."""
    from regard.serving.repository.engine_checks import ENGINE_FILES
    from regard.serving.repository.engine_choice import Server, engine_in, misfit
    from regard.serving.repository.releases import RELEASE, TENSORRT

    if not any((place / file).exists() for file in ENGINE_FILES):
        return
    engine = engine_in(place)
    kinds = tuple(sorted({gpu.compute_capability for gpu in gpus.found}))
    server = Server(frozenset({"tensorrt"}), tensorrt=TENSORRT[RELEASE], compute_capabilities=kinds)
    why = misfit(engine, server)
    says, facts = ("", {}) if engine.plan is None else _described(engine.plan)
    facts |= {"loads": why is None, "why": why}
    about = f"engine {place.parent.name}/{place.name}"
    where = f"in NVIDIA's container of Triton {RELEASE}"
    if why is None:
        yield ok(about, f"{says}loads here {where}; `regard serve`, without TensorRT, runs its graph", facts)
        return
    if engine.plan is not None and not kinds:
        next_step = f"serve it on a GPU of compute capability {' or '.join(engine.plan.compute_capabilities)}"
    else:
        next_step = f"build it again on this machine, {where}: regard build"
    graph = (place / MODEL_FILE).is_file()
    status: Status = "note" if graph else "problem"  # the graph serves in its place
    says += f"does not load here: {why}" + ("; ONNX Runtime runs its graph" if graph else "")
    yield Finding(about, status, says, next_step, facts)


def _described(plan: Plan) -> tuple[str, dict[str, Any]]:
    """What an engine was built for, in words and for programs."""
    kinds = ", ".join(plan.compute_capabilities)
    says = f"{plan.precision} by {plan.library} {plan.version} for compute capability {kinds}: {plan.state}; "
    return says, plan.model_dump(mode="json", exclude=LONG) | {"run": plan.run}
