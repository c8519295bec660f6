"""The served graph of a model that others exported: the frame around the model as it is."""

from collections.abc import Callable, MutableSequence

from onnx import ModelProto, ValueInfoProto, compose, helper

from regard.contract.card import Card
from regard.export.given.answer import GivenAnswer
from regard.export.given.frame import ANSWER, TAKEN, TAKEN_AGAIN, frame
from regard.export.given.model import GivenModel
from regard.export.graph.metadata import describe

PREFIX = "given/"  # keeps the model's names apart from the served graph's


def wrapped(given: GivenModel, found: GivenAnswer, card: Card, report: Callable[[str], None]) -> ModelProto:
    """The served graph of a given model, with its Card inside.

    Args:
        given: the model, in the opset it is to be served in.
        found: what its answer is.
        card: what is served.
        report: told of each step as it begins.

    Raises:
        ExportError: that opset lacks an operator of the frame.
    """
    prologue, epilogue = frame(given, found, card, report)
    model = compose.add_prefix(given.proto, PREFIX)
    x, answer = PREFIX + given.image.name, PREFIX + given.answer
    _keep_only(x, model.graph.input)  # an old model's constants are inputs as well
    _keep_only(answer, model.graph.output)
    graph = compose.merge_graphs(prologue, model.graph, [(TAKEN, x)], outputs=[TAKEN, answer])
    graph = compose.merge_graphs(graph, epilogue, [(TAKEN, TAKEN_AGAIN), (answer, ANSWER)])
    del graph.value_info[:]  # the shapes noted inside may be those of a fixed batch
    model.graph.CopyFrom(graph)
    model.ir_version = max(
        model.ir_version, helper.find_min_ir_version_for(list(model.opset_import), ignore_unknown=True)
    )
    describe(model, card, keep=())  # what its nodes say is of another machine
    return model


def _keep_only(name: str, values: MutableSequence[ValueInfoProto]) -> None:
    for value in [value for value in values if value.name != name]:
        values.remove(value)
