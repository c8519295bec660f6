"""A graph in float32 to one in int8 with QuantizeLinear and DequantizeLinear nodes (QDQ), in one ONNX file.

Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
CVPR 2018. Ranges of the activations are taken from calibration images, weights are quantized per channel and
symmetrically, and biases corrected for what rounding the weights shifts on average.
"""

from collections.abc import Callable, Sequence

from onnx import ModelProto

from regard.contract.names import CARD_METADATA, IMAGE
from regard.contract.preprocess import Pixels
from regard.errors import ExportError
from regard.export.precision.layers import Target, left_in_float32, with_names
from regard.export.precision.quiet_nncf import quiet_nncf
from regard.export.precision.signedness import signed, unsigned


def quantize(
    model: ModelProto,
    images: Sequence[Pixels],
    *,
    target: Target = "openvino",
    advance: Callable[[], None] = lambda: None,
) -> ModelProto:
    """Quantize a served graph after its training.

    Args:
        model: float32, of regard's signature; it stays as it is.
        images: what the graph takes, (height, width, channels), to calibrate with.
        target: "openvino": activations have zero points. "tensorrt": everything is symmetric, signed and
            with zero point 0, activations per tensor, since TensorRT takes nothing else.
        advance: called as each image is run.

    Raises:
        ExportError: NNCF does not take the graph.
        ModuleNotFoundError: it is not installed.
    """
    named = with_names(model)

    def batch(pixels: Pixels) -> dict[str, Pixels]:
        advance()
        return {IMAGE: pixels[None]}

    with quiet_nncf() as nncf:
        presets = nncf.QuantizationPreset
        try:
            quantized: ModelProto = nncf.quantize(
                named,
                nncf.Dataset(images, batch),
                preset=presets.MIXED if target == "openvino" else presets.PERFORMANCE,
                subset_size=len(images),
                ignored_scope=nncf.IgnoredScope(names=left_in_float32(named, target)),
            )
        except Exception as error:  # its errors have no common base
            raise ExportError(f"NNCF cannot quantize this graph: {error}") from error
    del quantized.graph.value_info[:]
    kept = [entry for entry in quantized.metadata_props if entry.key != CARD_METADATA]
    del quantized.metadata_props[:]  # the Card is that of the artifact
    quantized.metadata_props.extend(kept)
    (signed if target == "tensorrt" else unsigned)(quantized)
    return quantized
