"""Inputs for every operator of OPERATORS, in the shapes that it takes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from onnx import ModelProto, checker, helper
from torch import Tensor

from regard.export.ops import CRISS_CROSS, LOCAL_ATTENTION, LOCAL_WEIGHTS, OPERATORS, WARP, Operator

Shapes = Callable[[int, int, int], tuple[tuple[int, ...], ...]]  # batch, height, width -> of each input


@dataclass(frozen=True)
class Case:
    """An operator with its attributes, and the shapes of its inputs."""

    operator: Operator
    shapes: Shapes
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "-".join(map(str, (self.operator.name, *self.attributes.values())))

    def draw(self, *size: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
        """Inputs for a batch, a height and a width, of about one in size."""
        generator = torch.Generator().manual_seed(0)
        shapes = self.shapes(*size)
        return [torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]

    def function(self, *tensors: Tensor) -> Tensor:
        """What defines the operator."""
        return self.operator.function(*tensors, **self.attributes)

    def operation(self, *tensors: Tensor) -> Tensor:
        """PyTorch's registered operator."""
        return self.operator(*tensors, **self.attributes)

    def model(self, dtype: torch.dtype) -> ModelProto:
        """One node with its body."""
        kind = helper.np_dtype_to_tensor_dtype(torch.empty(0, dtype=dtype).numpy().dtype)
        inputs = [
            helper.make_tensor_value_info(name, kind, [None] * len(shape))
            for name, shape in zip(self.operator.inputs, self.shapes(1, 1, 1), strict=True)
        ]
        node = helper.make_node(
            self.operator.name, self.operator.inputs, ["y"], domain=self.operator.domain, **self.attributes
        )
        answer = helper.make_tensor_value_info("y", kind, [None] * self.function(*self.draw(1, 1, 1)).ndim)
        model = helper.make_model(
            helper.make_graph([node], "one", inputs, [answer]),
            opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid(self.operator.domain, 1)],
            functions=[self.operator.body],
            ir_version=10,
        )
        checker.check_model(model, full_check=True)
        return model


def _local(window: int) -> Case:
    return Case(
        LOCAL_ATTENTION,
        lambda b, h, w: ((b, 6, h + window - 1, w + window - 1), (b, 3, window**2, h, w)),
        {"window": window},
    )


def _weights(window: int) -> Case:
    return Case(
        LOCAL_WEIGHTS,
        lambda b, h, w: ((b, 3, h, w), (b, 3, h + window - 1, w + window - 1)),
        {"window": window},
    )


CASES = (
    *map(_local, (1, 3, 7)),
    *map(_weights, (1, 3, 7)),
    Case(CRISS_CROSS, lambda b, h, w: ((b, 2, h, w), (b, 2, h, w), (b, 5, h, w))),
    *(
        Case(
            WARP,
            lambda b, h, w: ((b, 3, h, w), (b, 4, 6, 2)),
            {"padding_mode": padding_mode, "align_corners": align_corners},
        )
        for padding_mode in ("zeros", "border", "reflection")
        for align_corners in (False, True)
    ),
)
assert {case.operator for case in CASES} == {*OPERATORS}, "every operator needs a case"
