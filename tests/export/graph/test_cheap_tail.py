"""Labels by the cheap tail beside those of the graph as it was, in every engine that is installed."""

from collections.abc import Callable
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, helper, numpy_helper, parser
from tests.export.conftest import Exported
from tests.exports import Exports

from regard.contract.image_files import images_in, read_pixels
from regard.contract.names import LABEL_MAP
from regard.contract.preprocess import Pixels
from regard.contract.reading import card_from_file
from regard.export.graph.cheap_tail import PREFIX, with_cheap_tail
from regard.export.graph.check import check_graph
from regard.export.session import open_session
from regard.models.load import network_of
from regard.models.samples import sample_images
from regard.models.weights_index import shipped

Run = Callable[[Pixels], np.ndarray]

# (height, width), from one pixel on; few are multiples of a stride
SIZES = ((1, 1), (1, 9), (7, 1), (2, 3), (16, 16), (24, 40), (33, 47), (65, 31), (97, 64))
BATCHES = (1, 3)
RESIZE = {
    "half pixel": 'mode="linear", coordinate_transformation_mode="half_pixel"',
    "aligned corners": 'mode="linear", coordinate_transformation_mode="align_corners"',
    "nearest": 'mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"',
}


def in_onnxruntime(model: ModelProto) -> Run:
    session = open_session(model.SerializeToString(), name="the graph", threads=1)
    return lambda image: session.run([LABEL_MAP], {"image": image})[0]


def in_openvino(model: ModelProto) -> Run:
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", settings)
    return lambda image: compiled({"image": image})[LABEL_MAP].copy()


ENGINES = pytest.mark.parametrize(
    "engine",
    [
        in_onnxruntime,
        pytest.param(
            in_openvino,
            marks=pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed"),
        ),
    ],
)


