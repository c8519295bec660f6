"""A graph as TensorRT's network, with the types that the graph says."""

from types import ModuleType
from typing import Any, Literal

from regard.contract.plan import Binding
from regard.errors import ExportError
from regard.export.tensorrt.library import named

Direction = Literal["input", "output"]
TRITON_TYPES = {"FLOAT": "FP32", "HALF": "FP16"}  # those that Triton calls otherwise


def parsed(trt: ModuleType, builder: Any, listener: Any, graph: str) -> tuple[Any, Any]:
    """The network of an ONNX file, strongly typed, and its parser, which must outlive it.

    Raises:
        ExportError: the library does not take a node; names it.
    """
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, listener)
    if parser.parse_from_file(graph):
        return network, parser
    faults = [_fault(parser.get_error(index)) for index in range(parser.num_errors)]
    raise ExportError(f"{named(trt)} does not take {graph}: {'; '.join(faults) or 'it does not say why'}")


def bindings_of(network: Any) -> tuple[Binding, ...]:
    """What an engine of the network takes and gives."""
    inputs = (network.get_input(place) for place in range(network.num_inputs))
    outputs = (network.get_output(place) for place in range(network.num_outputs))
    return (*(_binding("input", each) for each in inputs), *(_binding("output", each) for each in outputs))


def _binding(direction: Direction, tensor: Any) -> Binding:
    kind: str = tensor.dtype.name
    return Binding(
        direction=direction,
        name=tensor.name,
        data_type=TRITON_TYPES.get(kind, kind),
        shape=tuple(tensor.shape),
    )


def _fault(error: Any) -> str:
    place = f"the node {error.node_name()} ({error.node_operator()}): " if error.node_name() else ""
    return f"{place}{error.desc().strip()}"
