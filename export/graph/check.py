"""A Card must say what its graph takes and answers: checked when it is written, and whenever it is read."""

from collections.abc import Sequence
from typing import Any

from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from regard.contract.card import Card
from regard.contract.names import IMAGE
from regard.errors import InvalidInput


def check_graph(model: ModelProto, card: Card) -> None:
    """Hold a graph's input and answer against a Card: names, types and dimensions.

    Raises:
        InvalidInput: they differ.
    """
    contract, answer = card.input, card.answer
    size: tuple[Any, Any] = ("height", "width") if contract.dynamic_size else contract.size
    _check_value(model.graph.input, IMAGE, TensorProto.UINT8, ["batch", *size, contract.channels], card)
    dtype = helper.np_dtype_to_tensor_dtype(answer.dtype)
    _check_value(model.graph.output, answer.tensor, dtype, ["batch", *answer.served_dims(*size)], card)


def _check_value(
    values: Sequence[ValueInfoProto], name: str, dtype: int, expected: list[str | int], card: Card
) -> None:
    found = next((value for value in values if value.name == name), None)
    if found is None:
        raise InvalidInput(
            f"the graph of {card.name} has no {name}, only {', '.join(value.name for value in values)}; "
            "export it again"
        )
    tensor = found.type.tensor_type
    dims = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in tensor.shape.dim]
    if tensor.elem_type != dtype or dims != expected:
        raise InvalidInput(
            f"the graph contradicts the Card of {card.name}: {name} is {_type_name(tensor.elem_type)} "
            f"{dims}, the Card means {_type_name(dtype)} {expected}. Export it again, or correct the Card."
        )


def _type_name(dtype: int) -> str:
    return TensorProto.DataType.Name(dtype).lower()