def segmenter(*, labels: int, stride: int, how: str, quantized: bool) -> ModelProto:
    """One convolution with a stride, its scores resized to the image's size; quantized, they are coarse, and
    many are equal.
    """
    scores = (
        "coarse = QuantizeLinear(scores, step, zero) small = DequantizeLinear(coarse, step, zero)"
        if quantized
        else "small = Identity(scores)"
    )
    model = parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20]>
        segmenter (uint8[batch, height, width, 3] image) => (uint8[batch, height, width] label_map) {{
            pixels = Cast <to = 1> (image)
            x = Transpose <perm = [0, 3, 1, 2]> (pixels)
            scores = Conv <strides = [{stride}, {stride}], pads = [1, 1, 1, 1]> (x, weight)
            {scores}
            outer = Shape <end = 2> (small)
            size = Shape <start = 2> (x)
            target = Concat <axis = 0> (outer, size)
            large = Resize <{RESIZE[how]}> (small, , , target)
            label = ArgMax <axis = 1, keepdims = 0> (large)
            label_map = Cast <to = 2> (label)
        }}""")
    random = np.random.default_rng(labels)
    constants = {"weight": random.normal(size=(labels, 3, 3, 3)).astype(np.float32)}
    if quantized:
        constants |= {"step": np.float32(500), "zero": np.int8(0)}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def noise(batch: int, size: tuple[int, int]) -> Pixels:
    return np.random.default_rng(size).integers(0, 256, (batch, *size, 3), dtype=np.uint8)


def argmax_of(model: ModelProto) -> NodeProto:
    (found,) = (node for node in model.graph.node if node.op_type == "ArgMax")
    return found


def rewritten(model: ModelProto) -> ModelProto:
    cheap = with_cheap_tail(model)
    assert argmax_of(cheap).input[0].startswith(PREFIX)
    onnx.checker.check_model(cheap, full_check=True)
    return cheap


@ENGINES
@pytest.mark.parametrize("quantized", [False, True], ids=["float", "quantized"])
@pytest.mark.parametrize("how", RESIZE)
@pytest.mark.parametrize(("labels", "stride"), [(2, 4), (5, 1), (11, 2), (21, 8)])
def test_every_pixel_keeps_its_label(
    labels: int, stride: int, how: str, quantized: bool, engine: Callable[[ModelProto], Run]
) -> None:
    model = segmenter(labels=labels, stride=stride, how=how, quantized=quantized)
    before, after = engine(model), engine(rewritten(model))
    for batch, size in product(BATCHES, SIZES):
        image = noise(batch, size)
        np.testing.assert_array_equal(after(image), before(image), err_msg=f"{batch} of {size}")


def test_equal_scores_are_among_those_and_the_last_of_them_would_be_seen() -> None:
    model = segmenter(labels=5, stride=2, how="half pixel", quantized=True)
    last = ModelProto()
    last.CopyFrom(model)
    argmax_of(last).attribute.append(helper.make_attribute("select_last_index", 1))
    image = noise(1, (33, 47))
    assert (in_onnxruntime(last)(image) != in_onnxruntime(model)(image)).mean() > 0.01
    np.testing.assert_array_equal(in_onnxruntime(rewritten(last))(image), in_onnxruntime(last)(image))


@ENGINES
def test_an_exported_segmenter_keeps_its_answers(
    exported: Exported, engine: Callable[[ModelProto], Run]
) -> None:
    """Beside an attention map, with the Card inside, and without a change of the graph that was given."""
    model = onnx.load(exported.artifact.model)
    given = model.SerializeToString()
    cheap = rewritten(model)
    assert model.SerializeToString() == given
    check_graph(cheap, exported.card)
    assert cheap.metadata_props == model.metadata_props
    assert cheap.graph.output == model.graph.output
    image = noise(2, (33, 47))
    np.testing.assert_array_equal(engine(cheap)(image), engine(model)(image))


def test_a_rewritten_graph_is_left_as_it_is() -> None:
    cheap = rewritten(segmenter(labels=5, stride=2, how="half pixel", quantized=False))
    assert with_cheap_tail(cheap) is cheap


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        ("float[n, k] probabilities", "probabilities = Softmax <axis = 1> (x)"),
        ("int64[n, h, w] classes", "classes = ArgMax <axis = 1, keepdims = 0> (x)"),
        ("uint8[n, h, w] label_map", "label_map = Cast <to = 2> (x)"),
        ("uint8[n, h, w] label_map", "high = Greater(x, x) label_map = Cast <to = 2> (high)"),
        ("uint8[n, h, w] label_map", "y = ArgMax <axis = 3, keepdims = 0> (x) label_map = Cast <to = 2> (y)"),
        ("uint8[n, 1, h, w] label_map", "y = ArgMax <axis = 1> (x) label_map = Cast <to = 2> (y)"),
        ("uint8[n, h, w] label_map", "label_map = Identity(x)"),
    ],
    ids=["probabilities", "another name", "labels", "threshold", "channels last", "kept axis", "no cast"],
)
def test_what_has_no_such_argmax_is_left_as_it_is(answer: str, body: str) -> None:
    model = parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20]> other (float[n, k, h, w] x) => ({answer}) {{ {body} }}""")
    assert with_cheap_tail(model) is model


@pytest.mark.slow
@ENGINES
def test_streets(exports: Exports, data_root: Path, engine: Callable[[ModelProto], Run]) -> None:
    """The trained segmenter on real images, whole and cut to sizes that no stride divides."""
    card = card_from_file(shipped()["ccnet_mobilenet_v2_camvid"])
    model = onnx.load(exports.of(network_of(card), card, sample_images(card)).model)
    before, after = engine(model), engine(rewritten(model))
    for path in images_in(data_root / "camvid" / "val" / "images")[::10]:
        for height, width in ((360, 480), (351, 479), (65, 64)):
            image = read_pixels(path)[None, :height, :width]
            np.testing.assert_array_equal(
                after(image), before(image), err_msg=f"{path} at {height} x {width}"
            )
