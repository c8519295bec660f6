"""Calls of the operators that have kernels: odd shapes, every attribute; with NumPy and ONNX Runtime alone.

Run as a program with a library it makes every call: what a sanitizer watches.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnx import FunctionProto, TensorProto, helper

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}


@dataclass(frozen=True)
class Case:
    operator: str
    shapes: Sequence[Shape]
    attributes: Mapping[str, int | str] = field(default_factory=dict)

    def __str__(self) -> str:
        words = [*map(str, self.attributes.values()), *("x".join(map(str, shape)) for shape in self.shapes)]
        return "-".join([self.operator, *words])


def _local_attention() -> Iterator[Case]:
    for b, c, g, h, w, k in (
        (1, 8, 1, 7, 7, 7),  # one group; narrower than a vector
        (2, 6, 6, 5, 3, 3),  # as many groups as channels; narrower than the narrowest vector
        (1, 12, 4, 9, 17, 5),  # one column more than a vector
        (2, 9, 3, 1, 1, 1),
        (1, 22, 2, 20, 56, 7),  # eleven channels of a group, in eights, twos and ones
        (0, 4, 2, 5, 5, 3),
    ):
        yield Case("LocalAttention", [(b, c, h + k - 1, w + k - 1), (b, g, k * k, h, w)], {"window": k})


def _local_weights() -> Iterator[Case]:
    for b, d, h, w, k in (
        (1, 8, 7, 7, 7),  # narrower than a vector
        (2, 5, 3, 17, 3),  # one column more than a vector
        (1, 3, 1, 1, 5),  # itself alone
        (1, 4, 20, 2, 9),  # a window wider than the map
        (2, 2, 5, 40, 1),
        (0, 4, 5, 5, 3),
        (1, 0, 4, 19, 3),  # nothing to compare: all that is inside alike
    ):
        yield Case("LocalWeights", [(b, d, h, w), (b, d, h + k - 1, w + k - 1)], {"window": k})


def _criss_cross() -> Iterator[Case]:
    for b, d, c, h, w in (
        (2, 3, 5, 17, 16),
        (1, 8, 33, 9, 35),  # one channel more than two vectors, more columns than are held at a time
        (1, 1, 1, 1, 1),
        (1, 2, 7, 1, 20),
        (1, 2, 7, 20, 1),
        (0, 4, 4, 3, 3),
        (1, 0, 3, 4, 5),  # nothing to compare: the mean
    ):
        yield Case("CrissCross", [(b, d, h, w), (b, d, h, w), (b, c, h, w)])


def _warp() -> Iterator[Case]:
    shapes: Sequence[Sequence[Shape]] = (
        [(1, 3, 5, 7), (1, 4, 6, 2)],
        [(2, 5, 16, 9), (2, 33, 31, 2)],
        [(1, 1, 1, 1), (1, 3, 3, 2)],
        [(0, 2, 3, 3), (0, 3, 3, 2)],
    )
    for each, padding, corners in product(shapes, ("zeros", "border", "reflection"), (0, 1)):
        yield Case("Warp", each, {"padding_mode": padding, "align_corners": corners})


CASES = [*_local_attention(), *_local_weights(), *_criss_cross(), *_warp()]


def inputs(case: Case, dtype: str) -> list[Array]:
    """Seeded numbers, of which a fifth of a grid's lie outside of the map, at addresses of no power of 2."""
    rng = np.random.default_rng(0)
    arrays = []
    for shape in case.shapes:
        values = rng.standard_normal(shape).astype(dtype)
        room = np.empty(values.size + 1, dtype)
        room[1:] = values.ravel() * (0.78 if case.operator == "Warp" else 0.5)
        arrays.append(room[1:].reshape(shape))
    return arrays


def session(
    case: Case,
    dtype: str,
    library: Path | None,
    body: FunctionProto | None = None,
    *,
    threads: int = 1,
) -> onnxruntime.InferenceSession:
    """A graph of one node, with its kernel or its body or both."""
    names = [f"in{index}" for index in range(len(case.shapes))]
    domain = "regard"
    values = [
        helper.make_tensor_value_info(name, TYPES[dtype], [None] * len(shape))
        for name, shape in zip(names, case.shapes, strict=True)
    ]
    rank = 5 if case.operator == "LocalWeights" else 4
    graph = helper.make_graph(
        [helper.make_node(case.operator, names, ["y"], domain=domain, **case.attributes)],
        "one_node",
        values,
        [helper.make_tensor_value_info("y", TYPES[dtype], [None] * rank)],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(domain, 1)]
    functions = [] if body is None else [body]
    model = helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    if library is not None:
        options.register_custom_ops_library(str(library))
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def run(session: onnxruntime.InferenceSession, arrays: Sequence[Array]) -> Array:
    feeds = {wanted.name: array for wanted, array in zip(session.get_inputs(), arrays, strict=True)}
    (answer,) = session.run(None, feeds)
    return np.asarray(answer)


def wild_grid() -> Array:
    """(1, 4, 16, 2): numbers that are none, infinite, huge and far outside."""
    wild = [np.nan, np.inf, -np.inf, 3e38, -3e38, 2.0**31, -(2.0**33), 5.3, -1.2, 0.0, 0.3]
    pairs = np.array(list(product(wild, wild)), np.float32)[:64]
    return pairs.reshape(1, 4, 16, 2)


if __name__ == "__main__":
    library = Path(sys.argv[1])
    for case, dtype in product(CASES, TYPES):
        opened = session(case, dtype, library, threads=2)
        run(opened, inputs(case, dtype))
        if case.operator == "Warp" and case.shapes[0][0] == 1:
            run(opened, [inputs(case, dtype)[0], wild_grid().astype(dtype)])
    print(len(CASES) * len(TYPES), "calls")
