"""Graphs in fp16: what has to stay in float32 is found and stays, and nothing else; roundings are seen."""

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import ModelProto, TensorProto, parser
from onnx.shape_inference import infer_shapes

from regard.contract.names import CARD_METADATA
from regard.errors import ExportError
from regard.export.precision.fp16 import in_fp16, prepared
from regard.export.precision.fp16_needs import float32_needs
from regard.export.precision.reach import reaches
from regard.export.precision.rounded import rounded
from regard.export.proof.bounds import FP16
from regard.export.proof.graph_runner import run_session, session_with
from regard.export.session import open_session

SHAPE = (2, 16, 16, 3)
LOWEST = float(np.finfo(np.float32).min)
IMAGE = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)

# pixels 0 to 1, and attention over 256 of them
PIXELS = "x = Cast <to = 1> (image) p = Mul (x, part)"
ROWS = f"{PIXELS} r = Reshape (p, rows) t = Transpose <perm = [0, 2, 1]> (r)"
CONSTANTS = "float part = {0.003921569}, int64[3] rows = {2, 256, 3}, int64[1] last = {-1}"


class Written(NamedTuple):
    body: str
    constants: str
    dims: str = "2, n, m"


def graph(written: Written) -> ModelProto:
    body, constants, dims = written
    text = (
        f'<ir_version: 9, opset_import: ["": 20]> g (uint8[2, 16, 16, 3] image) => (float[{dims}] y)'
        f" <{CONSTANTS}{', ' + constants if constants else ''}> {{ {body} }}"
    )
    model = parser.parse_model(text)
    onnx.checker.check_model(model, full_check=True)
    return prepared(model)


def needs(model: ModelProto) -> dict[str, str]:
    return float32_needs(model, reaches(model, [IMAGE]))


def kinds(model: ModelProto, names: dict[str, str]) -> set[str]:
    """The operators of these nodes."""
    return {node.op_type for node in model.graph.node if node.name in names}


def answer(model: ModelProto) -> npt.NDArray[np.float32]:
    (y,) = run_session(session_with(model, []), ["y"], {"image": IMAGE})
    return np.asarray(y, np.float32)


def error(model: ModelProto, kept: dict[str, str]) -> float:
    """The largest of the rounded graph, over the largest answer; NaN where it gives one."""
    expected = answer(model)
    return float(np.abs(answer(rounded(in_fp16(model, kept))) - expected).max() / np.abs(expected).max())


# what must be kept, and words of the reason; each is wrong in float16 alone
PLANTED = {
    "large scores": (
        Written(
            f"{ROWS} s = MatMul (r, t) k = Mul (s, big) l = Mul (k, big) d = Div (l, big) e = Div (d, big)"
            " y = Softmax (e)",
            "float big = {1000}",
        ),
        {"Mul", "Div"},
        r"l reaches 2.*e\+06, and float16 ends at 65504",
    ),
    "large scores into softmax": (
        Written(f"{ROWS} s = MatMul (r, t) l = Mul (s, big) y = Softmax (l)", "float big = {100}"),
        {"MatMul", "Mul", "Softmax"},
        "Softmax takes l up to .*, rounded too coarsely",
    ),
    "a large constant": (
        Written(f"{ROWS} s = Mul (r, small) y = Mul (s, big)", "float small = {1e-4}, float big = {1e6}"),
        {"Mul"},
        r"big reaches 1e\+06, and float16 ends at 65504",
    ),
    "small numbers": (
        Written(f"{ROWS} s = Mul (r, small) y = Div (s, small)", "float small = {1e-7}"),
        {"Mul", "Div"},
        "reaches 1e-07, which float16 hardly tells from 0",
    ),
    "a small divisor": (
        Written(
            f"{ROWS} q = Mul (r, r) f = Mul (q, q) e = Mul (f, f) z = Add (e, small) y = Div (part, z)",
            "float small = {1e-7}",
        ),
        {"Add", "Cast", "Div", "Mul", "Reshape"},
        "Div takes z down to 1e-07, too small for float16",
    ),
    "a logarithm": (
        Written(
            f"{ROWS} s = Mul (r, large) w = Softmax (s) c = Clip (w, tiny) y = Log (c)",
            "float large = {25}, float tiny = {1e-30}",
        ),
        {"Softmax", "Clip", "Log"},
        "Log takes c down to .*, too small for float16",
    ),
    "numbers of places": (
        Written(
            f"{PIXELS} f = Cast <to = 1> (places) d = Sub (f, origin) m = ReduceMax <keepdims = 0> (p)"
            " y = Mul (d, m)",
            "int64[2,1,3] places = {4095, 4096, 4097, 4098, 4099, 4100}, float origin = {4096}",
        ),
        {"Cast", "Sub"},
        "f counts to 4100, and float16 to 2048",
    ),
    "a mask that is added": (
        Written(
            f"{ROWS} s = MatMul (r, t) k = Mul (s, fifty) l = Add (k, mask) y = Softmax (l)",
            f"float fifty = {{50}}, float mask = {{{LOWEST}}}",
        ),
        {"Add", "MatMul", "Mul", "Softmax"},
        r"reaches 3.4e\+38, and float16 ends at 65504",
    ),
    "places to read at": (
        Written(
            f"{PIXELS} c = Transpose <perm = [0, 3, 1, 2]> (p) g = Slice (p, begin, end, last)"
            " h = Mul (g, near) y = GridSample (c, h)",
            "int64[1] begin = {0}, int64[1] end = {2}, float near = {0.9}",
            "2, 3, 16, 16",
        ),
        {"Cast", "GridSample", "Mul", "Slice"},
        "GridSample reads at the places in h, rounded to parts of a pixel",
    ),
}
# of these a GPU may make what a CPU does not: nobody knows in what type it adds up
SUMS = {
    "a mean": (
        Written(
            f"{ROWS} l = Mul (r, big) y = ReduceMean <keepdims = 1> (l, axes)",
            "float big = {300}, int64[1] axes = {1}",
        ),
        {"ReduceMean"},
        "y takes sums of .*, and float16 ends at 65504",
    ),
    "the statistics of a normalization": (
        Written(
            f"{ROWS} l = Mul (t, big) y = InstanceNormalization (l, one, zero)",
            "float big = {30}, float[3] one = {1, 1, 1}, float[3] zero = {0, 0, 0}",
        ),
        {"InstanceNormalization"},
        "y takes sums of .*, and float16 ends at 65504",
    ),
    "the mean of a map": (
        Written(
            f"{PIXELS} c = Transpose <perm = [0, 3, 1, 2]> (p) l = Mul (c, big) y = GlobalAveragePool (l)",
            "float big = {300}",
            "2, 3, 1, 1",
        ),
        {"GlobalAveragePool"},
        "y takes sums of .*, and float16 ends at 65504",
    ),
    "the means of windows": (
        Written(
            f"{PIXELS} c = Transpose <perm = [0, 3, 1, 2]> (p) l = Mul (c, big)"
            " y = AveragePool <kernel_shape = [16, 8], strides = [16, 8]> (l)",
            "float big = {600}",
            "2, 3, 1, 2",
        ),
        {"AveragePool"},
        "y takes sums of .*, and float16 ends at 65504",
    ),
}


