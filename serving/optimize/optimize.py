"""Making a variant in a lower precision: made, judged, and kept only where it is as good and faster."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from regard.contract.answers.kind import Array
from regard.contract.goldens import ANSWERS_FILE, read_goldens, write_answers
from regard.contract.judgement import Judgement
from regard.contract.names import ENGINE_FILE, GOLDENS, IMAGE, MODEL_FILE, VARIANTS
from regard.contract.variant import VARIANT_FILE, Runtime, Variant
from regard.contract.whole_file import write_text
from regard.errors import InvalidInput
from regard.export.artifact import Artifact, read_artifact, read_graph
from regard.export.graph.standard import check_standard
from regard.export.precision.layers import Target
from regard.export.sessions.open_artifact import open_artifact
from regard.export.variant import adding_variant
from regard.serving.evaluate.data import Data, find_data
from regard.serving.one_image import check_one_image
from regard.serving.optimize import pools
from regard.serving.optimize.bf16 import make_bf16
from regard.serving.optimize.drafting import Drafting, Made
from regard.serving.optimize.gate import BlockCost, GateError
from regard.serving.optimize.int8 import make_int8
from regard.serving.optimize.progress import Progress, silent
from regard.serving.optimize.shipped import take_shipped
from regard.serving.optimize.speed import check_faster, speed

# what judges a variant here: TensorRT's is judged on the CPU, and built by `regard build`
RUNTIMES: dict[Target, Runtime] = {"openvino": "openvino", "tensorrt": "onnxruntime"}


@dataclass(frozen=True)
class Optimized:
    """What was made.

    Attributes:
        folder: of the variant.
        costs: of the blocks, the largest first, where some of them had to stay in float32.
        float32: what is left in float32, and why.
        engine_gone: an earlier variant of this name had an engine, which went with its graph.
    """

    folder: Path
    variant: Variant
    costs: tuple[BlockCost, ...] = ()
    float32: Mapping[str, str] = field(default_factory=dict)
    engine_gone: bool = False

    @property
    def judgement(self) -> Judgement:
        """How it was judged; fp16 is where there was labelled data."""
        assert self.variant.judgement is not None
        return self.variant.judgement


def optimize(
    folder: Path,
    precision: Literal["fp16", "bf16", "int8"],
    *,
    calibrate: Path | None = None,
    calibrate_split: str | None = None,
    data: Path | None = None,
    split: str | None = None,
    limit: int | None = None,
    ignore_index: int | None = None,
    target: Target = "openvino",
    keep_slower: bool = False,
    progress: Progress = silent,
) -> Optimized:
    """Add a variant in another precision to an artifact; an earlier one is replaced, its engine with it.

    Args:
        folder: the artifact's.
        precision: "fp16", by a graph of its own for GPUs; "bf16", by the artifact's graph and OpenVINO's
            hint; "int8", by a graph of its own.
        calibrate: images like those that will come, labelled or not: a folder, which is searched as deep as
            it goes, or MNIST's files. Where there is no `data` some of them are kept apart to judge by, in
            agreement alone; bf16 calibrates nothing. fp16 looks for what has to stay in float32 on them,
            and is proven by them; None: by the artifact's goldens. None, with int8: the variant that comes
            with regard for these very weights.
        calibrate_split: a folder in `calibrate`, by default `train` where there is one.
        data, split, limit: labelled images to judge by, as of `regard.serving.evaluate.data.find_data`.
        ignore_index: of pixels without a label, in place of the Card's.
        target: what an int8 variant is for. "tensorrt" makes `int8-tensorrt`, whose accuracy is judged by
            ONNX Runtime here, and whose speed is not.
        keep_slower: keep it even where it is slower than float32; only for what is timed here.
        progress: shows each stage.

    Raises:
        GateError: it does not decide as float32 does; the draft stays, and the error lists what costs most.
        ParityError: fp16 departs from float32, or from the network; likewise.
        TooSlow: it is no faster.
        InvalidInput: too few images, or not the right ones; no artifact; a network that is not finite; an
            argument that means nothing beside the others.
        ExportError: the processor, NNCF or the runtime cannot do it.
        ModuleNotFoundError: NNCF or OpenVINO is not installed.
    """
    runtime: Runtime = "onnxruntime" if precision == "fp16" else RUNTIMES[target]
    if target != "openvino":
        _check_target(precision, calibrated=calibrate is not None)
    if keep_slower and runtime != "openvino":
        raise InvalidInput("keep_slower is for what is timed here, and this variant is not; leave it out")
    if calibrate is None and calibrate_split is not None:
        raise InvalidInput(
            "calibrate_split is a folder in calibrate, which is missing; give both, or neither"
        )
    if data is None and (split, limit, ignore_index) != (None, None, None):
        raise InvalidInput("split, limit and ignore_index are about data, which is missing; give it, or none")
    if (folder / MODEL_FILE).is_file():
        check_standard(read_graph(folder / MODEL_FILE), name=str(folder), taker="another precision")
    artifact = read_artifact(folder)
    check_one_image(artifact.card, "another precision", instead="serve it in float32")
    pool = None if calibrate is None else pools.pool_of(calibrate, artifact.card, calibrate_split)
    labelled = None if data is None else _labelled(data, artifact, split, limit)
    name = precision if target == "openvino" else f"{precision}-{target}"
    made_in = folder / VARIANTS / name
    had_engine = (made_in / ENGINE_FILE).is_file()
    with adding_variant(folder, name) as draft:
        drafting = Drafting(artifact, draft, runtime, ignore_index, progress)
        if precision == "fp16":
            from regard.serving.optimize.fp16 import make_fp16  # onnx_ir, which the others need not

            made = make_fp16(drafting, pool, labelled)
        elif precision == "bf16":
            made = make_bf16(drafting, pool, labelled)
        elif pool is not None:
            made = make_int8(drafting, pool, labelled, target)
        else:
            made = take_shipped(drafting, labelled)
        variant = record(drafting, made, name)
        if variant.judgement is not None and (faults := variant.judgement.faults):
            raise GateError(
                f"the variant {name} of {folder} is not as good as float32 on {variant.judgement.data}: "
                f"{'; '.join(faults)}. The draft is in {draft}",
                variant,
                made.costs,
            )
        if variant.judgement is not None and variant.judgement.speed is not None and not keep_slower:
            check_faster(variant.judgement.speed, name)
    return Optimized(made_in, variant, made.costs, made.float32, had_engine)


def _check_target(precision: str, *, calibrated: bool) -> None:
    if precision == "fp16":
        raise InvalidInput("target is for int8: fp16 is one variant for whatever runs on a GPU; leave it out")
    if precision == "bf16":
        raise InvalidInput("bf16 is for OpenVINO alone: TensorRT chooses its own 16-bit layers")
    if not calibrated:
        raise InvalidInput(
            "what comes with regard is for OpenVINO; for TensorRT, give images to calibrate with"
        )


def _labelled(path: Path, artifact: Artifact, split: str | None, limit: int | None) -> Data:
    data = find_data(path, artifact.card, split=split, limit=limit)
    pools.check_enough(data.images, data.found_in, artifact.card.task)
    return data


def record(drafting: Drafting, made: Made, name: str) -> Variant:
    """Time it, and write its answers to the goldens and its record into the draft."""
    artifact, judgement = drafting.artifact, made.judgement
    if (
        drafting.runtime == "openvino" and judgement is not None and judgement.passed
    ):  # on any other target it is not timed here
        with drafting.progress("measuring speed", 0):
            judgement = judgement.model_copy(update={"speed": speed(artifact, made.variant)})
    variant = Variant(
        name=name,
        runtime=made.variant.runtime,
        precision=made.variant.precision,
        file=MODEL_FILE if (drafting.draft / MODEL_FILE).is_file() else None,
        float32_blocks=tuple(made.float32),
        certificates=made.certificates,
        judgement=judgement,
    )
    write_answers(drafting.draft / ANSWERS_FILE, _golden_answers(artifact, made.variant))
    write_text(drafting.draft / VARIANT_FILE, variant.model_dump_json(indent=2) + "\n")
    return variant


def _golden_answers(artifact: Artifact, variant: Artifact) -> dict[str, Array]:
    session, tensor = open_artifact(variant, threads=1), artifact.card.answer.tensor
    answers = {}
    for golden in read_goldens(artifact.folder / GOLDENS):
        pixels = artifact.card.input.decode_and_fit(golden.encoded)
        (answer,) = session.run((tensor,), {IMAGE: pixels[None]})
        answers[golden.name] = answer[0]
    return answers
