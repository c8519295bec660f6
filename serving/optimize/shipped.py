"""int8 without a data set: the variants that come with regard for the weights that do.

They were made and judged as any other, on data sets that not everybody has. Taken is one for the very weights
and preprocessing of an artifact; on this machine it has to decide about the goldens as float32 does.
"""

from pathlib import Path
from statistics import fmean

from onnx import ModelProto

from regard.contract.card import Card
from regard.contract.goldens import read_goldens
from regard.contract.names import GOLDENS
from regard.contract.reading import card_from_file
from regard.contract.variant import Variant
from regard.errors import ExportError, InvalidInput
from regard.export.artifact import Artifact, read_graph
from regard.models.weights_index import shipped, shipped_int8
from regard.serving.evaluate.agreement import agreement
from regard.serving.evaluate.data import Data
from regard.serving.evaluate.subject import opened
from regard.serving.optimize.drafting import Drafting, Made
from regard.serving.optimize.int8 import COSTLY

MIN_AGREEMENT = 0.9  # on goldens, which are made to be hard
ELSEWHERE = "(judged before it came with regard)"


def take_shipped(drafting: Drafting, labelled: Data | None) -> Made:
    """Take the variant that comes with regard, with its judgement, or a new one where there is labelled data.

    Raises:
        InvalidInput: none does for this artifact.
        ExportError: it decides otherwise on this processor.
    """
    artifact = drafting.artifact
    graph = _graph_of(artifact.card)
    ours, theirs = (_outputs(read_graph(each)) for each in (artifact.model, graph))
    if ours != theirs:
        raise InvalidInput(
            f"{artifact.folder} answers {', '.join(ours)}, and the int8 variant that comes with regard "
            f"{', '.join(theirs)}; give images to calibrate with"
        )
    record = Variant.model_validate_json(graph.with_suffix(".json").read_bytes())
    assert record.judgement is not None
    variant = drafting.copied(graph)
    _check_here(artifact, variant)
    data = f"{record.judgement.data} {ELSEWHERE}"
    judgement = record.judgement.model_copy(update={"data": data, "speed": None})
    if labelled is not None:
        judgement = drafting.judged(variant, labelled, calibration=judgement.calibration)
    return Made(variant, judgement, float32=dict.fromkeys(record.float32_blocks, COSTLY))


def _graph_of(card: Card) -> Path:
    for name, graph in shipped_int8().items():
        trained = card_from_file(shipped()[name])
        if (trained.origin.weights_sha256, trained.inputs, trained.answer) == (
            card.origin.weights_sha256,
            card.inputs,
            card.answer,
        ):
            return graph
    raise InvalidInput(
        f"no int8 variant of {card.name} comes with regard; give images to calibrate with. There is one for "
        f"the weights of {', '.join(shipped_int8())}, with the Cards that they have"
    )


def _outputs(model: ModelProto) -> list[str]:
    return [output.name for output in model.graph.output]


def _check_here(artifact: Artifact, variant: Artifact) -> None:
    ours, theirs = opened(artifact), opened(variant)
    found = fmean(
        agreement(artifact.card, ours.answer(golden.encoded), theirs.answer(golden.encoded))
        for golden in read_goldens(artifact.folder / GOLDENS)
    )
    if not found >= MIN_AGREEMENT:
        raise ExportError(
            f"on this processor the int8 variant that comes with regard agrees with float32 in {found:.2f} "
            f"of the goldens' answers, at least {MIN_AGREEMENT} is right; give images to calibrate with"
        )
