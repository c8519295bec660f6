"""Models as others export them: graphs of a few nodes, and Cards that fit them."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tests.export.conftest import tiny_card

from regard.contract.card import Card

K, SIDE = 5, 16
RANDOM = np.random.default_rng(0)
# tanh must not saturate: equal scores would tie
WEIGHT = RANDOM.normal(size=(K, 3, 3, 3)).astype(np.float32) / 8
DYNAMIC = ["n", 3, "h", "w"]


def node(operator: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, [output], **attributes)


def write(
    path: Path,
    nodes: list[onnx.NodeProto],
    *,
    image: list[Any] = DYNAMIC,
    kind: int = TensorProto.FLOAT,
    answer: str = "scores",
    answer_kind: int = TensorProto.FLOAT,
    opset: int = 17,
    extra: tuple[onnx.ValueInfoProto, ...] = (),
    outputs: tuple[str, ...] = (),
    constants: dict[str, Any] | None = None,
    domains: tuple[str, ...] = (),
) -> Path:
    values = {"weight": WEIGHT} | (constants or {})
    used = {name for each in nodes for name in each.input}
    graph = helper.make_graph(
        nodes,
        "given",
        [helper.make_tensor_value_info("x", kind, image), *extra],
        [helper.make_tensor_value_info(name, answer_kind, None) for name in (answer, *outputs)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items() if name in used],
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


CONVOLVED = [node("Conv", ["x", "weight"], "y", pads=[1, 1, 1, 1]), node("Tanh", ["y"], "features")]
POOLED = [
    *CONVOLVED,
    node("GlobalAveragePool", ["features"], "pooled"),
    node("Flatten", ["pooled"], "scores"),
]
DENSE = [*CONVOLVED, node("Identity", ["features"], "scores")]
SOFT = [*POOLED[:-1], node("Flatten", ["pooled"], "flat"), node("Softmax", ["flat"], "scores", axis=1)]


def classifier(**changes: Any) -> Card:
    contract = {
        "kind": "image",
        "height": SIDE,
        "width": SIDE,
        "resize": "stretch",
        "mean": (0.5, 0.4, 0.3),
        "std": (0.2, 0.25, 0.3),
    }
    return tiny_card("classification", labels=K).updated(inputs=[contract | changes])


def segmenter() -> Card:
    return tiny_card(labels=K)
