"""A graph in ONNX Runtime, whose inner tensors can be asked for as well."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnxruntime
from onnx import ModelProto, ValueInfoProto

from regard.contract.answers.kind import AnswerKind
from regard.errors import ExportError
from regard.export.proof.runner import SCORES, Arrays, CannotRun
from regard.export.session import NAME, open_session


class GraphRunner:
    """A served graph in one session for all shapes.

    Args:
        model: the graph; tensors inside it are handed out by a copy in memory.
        tensors: what to give, and the tensor that holds it.
        sha256: of its file.
        name: for the record; ONNX Runtime's, and the library's, where there is none.
        operators: a library of its operators, see `open_session`.

    Raises:
        ExportError: ONNX Runtime does not take it.
    """

    def __init__(
        self,
        model: ModelProto,
        tensors: Mapping[str, str],
        *,
        sha256: str,
        name: str | None = None,
        operators: Path | None = None,
    ) -> None:
        self.session = session_with(model, tensors.values(), operators)
        self.tensors = tensors
        self.name = name or (NAME if operators is None else f"{NAME}, with {operators.name}")
        self.sha256 = sha256

    def run(self, inputs: Arrays) -> Arrays:
        """What each tensor holds.

        Raises:
            CannotRun: ONNX Runtime stops at this shape.
        """
        return dict(zip(self.tensors, run_session(self.session, self.tensors.values(), inputs), strict=True))


def served_tensors(model: ModelProto, answer: AnswerKind) -> dict[str, str]:
    """What a graph that regard exports gives - scores, answer, maps and the next state -, and the tensors
    that hold it.

    Raises:
        ExportError: it is no such graph.
    """
    outputs = {value.name: value.name for value in model.graph.output}
    scores = {} if answer.decided_by is None else {SCORES: scores_tensor(model, answer)}
    return {**scores, answer.tensor: answer.tensor} | outputs


def scores_tensor(model: ModelProto, answer: AnswerKind) -> str:
    """Name of the tensor that the answer is made of, by the operator that the kind of answer appends.

    Raises:
        ExportError: there is none.
    """
    producers = {output: node for node in model.graph.node for output in node.output}
    name = answer.tensor
    while name in producers:
        node = producers[name]
        name = node.input[0]
        if node.op_type == answer.decided_by:
            return name
    raise ExportError(f"no {answer.decided_by} makes {answer.tensor}; this is no graph that regard exports")


def session_with(
    model: ModelProto, tensors: Iterable[str], operators: Path | None = None
) -> onnxruntime.InferenceSession:
    """A session on a copy of the model that also hands out inner tensors.

    operators: see `open_session`.

    Raises:
        ExportError: ONNX Runtime does not take the model.
    """
    copy = ModelProto()
    copy.CopyFrom(model)
    known = {value.name for value in copy.graph.output}
    copy.graph.output.extend(ValueInfoProto(name=name) for name in tensors if name not in known)
    return open_session(copy.SerializeToString(), name="the graph", operators=operators)


def run_session(
    session: onnxruntime.InferenceSession, tensors: Iterable[str], inputs: Arrays
) -> list[npt.NDArray[Any]]:
    """Run a batch and return the named tensors.

    Raises:
        CannotRun: ONNX Runtime stops at this shape.
    """
    try:
        results: list[npt.NDArray[Any]] = session.run(list(tensors), dict(inputs))
    except Exception as error:  # ONNX Runtime's errors have no narrower base
        raise CannotRun(str(error).strip()) from None
    return results
