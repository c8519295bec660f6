from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx import ModelProto
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

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


def hidden_rows(x: Tensor) -> dict[str, Tensor]:
    """Masks of 4 rows: of the first every key is hidden, of the last none."""
    visible = torch.tensor([[0, 0, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]]).bool()
    infinite = torch.zeros(4, 4).masked_fill(~visible, -torch.inf)
    by_key = (x[:, 0, 0, :4] > 0.5)[:, None]  # (B, 1, S): a padding mask, of a part of the batch
    return {
        "bool": visible,
        "bool, of each image": by_key,
        "bool, one column": visible[:, :1],
        "float": infinite,
        "float, of each image": torch.where(by_key, 0.5, -torch.inf),
        "float, lowest finite": infinite.clamp(min=torch.finfo(torch.float32).min),
    }


HIDDEN_ROWS = list(hidden_rows(torch.rand(1, 3, 4, 4)))


@pytest.mark.parametrize("kernel", [SDPBackend.MATH, SDPBackend.FLASH_ATTENTION])
def test_a_query_without_keys_gives_what_pytorch_gives(kernel: SDPBackend) -> None:
    def function(x: Tensor) -> Tensor:
        q, k, v = x[:, :1, :4, :6], x[:, 1:2, :4, :6], x[:, 2:, :4, :5]  # (B, 1, 4, D)
        masks = [mask if mask.dim() == 2 else mask[:, None] for mask in hidden_rows(x).values()]
        return torch.stack([F.scaled_dot_product_attention(q, k, v, attn_mask=mask) for mask in masks])

    x = torch.rand(2, 3, 24, 36)
    x[0, 0, 0] = 0  # hides every key of the first image
    model = translate(function, dynamic=False)
    with torch.no_grad(), sdpa_kernel([kernel, SDPBackend.MATH], set_priority=True):
        answer = function(x)
        assert not answer.isnan().any()
        assert dict(zip(HIDDEN_ROWS, (answer[:, 0, 0, 0] == 0).all(-1).tolist(), strict=True)) == {
            name: name != "float, lowest finite" for name in HIDDEN_ROWS
        }
        assert_same(model, function, x)


def test_a_nan_among_the_scores_stays() -> None:
    def function(x: Tensor) -> Tensor:
        q = x.flatten(2).transpose(1, 2)
        return F.scaled_dot_product_attention(q, q, q, attn_mask=torch.eye(q.shape[1]).bool())

    x = torch.rand(1, 3, 24, 36)
    x[0, 0, 0, 5] = torch.nan
    model = translate(function, dynamic=False)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.isnan(session.run(None, {"x": x.numpy()})[0]).any()


def test_attention_without_a_mask_has_no_node_for_one() -> None:
    def function(x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x, x, x)

    model = translate(function, dynamic=False)
    assert [node.op_type for node in model.graph.node] == ["Transpose", "Mul", "MatMul", "Softmax", "MatMul"]


def test_grouped_queries_are_refused() -> None:
    def function(x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x.repeat(1, 2, 1, 1), x, x, enable_gqa=True)

    with pytest.raises(torch.onnx.OnnxExporterError, match="repeat the heads"):
        translate(function)
