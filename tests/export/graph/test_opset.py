from pathlib import Path

import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from tests.export.given_models import POOLED, write

from regard.errors import InvalidInput
from regard.export.graph.nodes import nodes_of
from regard.export.graph.opset import OPSET, at_opset, opset_of, rename_grid_modes


def given(path: Path, version: int) -> onnx.ModelProto:
    return onnx.load(write(path / "given.onnx", POOLED, opset=version))


def test_an_older_model_is_converted(tmp_path: Path) -> None:
    model, note = at_opset(given(tmp_path, 13), name="given.onnx")
    assert opset_of(model) == OPSET
    assert note == "converted from opset 13 to 20"


@pytest.mark.parametrize("version", [OPSET, OPSET + 1])
def test_another_is_kept(version: int, tmp_path: Path) -> None:
    model = given(tmp_path, version)
    assert at_opset(model, name="given.onnx") == (model, f"opset {version} is kept")


def test_what_is_too_old_and_cannot_be_converted_is_refused(tmp_path: Path) -> None:
    model = given(tmp_path, 13)
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(
        InvalidInput, match=r"given\.onnx is of opset 13, .*cannot convert it to 20: .*NoSuch"
    ):
        at_opset(model, name="given.onnx")


@pytest.mark.parametrize(
    ("before", "after"), [("bilinear", b"linear"), ("bicubic", b"cubic"), ("nearest", b"nearest")]
)
def test_modes_of_samples_in_a_branch_are_those_of_opset_20(before: str, after: bytes) -> None:
    """As PyTorch's exporter leaves them: it converts the outermost graph alone."""
    taken = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    branch = helper.make_graph(
        [helper.make_node("GridSample", ["x", "grid"], ["y"], mode=before)], "b", [], [taken]
    )
    given = [
        helper.make_tensor_value_info("needed", TensorProto.BOOL, []),
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4]),
        helper.make_tensor_value_info("grid", TensorProto.FLOAT, [1, 2, 2, 2]),
    ]
    choice = helper.make_node("If", ["needed"], ["z"], then_branch=branch, else_branch=branch)
    result = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    model = helper.make_model(
        helper.make_graph([choice], "choice", given, [result]),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=9,
    )
    rename_grid_modes(model)
    modes = [
        attribute.s for node in nodes_of(model) for attribute in node.attribute if attribute.name == "mode"
    ]
    assert modes == [after, after]
    onnxruntime.InferenceSession(model.SerializeToString())