@pytest.mark.parametrize(("written", "expected", "words"), (PLANTED | SUMS).values(), ids=[*PLANTED, *SUMS])
def test_what_has_to_stay_in_float32(written: Written, expected: set[str], words: str) -> None:
    model = graph(written)
    found = needs(model)
    assert kinds(model, found) == expected
    assert any(re.search(words, reason) for reason in found.values()), found
    assert error(model, found) <= FP16.error


@pytest.mark.parametrize("written", [written for written, _, _ in PLANTED.values()], ids=PLANTED)
def test_float16_alone_would_be_wrong(written: Written) -> None:
    model = graph(written)
    assert not error(model, {}) <= 3 * error(model, needs(model))


def test_many_ways_back_are_gone_once() -> None:
    """Where each node takes one tensor twice, there are as many ways as doublings."""
    ways = " ".join(f"m{step + 1} = Max (m{step}, m{step})" for step in range(64))
    body = f"{ROWS} s = MatMul (r, t) m0 = Mul (s, big) {ways} y = Softmax (m64)"
    model = graph(Written(body, "float big = {100}"))
    assert kinds(model, needs(model)) == {"MatMul", "Max", "Mul", "Softmax"}


PLAIN = {
    "attention": Written(f"{ROWS} s = MatMul (r, t) w = Softmax (s) y = MatMul (w, r)", ""),
    **{
        f"a mask of {mask} that is chosen": Written(
            f"{ROWS} s = MatMul (r, t) v = Reshape (x, rows) w = ReduceMax (v, last) hidden = Less (w, most)"
            " l = Where (hidden, mask, s) m = Concat <axis = 2> (l, s) y = Softmax (m)",
            f"float most = {{200}}, float mask = {{{mask}}}",
        )
        for mask in (LOWEST, -1e9, "-inf")
    },
    "an epsilon": Written(
        f"{ROWS} v = ReduceMean (r, last) w = Add (v, epsilon) q = Sqrt (w) y = Div (r, q)",
        "float epsilon = {1e-12}",
    ),
    "numbers of few places": Written(
        f"{ROWS} f = Cast <to = 1> (places) y = Mul (r, f)", "int64[1, 1, 3] places = {1, 2, 3}"
    ),
}


@pytest.mark.parametrize("written", PLAIN.values(), ids=PLAIN)
def test_nothing_stays_where_nothing_has_to(written: Written) -> None:
    model = graph(written)
    assert needs(model) == {}
    assert error(model, {}) <= FP16.error


