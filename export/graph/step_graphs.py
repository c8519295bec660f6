"""The two graphs that a generating graph's Loop is cut into: what comes before it, and its body.

`encode` takes the served graph's inputs, and gives what `step` takes, by the same names. `step` gives back
`next_<name>` of each that the Loop carries, and `more`, bool (): whether another word follows. Of those names
`position` (), `sequence` (B, longest) and `log_probabilities` (B, longest) are read by who streams words.

Nothing is traced again: these are the nodes of the graph that was proven.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper
from onnx.shape_inference import infer_shapes

from regard.contract.names import LOG_PROBABILITIES, MORE, POSITION, SEQUENCE
from regard.contract.state import NEXT
from regard.export.graph.nodes import needed_for, read_by

PREFIX = "cut/"  # of every other name that is added; no Card gives it to an input
MEMORY, STATE = f"{PREFIX}memory", f"{PREFIX}state"  # of what the body reads, and what else the Loop carries


@dataclass(frozen=True)
class StepGraphs:
    """What a stream of words runs: `encode` once, then `step` for each word."""

    encode: ModelProto
    step: ModelProto


def cut(model: ModelProto) -> StepGraphs | None:
    """The step graphs of a served graph; None where it has no Loop that hands on the very words that it
    answers: a beam search chooses among its own when it is done.
    """
    typed = infer_shapes(model)
    loop = _loop_of(typed.graph)
    if loop is None:
        return None
    (body,) = (each.g for each in loop.attribute if each.name == "body")
    carried = dict(zip(loop.output, body.input[2:], strict=True))  # by the Loop's outputs, which are as many
    names = {
        output: output if output in (SEQUENCE, LOG_PROBABILITIES) else f"{STATE}_{place}"
        for place, output in enumerate(carried)
    }
    read = {name: f"{MEMORY}_{place}" for place, name in enumerate(_read(body, typed.graph))}
    known: dict[str, ValueInfoProto] = {
        each.name: each for each in (*typed.graph.value_info, *typed.graph.input)
    }
    handed_on = [
        helper.make_tensor_value_info(POSITION, TensorProto.INT64, []),
        *(_value(names[output], inside) for output, inside in carried.items()),
        *(_value(name, known[outside]) for outside, name in read.items()),
    ]
    sources = dict(zip(names.values(), loop.input[2:], strict=True)) | {
        name: outside for outside, name in read.items()
    }
    encode = _encode(typed.graph, sources, handed_on)
    step = _step(typed.graph, body, names, read, handed_on)
    settings = {"opset_imports": model.opset_import, "ir_version": model.ir_version}
    return StepGraphs(helper.make_model(encode, **settings), helper.make_model(step, **settings))


def _loop_of(graph: GraphProto) -> NodeProto | None:
    """The Loop that carries the words and their scores as they are served."""
    for node in graph.node:
        wanted = {SEQUENCE, LOG_PROBABILITIES} <= {*node.output}
        if node.op_type == "Loop" and wanted and len(node.output) == len(node.input) - 2:
            return node
    return None


def _read(body: GraphProto, graph: GraphProto) -> list[str]:
    """What the body takes from outside that is no constant, in order."""
    inside = {each.name for each in body.input} | {each.name for each in body.initializer}
    inside |= {name for node in body.node for name in node.output}
    constants = {each.name for each in graph.initializer}
    outside = {each.name for each in graph.input} | {name for node in graph.node for name in node.output}
    taken = [
        *(name for node in body.node for name in sorted(read_by(node))),
        *(each.name for each in body.output),
    ]
    return [name for name in dict.fromkeys(taken) if name in outside and name not in inside | constants]


def _encode(graph: GraphProto, sources: Mapping[str, str], given: list[ValueInfoProto]) -> GraphProto:
    """The nodes before the Loop, and its first values by their names.

    sources: the tensor that each name is of.
    """
    nodes = needed_for(graph, sources.values())
    needed = {*sources.values()}.union(*map(read_by, nodes))
    return helper.make_graph(
        [
            *nodes,
            helper.make_node("Constant", [], [POSITION], value_int=0),
            *(helper.make_node("Identity", [source], [name]) for name, source in sources.items()),
        ],
        "encode",
        graph.input,
        given,
        [each for each in graph.initializer if each.name in needed],
    )


def _step(
    graph: GraphProto,
    body: GraphProto,
    names: Mapping[str, str],
    read: Mapping[str, str],
    taken: list[ValueInfoProto],
) -> GraphProto:
    """The Loop's body, once.

    Args:
        names: of what the Loop carries, by its outputs in order.
        read: names of what the body reads outside, by its tensors.
        taken: what the step takes.
    """
    number, before, *inputs = (each.name for each in body.input)
    more, *outputs = (each.name for each in body.output)
    one = f"{PREFIX}one"
    begin = [
        helper.make_node("Identity", [POSITION], [number]),
        *(
            helper.make_node("Identity", [name], [inside])
            for name, inside in zip(names.values(), inputs, strict=True)
        ),
        *(helper.make_node("Identity", [name], [outside]) for outside, name in read.items()),
    ]
    end = [
        helper.make_node("Identity", [more], [MORE]),
        helper.make_node("Add", [POSITION, one], [f"{NEXT}{POSITION}"]),
        *(
            helper.make_node("Identity", [output], [f"{NEXT}{name}"])
            for name, output in zip(names.values(), outputs, strict=True)
        ),
    ]
    used = {more, *outputs}.union(*map(read_by, body.node))
    constants = [each for each in (*graph.initializer, *body.initializer) if each.name in used]
    carried = [POSITION, *names.values()]
    given = [
        helper.make_tensor_value_info(MORE, TensorProto.BOOL, []),
        *(_value(f"{NEXT}{each.name}", each) for each in taken if each.name in carried),
    ]
    constants += [
        helper.make_tensor(one, TensorProto.INT64, [], [1]),
        helper.make_tensor(before, TensorProto.BOOL, [], [True]),
    ]
    return helper.make_graph([*begin, *body.node, *end], "step", taken, given, constants)


def _value(name: str, like: ValueInfoProto) -> ValueInfoProto:
    """A tensor of the same type and dimensions under another name."""
    value = ValueInfoProto()
    value.CopyFrom(like)
    value.name = name
    return value
