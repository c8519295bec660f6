"""A whole model repository for a Triton on GPUs, which reads it while the one that it was made of may change:
the same models, each by its engine where that could be built, and by ONNX Runtime where not.

<volume>/current            a link to the newest snapshot, set in one step
<volume>/snapshots/<n>/     the two newest snapshots, rising; each is there whole or not at all
<volume>/engines/           see engine_store.py
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from regard.contract.digest import sha256
from regard.contract.names import CONFIG_FILE, MODEL_FILE
from regard.contract.whole_folder import whole_folder
from regard.errors import InvalidInput, RegardError
from regard.serving.deploy.engine_store import Build, EngineStore
from regard.serving.deploy.libraries import mount_libraries
from regard.serving.deploy.model_copy import copy_model
from regard.serving.deploy.numbered import numbers_in, point
from regard.serving.deploy.served_models import serve
from regard.serving.repository import check_model, check_repository
from regard.serving.repository.config import read_config
from regard.serving.repository.dependencies import in_order, needed_by
from regard.serving.repository.engine_choice import Server
from regard.serving.repository.layout import model_folders
from regard.serving.repository.lock import changing
from regard.serving.repository.op_library import SNAPSHOT_MOUNT

CURRENT, SNAPSHOTS, ENGINES = "current", "snapshots", "engines"
KEPT = 2  # a server that has not started again yet reads the one before

Report = Callable[[str], None]


@dataclass(frozen=True)
class Snapshot:
    """A snapshot that was taken.

    Attributes:
        folder: where it is.
        ways: by endpoint, how it is served and why.
        left_out: by endpoint, why it is not in the snapshot.
    """

    folder: Path
    ways: dict[str, str]
    left_out: dict[str, str]


def take_snapshot(
    repository: Path, volume: Path, server: Server, build: Build, *, report: Report = lambda line: None
) -> Snapshot:
    """Take a snapshot of a model repository, which is only read, and make it the current one.

    A model whose files are not what was added is left out; one whose engine cannot be built is served by ONNX
    Runtime; neither stops the others. An engine is built where the volume has none of the same graph for the
    same TensorRT and GPU.

    Args:
        repository: the model repository.
        volume: a folder for snapshots and engines.
        server: that will read the snapshot.
        build: makes an engine; whatever it raises leaves the model to ONNX Runtime.
        report: told each step in a line.

    Raises:
        InvalidInput: not a repository, or no model of it can be served.
        ExportError: the snapshot cannot be written. After either the earlier one is current as before.
    """
    check_repository(repository)
    store = EngineStore(volume / ENGINES, server, build)
    snapshots = volume / SNAPSHOTS
    with changing(snapshots, report):
        folder = snapshots / str(max(numbers_in(snapshots), default=0) + 1)
        with whole_folder(folder, files=frozenset()) as draft:
            left_out = _copy_models(repository, draft, report)
            if not model_folders(draft):
                raise InvalidInput(f"no model of {repository} can be served, for the reasons above")
            ways = serve(draft, store, report)
            mount_libraries(draft, SNAPSHOT_MOUNT)
        point(volume / CURRENT, folder)
        report(f"{folder} is current: {len(ways)} models of {repository}")
        _prune(snapshots, store)
    return Snapshot(folder, ways, left_out)


def _copy_models(repository: Path, draft: Path, report: Report) -> dict[str, str]:
    """Copy every model whose files are what was added; why the others were left out."""
    faults: dict[str, str] = {}
    copies: dict[tuple[int, int], Path] = {}
    for folder in model_folders(repository):
        try:
            copy_model(folder, draft / folder.name, copies)
        except InvalidInput as error:
            faults[folder.name] = str(error)
    present = [folder.name for folder in model_folders(draft)]
    for name in present:
        try:
            check_model(draft, name)
        except RegardError as error:
            faults.setdefault(name, str(error).replace(str(draft), str(repository)))
    for group in in_order({name: _needed(draft, name) for name in present if name not in faults}):
        for name in group:
            if lost := sorted(_needed(draft, name) & faults.keys()):
                faults[name] = f"it calls {lost[0]}, which is left out"
    for name, reason in faults.items():
        shutil.rmtree(draft / name, ignore_errors=True)
        report(f"{name}: left out: {reason}")
    return faults


def _needed(draft: Path, name: str) -> frozenset[str]:
    return needed_by(read_config(draft / name / CONFIG_FILE))


def _prune(snapshots: Path, store: EngineStore) -> None:
    """Remove old snapshots, and the engines that none of the others has."""
    for number in numbers_in(snapshots)[:-KEPT]:
        shutil.rmtree(snapshots / str(number), ignore_errors=True)
    store.keep({sha256(graph) for graph in snapshots.glob(f"*/*/*/{MODEL_FILE}")})
