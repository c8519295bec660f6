"""bf16: the artifact's own graph by OpenVINO, which is allowed to compute in bfloat16."""

from regard.errors import ExportError, InvalidInput
from regard.serving.evaluate.data import Data
from regard.serving.optimize.drafting import Drafting, Made
from regard.serving.optimize.pools import Pool, held_out


def make_bf16(drafting: Drafting, pool: Pool | None, labelled: Data | None) -> Made:
    """Judge the graph in bf16, by labelled images where there are some.

    Raises:
        ExportError: this processor has no bf16.
        InvalidInput: nothing to judge by, or too few images.
    """
    from regard.export.sessions.openvino_session import OpenVinoSession

    artifact = drafting.artifact
    judges: Data | Pool
    if labelled is not None:
        judges = labelled
    elif pool is not None:
        judges = held_out(pool, artifact.card.task)
    else:
        raise InvalidInput("bf16 has to be judged: give labelled data, or a folder of images like them")
    if not OpenVinoSession(artifact.model, precision="bf16", threads=1).bf16:
        raise ExportError(
            "this processor does not compute in bf16 (on x86 that takes AVX512_BF16 or AMX), and OpenVINO "
            "would compute in float32; make an int8 variant, or make this one where it will run"
        )
    variant = drafting.shared("bf16")
    return Made(variant, drafting.judged(variant, judges))
