"""What of a graph must not leave float32, by how far its numbers reach on images.

float16 ends at 65504, counts to 2048, has 11 bits, and from 2 ** -14 down fewer and fewer of them.
"""

from collections.abc import Iterator, Mapping, Set

from onnx import ModelProto, NodeProto, defs

from regard.export.graph.nodes import MOVING
from regard.export.precision.reach import Reach, constants_in_float32, tensors_in_float32

LARGEST = 65504.0
HEADROOM = 4  # other images reach further than those that were looked at
COUNTED = 2048.0  # whole numbers are exact up to here
EXPONENT = 128.0  # beyond, exponents of e are rounded by up to 1/16, and its powers by 6 %
LEAST = 2.0**-18  # rounded by 1/128 at most

EXPONENTIAL = {"Exp", "LogSoftmax", "Softmax"}
ADDING = {
    "Add",
    "Clip",
    "Max",
    "Min",
    "Sub",
}  # what is too small for float16 is nothing beside what it is added to
# what these take is as coarse as what they give: where that must not be rounded, neither must this
PASSING = MOVING | ADDING | {"Div", "Mul", "Neg", "Where"}
PLACING = PASSING | {"MatMul"}  # a grid of places is a constant one times a matrix
BOTH = {"Resize"}  # its scales are float32, whatever its image is

Need = tuple[NodeProto, str]  # and why


def float32_needs(model: ModelProto, reaches: Mapping[str, Reach]) -> dict[str, str]:
    """The nodes that have to stay in float32, by name, and why; none where float16 is enough.

    Args:
        model: of `regard.export.precision.fp16.prepared`.
        reaches: of its tensors, of `regard.export.precision.reach.reaches`.
    """
    graph = _Graph(model)
    found: dict[str, str] = {}
    for rule in (_overflow, _sums, _counts, _exponents, _places, _underflow, _divisors):
        for name, reach in reaches.items():
            for node, reason in rule(name, reach, graph):
                found.setdefault(node.name, reason)
    for node in model.graph.node:
        if graph.floats.intersection((*node.input, *node.output)) and not _takes_float16(node, model):
            found.setdefault(node.name, f"{node.op_type} does not take float16")
    return found


class _Graph:
    def __init__(self, model: ModelProto) -> None:
        self.floats = tensors_in_float32(model) | {each.name for each in constants_in_float32(model)}
        self.givers = {output: node for node in model.graph.node for output in node.output}
        self._takers: dict[str, list[NodeProto]] = {}
        for node in model.graph.node:
            if node.op_type != "Shape":
                for name in node.input:
                    self._takers.setdefault(name, []).append(node)

    def takers(self, tensor: str) -> list[NodeProto]:
        """The nodes that look at its numbers."""
        return self._takers.get(tensor, [])

    def around(self, tensor: str) -> list[NodeProto]:
        """What gives it, if it is no constant, and what takes it."""
        return [*self.given_by(tensor), *self.takers(tensor)]

    def given_by(self, tensor: str) -> list[NodeProto]:
        """What gives it; nothing gives a constant."""
        return [self.givers[tensor]] if tensor in self.givers else []

    def made_by(self, tensor: str, passing: Set[str] = PASSING) -> Iterator[NodeProto]:
        """What gives a tensor, back to where each of its numbers is computed of several."""
        seen: set[str] = set()
        waiting = [tensor]
        while waiting:
            name = waiting.pop()
            node = self.givers.get(name)
            if node is None or name in seen or name not in self.floats:
                continue
            seen.add(name)
            yield node
            if node.op_type in passing:
                waiting.extend(node.input)


def _overflow(name: str, reach: Reach, graph: _Graph) -> Iterator[Need]:
    if reach.largest > LARGEST / HEADROOM:
        for node in graph.around(name):
            yield node, f"{name} reaches {reach.largest:.3g}, and float16 ends at {LARGEST:.0f}"


def _sums(name: str, reach: Reach, graph: _Graph) -> Iterator[Need]:
    """Means over large maps, the statistics of a normalization: in what type a GPU adds up is not known."""
    if reach.sum > LARGEST / HEADROOM:
        yield graph.givers[name], f"{name} takes sums of {reach.sum:.3g}, and float16 ends at {LARGEST:.0f}"


def _counts(name: str, reach: Reach, graph: _Graph) -> Iterator[Need]:
    giver = graph.givers.get(name)
    if reach.largest > COUNTED and giver and giver.op_type == "Cast" and giver.input[0] not in graph.floats:
        for node in graph.around(name):
            yield node, f"{name} counts to {reach.largest:.0f}, and float16 to {COUNTED:.0f}"


def _exponents(name: str, reach: Reach, graph: _Graph) -> Iterator[Need]:
    """Of large scores softmax sees the differences, which are what rounding leaves least of."""
    for taker in graph.takers(name):
        if taker.op_type in EXPONENTIAL and reach.largest > EXPONENT:
            for node in (taker, *graph.made_by(name)):
                yield node, f"{taker.op_type} takes {name} up to {reach.largest:.3g}, rounded too coarsely"


def _places(name: str, reach: Reach, graph: _Graph) -> Iterator[Need]:
    for taker in graph.takers(name):
        if taker.op_type == "GridSample" and taker.input[1] == name:
            for node in (taker, *graph.made_by(name, PLACING)):
                yield node, f"GridSample reads at the places in {name}, rounded to parts of a pixel"


def _underflow(name: str, reach: Reach, graph: _Graph) -> Iterator[Need]:
    hurt = [node for node in graph.takers(name) if node.op_type not in ADDING | MOVING]
    if 0 < reach.largest < LEAST and hurt:
        for node in (*graph.given_by(name), *hurt):
            yield node, f"{name} reaches {reach.largest:.1g}, which float16 hardly tells from 0"


def _divisors(name: str, reach: Reach, graph: _Graph) -> Iterator[Need]:
    if not reach.smallest < LEAST or name not in graph.givers:
        return
    for taker in graph.takers(name):
        divides = taker.op_type == "Div" and taker.input[1] == name
        if divides or taker.op_type in {"Log", "Reciprocal"}:
            for node in (taker, *graph.made_by(name)):
                yield (
                    node,
                    f"{taker.op_type} takes {name} down to {reach.smallest:.1g}, too small for float16",
                )


def _takes_float16(node: NodeProto, model: ModelProto) -> bool:
    """Whether an operator takes and gives float16 wherever it does float32."""
    if node.op_type in BOTH:
        return True
    opset = next((each.version for each in model.opset_import if each.domain == node.domain), 1)
    try:
        schema = defs.get_schema(node.op_type, opset, node.domain)
    except defs.SchemaError:
        return False
    sides = ((schema.inputs, node.input), (schema.outputs, node.output))
    return all(
        "tensor(float16)" in parameter.types or "tensor(float)" not in parameter.types
        for parameters, names in sides
        for parameter, name in zip(parameters, names, strict=False)
        if name
    )
