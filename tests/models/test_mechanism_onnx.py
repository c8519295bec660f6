"""Every attention mechanism alone as ONNX: traced at one batch and size, it answers as PyTorch does at
others, and so it does in fp16, whose roundings are larger; TensorRT-RTX's parser takes it.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import ModelProto
from tests.rtx_parser import RtxParser
from torch import Tensor, nn

from regard.export.graph.opset import OPSET
from regard.export.graph.quiet import quiet
from regard.export.graph.translations import TRANSLATIONS
from regard.export.precision.fp16 import in_fp16, prepared
from regard.export.precision.fp16_needs import float32_needs
from regard.export.precision.reach import reaches
from regard.export.precision.rounded import rounded
from regard.export.proof.bounds import FP16
from regard.export.session import open_session
from regard.models.attention import ATTENTION

CHANNELS = 32
TRACED = (2, CHANNELS, 8, 10)
UNTRACED = [(1, CHANNELS, 9, 7), (3, CHANNELS, 12, 12), (1, CHANNELS, 1, 2)]


def maps(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def exported(module: nn.Module) -> ModelProto:
    dynamic = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    with quiet():
        program = torch.onnx.export(
            module,
            (maps(TRACED),),
            opset_version=OPSET,
            dynamic_shapes=(dynamic,),
            custom_translation_table=TRANSLATIONS,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model: ModelProto = program.model_proto
    assert {
        entry.domain
        for entry in model.opset_import
        if any(node.domain == entry.domain for node in model.graph.node)
    } == {""}
    return model


def session_of(model: ModelProto) -> onnxruntime.InferenceSession:
    return open_session(model.SerializeToString(), name="the graph")


def in_half(model: ModelProto) -> ModelProto:
    """The graph in fp16, with every rounding, and what has to stay in float32 left there."""
    graph = prepared(model)
    found = reaches(graph, [maps(shape).numpy() for shape in UNTRACED])
    return rounded(in_fp16(graph, float32_needs(graph, found)))


def relative_error(session: onnxruntime.InferenceSession, module: nn.Module, x: Tensor) -> float:
    with torch.inference_mode():
        expected = module(x).numpy()
    (answer,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert answer.shape == expected.shape
    return float(np.abs(answer - expected).max() / np.abs(expected).max())


def marked(name: str) -> object:
    """Generalized attention with all of its terms has those of its other forms."""
    partial = name.startswith("generalized_attention_") and not name.endswith("_1111")
    return pytest.param(name, marks=pytest.mark.slow) if partial else name


@pytest.mark.parametrize("name", [marked(name) for name in ATTENTION])
def test_a_mechanism_as_onnx_answers_as_pytorch_does(
    name: str, awakened: Callable[[nn.Module], nn.Module], rtx_parser: RtxParser, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    module = awakened(ATTENTION[name].build(CHANNELS)).eval()
    model = exported(module)
    onnx.save(model, tmp_path / "model.onnx")
    assert rtx_parser.refusal(tmp_path / "model.onnx") is None
    whole, half = session_of(model), session_of(in_half(model))
    for shape in UNTRACED:
        assert relative_error(whole, module, maps(shape)) <= 1e-4
        assert 1e-5 < relative_error(half, module, maps(shape)) <= FP16.error


def test_the_comparison_sees_another_mechanism(awakened: Callable[[nn.Module], nn.Module]) -> None:
    se, pam = (awakened(ATTENTION[name].build(CHANNELS)).eval() for name in ("se", "pam"))
    assert relative_error(session_of(exported(se)), pam, maps(UNTRACED[0])) > 1e-2


def test_the_comparison_sees_a_size_kept_from_tracing() -> None:
    """What adaptive pooling without its own translation does."""

    class Kept(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x - x.sum(dim=(2, 3), keepdim=True) / (TRACED[2] * TRACED[3])

    class Meant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x - x.mean(dim=(2, 3), keepdim=True)

    assert relative_error(session_of(exported(Meant())), Meant(), maps(UNTRACED[0]) + 1) <= 1e-4
    assert relative_error(session_of(exported(Kept())), Meant(), maps(UNTRACED[0]) + 1) > 1e-2
