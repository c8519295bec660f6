from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx import ModelProto
from torch import Tensor, nn

from regard.export.graph.quiet import quiet
from regard.export.graph.translations import TRANSLATIONS


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def translate(function: Callable[[Tensor], Tensor], *, dynamic: bool = True) -> ModelProto:
    dims = {0: "batch", 2: "height", 3: "width"} if dynamic else {0: "batch"}
    with quiet():
        program = torch.onnx.export(
            Function(function),
            (torch.rand(2, 3, 24, 36),),
            dynamo=True,
            opset_version=20,
            input_names=["x"],
            dynamic_shapes=(dims,),
            custom_translation_table=TRANSLATIONS,
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def assert_same(model: ModelProto, function: Callable[[Tensor], Tensor], x: Tensor) -> None:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(
        session.run(None, {"x": x.numpy()})[0], function(x).numpy(), rtol=1e-5, atol=1e-5
    )


def pools(x: Tensor) -> Tensor:
    """Adaptive pooling in every form that comes through the one operator."""
    results = [
        F.adaptive_avg_pool2d(x, 1),
        F.adaptive_avg_pool2d(x, (3, 5)),
        F.adaptive_avg_pool2d(x, (None, 7)),
        F.adaptive_avg_pool2d(x, (50, 2)),  # more bins than rows: they repeat
        F.adaptive_avg_pool2d(x[0], 4),
        F.adaptive_avg_pool1d(x[:, 0], 3),
        F.interpolate(x, size=x[:, :, ::2, ::3].shape[2:], mode="area"),
    ]
    return torch.cat([result.flatten() for result in results])


@pytest.mark.parametrize("shape", [(2, 3, 24, 36), (1, 3, 25, 31), (3, 3, 17, 48)])
def test_adaptive_average_pooling_follows_the_size(shape: tuple[int, ...], pooling: ModelProto) -> None:
    assert_same(pooling, pools, torch.rand(shape))


@pytest.fixture(scope="module")
def pooling() -> ModelProto:
    return translate(pools)


def test_a_static_size_leaves_two_multiplications() -> None:
    def function(x: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(x, (5, 7))

    model = translate(function, dynamic=False)
    assert [node.op_type for node in model.graph.node] == ["MatMul", "MatMul"]
    assert_same(model, function, torch.rand(3, 3, 24, 36))


def attend(x: Tensor) -> Tensor:
    q = x.flatten(2).transpose(1, 2)  # (B, HW, 3), a rank the exporter's own translation refuses
    visible = q.mean(dim=-1)[:, None, :] > 0.2
    return (
        F.scaled_dot_product_attention(q, q * 0.5, q + 1)
        + F.scaled_dot_product_attention(q, q + 2, q, is_causal=True)
        + F.scaled_dot_product_attention(q, q, q, attn_mask=visible, scale=0.3)
        + F.scaled_dot_product_attention(q, q, q, attn_mask=visible.float())
    )


def test_attention_is_matmul_softmax_matmul() -> None:
    model = translate(attend)
    operators = [node.op_type for node in model.graph.node]
    assert operators.count("MatMul") == 8
    assert operators.count("Softmax") == 4
    assert_same(model, attend, torch.rand(3, 3, 7, 9))


def test_grouped_queries_are_refused() -> None:
    def function(x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x.repeat(1, 2, 1, 1), x, x, enable_gqa=True)

    with pytest.raises(torch.onnx.OnnxExporterError, match="repeat the heads"):
        translate(function)
