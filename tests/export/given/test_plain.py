"""What exporters and converters leave in a file without meaning it: put right, and said."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper
from tests.export.given_models import CONVOLVED, DENSE, POOLED, WEIGHT, classifier, node, segmenter, write

from regard.contract.names import MODEL_FILE
from regard.contract.preprocess import Pixels
from regard.errors import InvalidInput
from regard.export.given.plain import plain
from regard.export.onnx_import import Imported, import_onnx

HALF = TensorProto.FLOAT16


def changed(path: Path, change: Any) -> Path:
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)
    return path


def reversed_nodes(model: ModelProto) -> None:
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def doubled(opset: int, overload: str = "") -> Any:
    """A function of its own behind everything, in some opset."""

    def change(model: ModelProto) -> None:
        twice = helper.make_function(
            "own",
            "Twice",
            ["x"],
            ["y"],
            [node("Add", ["x", "x"], "y")],
            [helper.make_opsetid("", opset), helper.make_opsetid("nowhere", 1)],
        )
        call = helper.make_node("Twice", ["once"], ["scores"], domain="own")
        twice.overload = call.overload = overload
        model.ir_version = 10
        model.functions.append(twice)
        model.opset_import.append(helper.make_opsetid("own", 1))
        model.graph.node[-1].output[0] = "once"
        model.graph.node.append(call)

    return change


def graph_of(imported: Imported) -> ModelProto:
    assert imported.artifact.card.certificates[0].passed
    return onnx.load(imported.artifact.folder / MODEL_FILE)


@pytest.mark.parametrize(("domain", "opset"), [("my.domain", 17), ("com.microsoft", 20)])
def test_an_operator_set_that_nothing_uses(
    domain: str, opset: int, tmp_path: Path, images: list[Pixels]
) -> None:
    path = write(tmp_path / "given.onnx", POOLED, opset=opset, domains=(domain,))
    imported = import_onnx(path, classifier(), tmp_path / "out", images=images)
    assert f"operator sets that nothing uses are dropped: {domain}" in imported.notes
    assert [entry.domain for entry in graph_of(imported).opset_import] == [""]


@pytest.mark.parametrize(("opset", "own"), [(17, 18), (20, 17), (21, 21)])
@pytest.mark.parametrize("overload", ["", "second"])
def test_functions_are_written_out_whatever_their_opset(
    opset: int, own: int, overload: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "given.onnx", [node("Relu", ["x"], "scores")], opset=opset)
    found, notes = plain(onnx.load(changed(path, doubled(own, overload))), name="given.onnx")
    assert [each.op_type for each in found.graph.node] == ["Relu", "Add"]
    assert not found.functions
    assert [(entry.domain, entry.version) for entry in found.opset_import] == [("", opset)]
    assert notes == ["its own functions are written out"]


def test_a_function_of_a_newer_opset_than_the_model(tmp_path: Path, images: list[Pixels]) -> None:
    path = changed(write(tmp_path / "given.onnx", POOLED), doubled(18))
    imported = import_onnx(path, classifier(), tmp_path / "out", images=images)
    assert "its own functions are written out" in imported.notes
    assert not graph_of(imported).functions


def test_a_function_that_uses_an_operator_of_a_runtime(tmp_path: Path, images: list[Pixels]) -> None:
    def change(model: ModelProto) -> None:
        doubled(17)(model)
        model.functions[0].node[0].domain = "nowhere"

    path = changed(write(tmp_path / "given.onnx", POOLED), change)
    with pytest.raises(InvalidInput, match=r"given\.onnx uses operators outside of ONNX: nowhere\.Add"):
        import_onnx(path, classifier(), tmp_path / "out", images=images)


def test_nodes_in_any_order(tmp_path: Path, images: list[Pixels]) -> None:
    """As converters to float16 leave them."""
    path = changed(write(tmp_path / "given.onnx", POOLED), reversed_nodes)
    with pytest.raises(onnx.checker.ValidationError, match="topologically sorted"):
        onnx.checker.check_model(path)
    imported = import_onnx(path, classifier(), tmp_path / "out", images=images)
    assert "its nodes are put in the order they compute" in imported.notes
    onnx.checker.check_model(graph_of(imported))


def test_nodes_of_a_branch_in_any_order() -> None:
    inside = helper.make_graph([node("Neg", ["a"], "b"), node("Relu", ["x"], "a")], "branch", [], [])
    branch = helper.make_node("If", ["yes"], ["scores"], then_branch=inside, else_branch=inside)
    graph = helper.make_graph([branch, node("Abs", ["y"], "x")], "given", [], [])
    found, notes = plain(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), name="given.onnx"
    )
    assert [each.op_type for each in found.graph.node] == ["Abs", "If"]
    for attribute in found.graph.node[1].attribute:
        assert [each.op_type for each in attribute.g.node] == ["Relu", "Neg"]
    assert notes == ["its nodes are put in the order they compute"]


def test_nodes_in_a_circle() -> None:
    graph = helper.make_graph([node("Neg", ["a"], "b"), node("Neg", ["b"], "a")], "given", [], [])
    with pytest.raises(InvalidInput, match=r"given\.onnx is not a valid ONNX model.*in a circle"):
        plain(helper.make_model(graph), name="given.onnx")


def half_precision(path: Path, *, kept: bool) -> Path:
    """A segmenter in float16, as converters write it; `kept` leaves its input and answer in float32."""
    nodes = [node("Conv", ["h", "weight"], "y", pads=[1, 1, 1, 1]), node("Tanh", ["y"], "z")]
    casts = [node("Cast", ["x"], "h", to=HALF), node("Cast", ["z"], "scores", to=TensorProto.FLOAT)]
    ends = [node("Identity", ["x"], "h"), node("Identity", ["z"], "scores")]
    kind = TensorProto.FLOAT if kept else HALF
    constants = {"weight": WEIGHT.astype(np.float16)}
    ends = casts if kept else ends
    write(path, [ends[0], *nodes, ends[1]], kind=kind, answer_kind=kind, constants=constants)
    return changed(path, reversed_nodes)


@pytest.mark.parametrize("kept", [True, False])
def test_half_precision_is_held_to_its_own_rounding(kept: bool, tmp_path: Path, images: list[Pixels]) -> None:
    path = half_precision(tmp_path / "given.onnx", kept=kept)
    imported = import_onnx(path, segmenter(), tmp_path / "out", images=images)
    assert "computes in float16" in imported.notes
    (certificate,) = imported.artifact.card.certificates
    assert certificate.min_agreement == pytest.approx(0.99)
    assert certificate.passed
    if not kept:  # float32's bound refuses what agrees
        assert max(row.relative_error for row in certificate.comparisons) > 1e-4


def test_float32_keeps_its_bounds(tmp_path: Path, images: list[Pixels]) -> None:
    path = write(tmp_path / "given.onnx", DENSE)
    (certificate,) = import_onnx(
        path, segmenter(), tmp_path / "out", images=images
    ).artifact.card.certificates
    assert certificate.min_agreement == pytest.approx(0.999)
    assert certificate.max_error < 1.1e-4  # of scores behind a tanh


LAST = [
    node("Transpose", ["x"], "first", perm=[0, 3, 1, 2]),
    node("Conv", ["first", "weight"], "y", pads=[1, 1, 1, 1]),
    *CONVOLVED[1:],
    *POOLED[2:],
]


@pytest.mark.parametrize(
    ("nodes", "layout", "dims"),
    [(POOLED, "(batch, channels", ["n", "c", "h", "w"]), (LAST, "(batch, height", [None] * 4)],
)
def test_the_layout_of_a_file_that_leaves_all_dimensions_open(
    nodes: list[onnx.NodeProto], layout: str, dims: list[Any], tmp_path: Path, images: list[Pixels]
) -> None:
    path = write(tmp_path / "given.onnx", nodes, image=dims)
    imported = import_onnx(path, classifier(), tmp_path / "out", images=images)
    assert any(f"takes x {layout}" in note for note in imported.notes)
    session = onnxruntime.InferenceSession(imported.artifact.model, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", 16, 16, 3]


def test_weights_in_a_file_beside_it(tmp_path: Path, images: list[Pixels]) -> None:
    model = onnx.load(write(tmp_path / "whole.onnx", POOLED))
    path = tmp_path / "given.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    graph_of(import_onnx(path, classifier(), tmp_path / "out", images=images))
    (tmp_path / "weights.bin").write_bytes(b"123")
    with pytest.raises(InvalidInput, match=r"given\.onnx is not a valid ONNX model: External data"):
        import_onnx(path, classifier(), tmp_path / "other", images=images)
