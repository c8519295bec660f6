"""The parser that every exported graph must pass, and that it refuses what TensorRT does."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper
from tests.export.conftest import Exported
from tests.rtx_parser import RtxParser


def written(folder: Path, *nodes: onnx.NodeProto) -> Path:
    """A graph of uint8 pixels to a float32 tensor x."""
    pixels = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 8, 8, 3])
    answer = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "graph", [pixels], [answer])
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)
    return path


def test_what_is_exported(exported: Exported, rtx_parser: RtxParser) -> None:
    assert rtx_parser.refusal(exported.artifact.model) is None


def test_what_it_refuses(tmp_path: Path, rtx_parser: RtxParser) -> None:
    """Pixels are permuted before they are cast; an operator that nobody knows."""
    permuted = written(
        tmp_path,
        helper.make_node("Transpose", ["image"], ["p"], "permute", perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["p"], ["x"], "cast", to=TensorProto.FLOAT),
    )
    refusal = rtx_parser.refusal(permuted)
    assert refusal is not None
    assert "does not take" in refusal
    assert "Transpose" in refusal
    unknown = written(tmp_path, helper.make_node("Unknown", ["image"], ["x"], "it", domain="nobody"))
    assert "Unknown" in (rtx_parser.refusal(unknown) or "")


def test_it_goes_on_after_a_death(exported: Exported) -> None:
    parser = RtxParser()
    try:
        assert parser.refusal(exported.artifact.model) is None
        assert parser._process is not None
        parser._process.kill()
        parser._process.wait()
        assert parser.refusal(exported.artifact.model) == "the parser died with code -9"
        assert parser.refusal(exported.artifact.model) is None
    finally:
        parser.close()
