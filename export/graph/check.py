"""A Card must say what its graph takes and answers: checked when it is written, and whenever it is read."""

from collections.abc import Sequence
from typing import Any

from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from regard.contract.card import Card
from regard.contract.names import IMAGE
from regard.errors import InvalidInput


def name_dims(model: ModelProto, card: Card) -> None:
    """Call the answer's dynamic dimensions what the Card calls them.

    The exporter writes the arithmetic of a network that pads and cuts back, which comes to the same; that it
    does is judged by running the graph.

    Args:
        model: changed in place.
        card: what it takes and answers.
    """
    for value in model.graph.output:
        if value.name == card.answer.tensor:
            for dim, name in zip(value.type.tensor_type.shape.dim, _answer_dims(card), strict=False):
                if isinstance(name, str) and dim.dim_param:
                    dim.dim_param = name


def check_graph(model: ModelProto, card: Card) -> None:
    """Hold a graph's input and answer against a Card: names, types and dimensions.

    Raises:
        InvalidInput: they differ.
    """
    image_dims = ["batch", *_size(card), card.input.channels]
    _check_value(model.graph.input, IMAGE, TensorProto.UINT8, image_dims, card)
    dtype = helper.np_dtype_to_tensor_dtype(card.answer.dtype)
    _check_value(model.graph.output, card.answer.tensor, dtype, _answer_dims(card), card)


def _size(card: Card) -> tuple[Any, Any]:
    return ("height", "width") if card.input.dynamic_size else card.input.size


def _answer_dims(card: Card) -> list[str | int]:
    return ["batch", *card.answer.served_dims(*_size(card))]


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
