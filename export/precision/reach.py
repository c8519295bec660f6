"""How far the numbers in a graph reach: measured inside it, so that only a few numbers come out."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from regard.export.precision.masks import mask_constants, masks_of
from regard.export.proof.graph_runner import run_session, session_with

# what each of these adds up, of the axes that it names, or of all behind the channels
SUMS = {"ReduceMean": "ReduceL1", "ReduceSum": "ReduceL1", "ReduceL2": "ReduceSumSquare"}
SPATIAL_SUMS = {"GlobalAveragePool": "ReduceL1", "InstanceNormalization": "ReduceSumSquare"}


@dataclass
class Reach:
    """Of a tensor without its masks.

    largest: absolute value. smallest: absolute value that is not 0. sum: the largest that is added up to make
        it, of absolute values; 0 where nothing is.
    """

    largest: float = 0.0
    smallest: float = float("inf")
    sum: float = 0.0


def reaches(
    model: ModelProto, batches: Iterable[npt.NDArray[Any]], *, advance: Callable[[], None] = lambda: None
) -> dict[str, Reach]:
    """Run a graph of `regard.export.precision.fp16.prepared` on batches of what it takes, and return the
    reach of each tensor in float32, constants among them.

    advance: called after each batch.

    Raises:
        ExportError: ONNX Runtime does not take the graph, or stops at a batch.
    """
    masks = mask_constants(model)
    found = {
        each.name: _of(numpy_helper.to_array(each))
        for each in constants_in_float32(model)
        if each.name not in masks
    }
    probed, probes = _probed(model)
    session, image = session_with(probed, probes), model.graph.input[0].name
    for batch in batches:
        for (tensor, kind), value in zip(
            probes.values(), run_session(session, probes, {image: batch}), strict=True
        ):
            reach = found.setdefault(tensor, Reach())
            better = min if kind == "smallest" else max
            setattr(reach, kind, better(getattr(reach, kind), float(value)))
        advance()
    return found


def tensors_in_float32(model: ModelProto) -> set[str]:
    """Those that nodes give."""
    known = (*model.graph.value_info, *model.graph.output)
    given = {output for node in model.graph.node for output in node.output}
    return given & {value.name for value in known if value.type.tensor_type.elem_type == TensorProto.FLOAT}


def constants_in_float32(model: ModelProto) -> list[TensorProto]:
    """Those of the graph that hold a number."""
    return [
        each for each in model.graph.initializer if each.data_type == TensorProto.FLOAT and 0 not in each.dims
    ]


def _of(values: npt.NDArray[np.float32]) -> Reach:
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    return Reach(float(sizes.max()), float(sizes.min())) if sizes.size else Reach()


def _probed(model: ModelProto) -> tuple[ModelProto, dict[str, tuple[str, str]]]:
    """A copy that also measures, and the tensors that hold it: of which tensor, and what."""
    copy = ModelProto()
    copy.CopyFrom(model)
    masks, ranks = masks_of(model), _ranks(model)
    wanted = tensors_in_float32(model)
    probes: dict[str, tuple[str, str]] = {}
    constants: dict[str, npt.NDArray[np.generic]] = {
        "regard/zero": np.zeros((), np.float32),
        "regard/infinity": np.full((), np.inf, np.float32),
    }

    def probe(tensor: str, kind: str) -> str:
        name = f"regard/{kind}/{tensor}"
        probes[name] = (tensor, kind)
        return name

    for node in model.graph.node:
        if wanted.isdisjoint(node.output):
            continue
        for name in wanted.intersection(node.output):
            mask = f"regard/mask/{name}"
            constants[mask] = np.array(masks.get(name, -np.inf), np.float32)
            copy.graph.node.extend(_size_probes(name, mask, probe))
        name, added = node.output[0], f"regard/added/{node.output[0]}"
        if node.op_type in SUMS:
            total = helper.make_node(SUMS[node.op_type], node.input, [added])
            total.attribute.extend(node.attribute)
            copy.graph.node.append(total)
        elif node.op_type in SPATIAL_SUMS and node.input[0] in ranks:
            axes = f"regard/axes/{name}"
            constants[axes] = np.arange(2, ranks[node.input[0]])
            copy.graph.node.append(
                helper.make_node(SPATIAL_SUMS[node.op_type], [node.input[0], axes], [added])
            )
        elif node.op_type == "AveragePool":
            window, sizes, mean = (f"regard/{part}/{name}" for part in ("window", "sizes", "mean"))
            constants[window] = np.array(_window(node), np.float32)
            pooled = helper.make_node(node.op_type, [sizes], [mean])
            pooled.attribute.extend(node.attribute)
            sizing = helper.make_node("Abs", [node.input[0]], [sizes])
            copy.graph.node.extend([sizing, pooled, helper.make_node("Mul", [mean, window], [added])])
        else:
            continue
        copy.graph.node.append(_largest(added, probe(name, "sum")))
    copy.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    return copy, probes


def _size_probes(name: str, mask: str, probe: Callable[[str, str], str]) -> Iterator[NodeProto]:
    """Nodes that find the largest and the smallest absolute value of a tensor above a mask."""
    masked, size, seen, zero, rest = (
        f"regard/{part}/{name}" for part in ("le", "abs", "seen", "none", "rest")
    )
    yield helper.make_node("LessOrEqual", [name, mask], [masked])
    yield helper.make_node("Abs", [name], [size])
    yield helper.make_node("Where", [masked, "regard/zero", size], [seen])
    yield _largest(seen, probe(name, "largest"))
    yield helper.make_node("Equal", [seen, "regard/zero"], [zero])
    yield helper.make_node("Where", [zero, "regard/infinity", seen], [rest])
    yield helper.make_node("ReduceMin", [rest], [probe(name, "smallest")], keepdims=0)


def _window(pool: NodeProto) -> int:
    """How many numbers it averages."""
    return math.prod(next(entry.ints for entry in pool.attribute if entry.name == "kernel_shape"))


def _largest(tensor: str, output: str) -> NodeProto:
    return helper.make_node("ReduceMax", [tensor], [output], keepdims=0)


def _ranks(model: ModelProto) -> dict[str, int]:
    known = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    return {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in known
        if value.type.tensor_type.HasField("shape")
    }
