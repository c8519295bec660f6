"""The engines that were built for a server, each beside its graph:
<store>/<SHA-256 of the graph>/{model.onnx,model.plan,plan.json,manifest.json}.

An engine is in the store as soon as it is built, and only if it is whole, so that a service that is killed
builds no engine twice. Snapshots hold second names of the same files.
"""

import shutil
from collections.abc import Callable, Set
from pathlib import Path

from regard.contract.card import Card
from regard.contract.digest import sha256
from regard.contract.manifest import write_manifest
from regard.contract.names import ENGINE_FILE, MANIFEST_FILE, MODEL_FILE
from regard.contract.plan import PLAN_FILE, Plan, plan_in
from regard.contract.variant import Precision, Variant
from regard.contract.whole_file import write_text
from regard.contract.whole_folder import whole_folder
from regard.errors import ExportError, InvalidInput
from regard.serving.repository.drafts import link
from regard.serving.repository.engine_checks import ENGINE_FILES, check_bindings, check_covers
from regard.serving.repository.engine_choice import Engine, Server, engine_in, misfit
from regard.serving.repository.signature import read_signature

FILES = frozenset({MODEL_FILE, ENGINE_FILE, PLAN_FILE, MANIFEST_FILE})

# a version's graph, its Card, what kind of variant it is, and the engine's file, which is written; the record
Build = Callable[[Path, Card, Variant, Path], Plan]


class EngineStore:
    """The engines of one server.

    Args:
        folder: of the store; made when the first engine is built.
        server: that loads them.
        build: makes an engine.
    """

    def __init__(self, folder: Path, server: Server, build: Build) -> None:
        self.folder, self.server, self._build = folder, server, build

    def check_server(self) -> None:
        """Refuse to build for a server that could load no engine.

        Raises:
            InvalidInput: it has no TensorRT or no GPU, or GPUs of several kinds.
        """
        kinds = sorted(set(self.server.compute_capabilities))
        if self.server.tensorrt is None:
            raise InvalidInput("there is no TensorRT here to build one")
        if not kinds:
            raise InvalidInput("there is no GPU here")
        if len(kinds) > 1:
            raise InvalidInput(
                f"the GPUs here have compute capability {' and '.join(kinds)}, and an engine is for one; let "
                "the containers see GPUs of one kind"
            )

    def misfit(self, graph: Path, card: Card) -> str | None:
        """Why the engine of a graph must be built; None where the store has one that fits."""
        place = self.folder / sha256(graph)
        if not place.is_dir():
            return "there is none of its graph"
        engine = engine_in(place)
        if engine.plan is None:
            return engine.fault
        try:
            check_covers(engine.plan, card)
        except InvalidInput as error:
            return str(error)
        return misfit(engine, self.server)

    def build(self, graph: Path, card: Card, variant: Variant) -> Plan:
        """Build the engine of a graph, in place of an earlier one.

        Raises:
            InvalidInput: what was built does not take all that the Card promises, or is called otherwise.
            ExportError: it does not fit the graph or the server, or cannot be written.
            Exception: whatever the build raises.
        """
        digest = sha256(graph)
        with whole_folder(self.folder / digest, files=FILES) as draft:
            link(graph, draft / MODEL_FILE)
            plan = self._build(graph, card, variant, draft / ENGINE_FILE)
            self._check(plan, draft, digest, card, variant.precision)
            write_text(draft / PLAN_FILE, plan.model_dump_json(indent=2) + "\n")
            write_manifest(draft)
        return plan

    def put(self, graph: Path) -> Plan:
        """Put the engine of a graph beside it, and into the manifest there; its record."""
        place = self.folder / sha256(graph)
        for file in ENGINE_FILES:
            link(place / file, graph.with_name(file))
        write_manifest(graph.parent)
        plan = plan_in(place)
        assert plan is not None  # it fits
        return plan

    def keep(self, graphs: Set[str]) -> None:
        """Remove the engines of all graphs but these, by their SHA-256, and drafts of builds that died."""
        for place in self.folder.glob("*") if self.folder.is_dir() else ():
            if place.name not in graphs:
                shutil.rmtree(place, ignore_errors=True)

    def _check(self, plan: Plan, draft: Path, digest: str, card: Card, precision: Precision) -> None:
        engine = draft / ENGINE_FILE
        if not engine.is_file() or not engine.stat().st_size:
            raise ExportError("the build wrote no engine")
        if (plan.graph_sha256, plan.precision) != (digest, precision):
            raise ExportError(
                f"an engine was built in {plan.precision} of the graph {plan.graph_sha256[:12]}..., and one "
                f"was asked for in {precision} of {digest[:12]}..."
            )
        if (reason := misfit(Engine(plan), self.server)) is not None:
            raise ExportError(reason)
        check_covers(plan, card)
        check_bindings(plan, read_signature(draft / MODEL_FILE))
