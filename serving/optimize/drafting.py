"""A variant while it is made: its graph in a draft folder, and its judgement."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from onnx import ModelProto

from regard.contract.certificate import Certificate
from regard.contract.digest import sha256
from regard.contract.judgement import Judgement
from regard.contract.names import MODEL_FILE
from regard.contract.variant import Precision, Runtime
from regard.export.artifact import Artifact, write_graph
from regard.serving.evaluate.data import Data
from regard.serving.optimize.gate import BlockCost, judge
from regard.serving.optimize.pools import Pool
from regard.serving.optimize.progress import Progress


@dataclass(frozen=True)
class Made:
    """A variant in its draft, and how it was judged or proven.

    float32: what is left in float32, and why: int8's blocks, fp16's nodes. costs: of all blocks, where they
    had to be found.
    """

    variant: Artifact
    judgement: Judgement | None
    certificates: tuple[Certificate, ...] = ()
    float32: Mapping[str, str] = field(default_factory=dict)
    costs: tuple[BlockCost, ...] = ()


@dataclass(frozen=True)
class Drafting:
    """What all ways to a variant need.

    Attributes:
        artifact: float32.
        draft: the folder of the variant.
        runtime: what runs it here.
        ignore_index: of pixels without a label, in place of the Card's.
        progress: shows each stage.
    """

    artifact: Artifact
    draft: Path
    runtime: Runtime
    ignore_index: int | None
    progress: Progress

    def shared(self, precision: Precision) -> Artifact:
        """A variant that is the artifact's graph, run in another precision."""
        return self._variant(precision, self.artifact.sha256)

    def written(self, model: ModelProto, precision: Precision = "int8") -> Artifact:
        """A variant that is this graph, which replaces the draft's."""
        path = self.draft / MODEL_FILE
        path.unlink(missing_ok=True)  # a session may still have it mapped
        write_graph(model, path)
        return self._variant(precision, sha256(path))

    def copied(self, graph: Path) -> Artifact:
        """An int8 variant that is the graph of this file."""
        path = Path(shutil.copyfile(graph, self.draft / MODEL_FILE))
        return self._variant("int8", sha256(path))

    def judged(
        self, variant: Artifact, held_out: Data | Pool, *, calibration: str | None = None
    ) -> Judgement:
        """How the variant is, beside the artifact; errors as of `regard.serving.optimize.gate.judge`.

        calibration: the images that it was made with, for the record.
        """
        with self.progress("judging", len(held_out.images)) as advance:
            found = judge(self.artifact, variant, held_out, ignore_index=self.ignore_index, advance=advance)
        return found.model_copy(update={"calibration": calibration})

    def _variant(self, precision: Precision, digest: str) -> Artifact:
        return Artifact(
            self.draft,
            self.artifact.card,
            digest,
            runtime=self.runtime,
            precision=precision,
            variant_of=self.artifact.folder,
        )
