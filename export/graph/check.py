"""A Card must say what its graph takes and answers: checked when it is written, and whenever it is read."""

from collections.abc import Iterable

from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from regard.contract.card import Card
from regard.errors import InvalidInput
from regard.export.graph.signature import Value, inputs_of, outputs_of


def name_dims(model: ModelProto, card: Card) -> None:
    """Call the dynamic dimensions of the answer and of the next state what the Card calls them.

    The exporter writes the arithmetic of a network that pads and cuts back, which comes to the same; that it
    does is judged by running the graph.

    Args:
        model: changed in place.
        card: what it takes and answers.
    """
    expected = outputs_of(card)
    for value in model.graph.output:
        if value.name in expected:
            for dim, name in zip(value.type.tensor_type.shape.dim, expected[value.name].dims, strict=False):
                if isinstance(name, str) and dim.dim_param:
                    dim.dim_param = name


def check_graph(model: ModelProto, card: Card) -> None:
    """Hold a graph's inputs and answer against a Card: names, types and dimensions.

    Raises:
        InvalidInput: they differ.
    """
    for values, expected in ((model.graph.input, inputs_of(card)), (model.graph.output, outputs_of(card))):
        for name, value in expected.items():
            _check_value(values, name, value, card)


def _check_value(values: Iterable[ValueInfoProto], name: str, expected: Value, card: Card) -> None:
    known = {value.name: value.type.tensor_type for value in values}
    if name not in known:
        raise InvalidInput(
            f"the graph of {card.name} has no {name}, only {', '.join(known)}; export it again"
        )
    dtype, tensor = helper.np_dtype_to_tensor_dtype(expected.dtype), known[name]
    dims = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in tensor.shape.dim]
    wanted = [*expected.dims]
    same = len(dims) == len(wanted) and all(want in (-1, got) for want, got in zip(wanted, dims, strict=True))
    if tensor.elem_type != dtype or not same:
        raise InvalidInput(
            f"the graph contradicts the Card of {card.name}: {name} is {_type_name(tensor.elem_type)} "
            f"{dims}, the Card means {_type_name(dtype)} {wanted}. Export it again, or correct the Card."
        )


def _type_name(dtype: int) -> str:
    return TensorProto.DataType.Name(dtype).lower()
