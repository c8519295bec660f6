"""The precision contract: the layers of an engine show what was asked for, or there is no engine.

What counts are the nodes that multiply - convolutions and matrix products -, found again in the layers by
their names: elementwise layers change type at the borders.

float32   no layer reads or writes anything lower
fp16      every such node is computed from fp16; those that the variant keeps in float32, from that
int8      every such node that the graph quantizes is computed from int8

TensorRT-RTX 1.7 computes a float32 product from fp16 where it stands alone between two casts, as if that lost
nothing. It loses the digits of the weights, so that it is an error here; a range of several nodes stays.
"""

from collections.abc import Collection, Sequence

from onnx import ModelProto, NodeProto

from regard.contract.plan import Layer
from regard.contract.variant import Precision
from regard.errors import ExportError

MULTIPLYING = {"Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum", "Attention"}
MULTIPLYING_LAYERS = ("correlation", "gemm", "conv", "matmul", "matrixmultiply", "matrix_multiply", "mha")
FUSED = "runtime_fusion"  # of a product with what is around it
LOWER = {"fp16", "bf16", "fp8", "int8"}  # than float32
SHOWN = 8  # layers that a message names


class PrecisionError(ExportError):
    """An engine that computes in another precision than was asked for. layers: those that do."""

    def __init__(self, message: str, layers: Sequence[Layer]) -> None:
        super().__init__(message)
        self.layers = layers


def check_precision(
    layers: Sequence[Layer], precision: Precision, graph: ModelProto, *, kept: Collection[str] = ()
) -> None:
    """Hold the layers of an engine against the precision that was asked for.

    Args:
        layers: of the engine.
        precision: that was asked for.
        graph: that it was built from.
        kept: of fp16, the names of the nodes that stay in float32; what int8 leaves there the graph says.

    Raises:
        PrecisionError: some compute in another; names them.
        ExportError: the layers do not tell which of the graph's nodes they compute.
    """
    if precision == "float32":
        _refuse([layer for layer in layers if LOWER.intersection(layer.types)], precision)
        return
    products = {name_of(node): node for node in graph.graph.node if node.op_type in MULTIPLYING}
    lowered = _quantized(graph, products) if precision == "int8" else products.keys() - set(kept)
    if not lowered:
        raise ExportError(f"the graph has no layers to compute in {precision}; take another variant")
    wanted: dict[str, Precision] = dict.fromkeys(lowered, precision)
    if precision != "int8":
        wanted |= dict.fromkeys(products.keys() - lowered, "float32")
    of_node = {name: _layers_of(node, graph, layers) for name, node in products.items()}
    if lost := sorted(name for name in lowered if not of_node[name]):
        raise ExportError(
            f"the layers of the engine do not say which of them compute {', '.join(lost[:SHOWN])}, so that "
            "nothing shows their precision"
        )
    faults = {layer.name for name in wanted for layer in _faults(of_node[name], wanted[name])}
    faults |= {
        layer.name
        for layer in layers
        if _multiplies(layer) and products.keys().isdisjoint(layer.nodes) and layer.precision != precision
    }
    _refuse([layer for layer in layers if layer.name in faults], precision)


def _faults(layers: Sequence[Layer], wanted: Precision) -> list[Layer]:
    """Of the layers that name a product: those that multiply must be as wanted. Where it is part of a kernel
    with many others, one of them; such a kernel casts inside, so that it may take fp16 and multiply float32.
    """
    multiplying = [layer for layer in layers if _multiplies(layer) or layer.type == FUSED]
    if multiplying:
        return [layer for layer in multiplying if layer.precision != wanted]
    if wanted == "float32":
        return []
    return [] if any(layer.precision == wanted for layer in layers) else [*layers]


def _layers_of(node: NodeProto, graph: ModelProto, layers: Sequence[Layer]) -> list[Layer]:
    """The layers that name a node; where it is fused with so many others that none does, those that name what
    comes next.
    """
    nodes = [node]
    while nodes:
        names = {name_of(each) for each in nodes}
        if found := [layer for layer in layers if not names.isdisjoint(layer.nodes)]:
            return found
        given = {output for each in nodes for output in each.output}
        nodes = [each for each in graph.graph.node if not given.isdisjoint(each.input)]
    return []


def name_of(node: NodeProto) -> str:
    """The name that TensorRT's parser gives a node: its own, or after its first output."""
    return node.name or f"node_of_{node.output[0]}"


def _multiplies(layer: Layer) -> bool:
    return any(word in layer.type.lower() for word in MULTIPLYING_LAYERS)


def _quantized(graph: ModelProto, products: dict[str, NodeProto]) -> set[str]:
    """The products both of whose operands come from int8."""
    made = {
        output for node in graph.graph.node if node.op_type == "DequantizeLinear" for output in node.output
    }
    return {name for name, node in products.items() if made.issuperset(node.input[:2])}


def _refuse(layers: Sequence[Layer], precision: Precision) -> None:
    if not layers:
        return
    said = [f"{layer.name} ({layer.type}) in {_shown(layer, precision)}" for layer in layers[:SHOWN]]
    more = f" and {len(layers) - SHOWN} more" if len(layers) > SHOWN else ""
    but = "" if precision == "float32" else ", but for what the variant keeps in float32"
    raise PrecisionError(
        f"the engine was to compute in {precision}{but}, and {len(layers)} of its layers compute otherwise: "
        f"{'; '.join(said)}{more}. They follow the casts of the graph; make the variant again",
        layers,
    )


def _shown(layer: Layer, precision: Precision) -> str:
    return ", ".join(sorted(LOWER.intersection(layer.types))) if precision == "float32" else layer.precision
