"""int8: quantized after training, and where that costs too much the costliest blocks left in float32."""

from regard.export.artifact import read_graph
from regard.export.graph.cheap_tail import with_cheap_tail
from regard.export.precision.activations import check_finite
from regard.export.precision.blocks import blocks_of
from regard.export.precision.layers import Target, with_names
from regard.export.precision.mixed import in_float32
from regard.export.precision.quantize import quantize
from regard.serving.evaluate.data import Data
from regard.serving.optimize.block_costs import block_costs
from regard.serving.optimize.drafting import Drafting, Made
from regard.serving.optimize.pools import Pool, calibration_beside, fitted, shared_out

COSTLY = "quantizing it costs too much"
MIXED = (1, 2, 4, 8)  # of the costliest blocks stay in float32, one try after the other


def make_int8(drafting: Drafting, pool: Pool, labelled: Data | None, target: Target) -> Made:
    """Calibrate on images of the pool, and judge by labelled data, or else by others of the pool.

    Raises:
        InvalidInput: too few images; the network gives NaN for one.
        ExportError: NNCF cannot quantize the graph.
    """
    card, progress = drafting.artifact.card, drafting.progress
    judges: Data | Pool
    if labelled is None:
        calibration, judges = shared_out(pool, card.task)
    else:
        calibration, judges = calibration_beside(pool, labelled), labelled
    images = [fitted(image, card) for image in calibration.images]
    original = read_graph(drafting.artifact.model)
    if target == "openvino":
        original = with_cheap_tail(original)
    original = with_names(original)
    with progress("looking at the activations", len(images)) as advance:
        names = [image.name for image in calibration.images]
        check_finite(original, zip(names, images, strict=True), advance=advance)
    with progress("calibrating", len(images)) as advance:
        quantized = quantize(original, images, target=target, advance=advance)
    variant = drafting.written(quantized)
    judgement = drafting.judged(variant, judges, calibration=str(calibration))
    if judgement.passed:
        return Made(variant, judgement)
    blocks = blocks_of(original, target)
    costs = tuple(block_costs(drafting, quantized, original, blocks, images))
    for count in MIXED:
        if count >= len(blocks):
            break
        kept = tuple(each.block for each in costs[:count])
        nodes = {node for block in kept for node in blocks[block]}
        mixed = drafting.written(in_float32(quantized, original, nodes))
        found = drafting.judged(mixed, judges, calibration=str(calibration))
        if found.passed:
            return Made(mixed, found, float32=dict.fromkeys(kept, COSTLY), costs=costs)
    return Made(drafting.written(quantized), judgement, costs=costs)
