from pathlib import Path

import onnx
import pytest
from tests.export.given_models import POOLED, write

from regard.errors import InvalidInput
from regard.export.graph.opset import OPSET, at_opset, opset_of


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