def float32_tensors(model: ModelProto) -> set[str]:
    """Of the tensors that nodes give."""
    known = infer_shapes(model, strict_mode=True).graph
    given = {output for node in model.graph.node for output in node.output}
    return {
        value.name
        for value in (*known.value_info, *known.output)
        if value.type.tensor_type.elem_type == TensorProto.FLOAT and value.name in given
    }


MIXED, *_ = PLANTED["large scores into softmax"]


def test_the_types_of_a_converted_graph() -> None:
    """Outside of what is kept only the answer is in float32, and what two kept nodes share is not rounded."""
    model = graph(MIXED)
    onnx.helper.set_model_props(model, {CARD_METADATA: "a Card", "other": "stays"})
    before = model.SerializeToString()
    whole = in_fp16(model, {})
    assert model.SerializeToString() == before
    assert float32_tensors(whole) == {"y"}
    assert [cast.attribute[0].i for cast in whole.graph.node if cast.op_type == "Cast"] == [
        TensorProto.FLOAT16,
        TensorProto.FLOAT,
    ]
    assert {entry.key for entry in whole.metadata_props} == {"other"}
    assert whole.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8

    mixed = in_fp16(model, needs(model))
    casts = [node for node in mixed.graph.node if node.op_type == "Cast"]
    assert [node.op_type for node in mixed.graph.node if node not in casts] == [
        *("Mul", "Reshape", "Transpose", "MatMul", "Mul", "Softmax")
    ]
    # image to float16; both factors of the scores to float32; no cast after that
    assert sorted(cast.attribute[0].i for cast in casts) == [TensorProto.FLOAT] * 2 + [TensorProto.FLOAT16]


def test_a_tensor_that_several_kept_nodes_take_is_cast_once() -> None:
    model = graph(Written(f"{ROWS} a = Exp (r) b = Sin (r) y = Add (a, b)", ""))
    kept = {node.name: "" for node in model.graph.node if node.op_type in {"Exp", "Sin"}}
    assert error(model, kept) <= 1e-3
    casts = [node for node in in_fp16(model, kept).graph.node if node.op_type == "Cast"]
    assert len(casts) == 5  # the image, r, both results and the answer


def test_a_constant_that_all_take_is_not_rounded_for_a_kept_node() -> None:
    model = graph(
        Written(
            f"{ROWS} a = Add (r, tiny) b = Mul (r, tiny) c = Div (b, tiny) y = Add (a, c)",
            "float tiny = {1e-9}",
        )
    )
    found = needs(model)
    assert kinds(model, found) == {"Mul", "Div"}
    assert error(model, found) <= 1e-3


def test_an_operator_that_knows_no_float16_stays() -> None:
    model = graph(
        Written(
            f"{ROWS} f = Range (start, end, step) y = Mul (r, f)",
            "float start = {1}, float end = {4}, float step = {1}",
        )
    )
    assert [*needs(model).values()] == ["Range does not take float16"]
    assert error(model, needs(model)) <= 1e-3


def test_a_branch_is_refused() -> None:
    model = parser.parse_model(
        '<ir_version: 9, opset_import: ["": 20]> g (uint8[2, 16, 16, 3] image, bool yes) => (float[n] y)'
        " { x = Cast <to = 1> (image) y = If (yes) <then_branch = t () => (float[n] b) { b = Identity (x) },"
        " else_branch = e () => (float[n] c) { c = Neg (x) }> }"
    )
    with pytest.raises(ExportError, match="has branches or loops .* does not convert to float16"):
        prepared(model)


def test_a_cpu_alone_does_not_see_what_float16_does() -> None:
    """Why graphs are written out before they are proven."""
    model = graph(PLANTED["large scores"][0])
    half = in_fp16(model, {})
    session = open_session(half.SerializeToString(), name="the graph")
    (unharmed,) = run_session(session, ["y"], {"image": IMAGE})
    assert np.isfinite(unharmed).all()
    assert not np.isfinite(answer(rounded(half))).all()


BUILD = """
import sys
import tensorrt_rtx as trt

logger = trt.Logger(trt.Logger.ERROR)
builder = trt.Builder(logger)
network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
parser = trt.OnnxParser(network, logger)
parsed = parser.parse_from_file(sys.argv[1])
assert parsed, [parser.get_error(each).desc() for each in range(parser.num_errors)]
config = builder.create_builder_config()
config.num_compute_capabilities = 1
config.set_compute_capability(trt.ComputeCapability.SM86, 0)
assert builder.build_serialized_network(network, config)
"""


@pytest.mark.parametrize("kept", [False, True], ids=["whole", "mixed"])
def test_tensorrt_takes_it_strongly_typed(kept: bool, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx")
    model = graph(MIXED._replace(dims="2, 256, 256"))
    onnx.save(in_fp16(model, needs(model) if kept else {}), tmp_path / "model.onnx")
    done = subprocess.run(
        [sys.executable, "-c", BUILD, tmp_path / "model.onnx"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
