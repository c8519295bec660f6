"""Models of a few nodes for each kind of input and answer, with answers that arithmetic tells."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper
from tests.serving.conftest import write

from regard.contract.answers import Classes, LabelMap, Sequence
from regard.contract.card import Card, Origin
from regard.contract.inputs import FramesInput, ImageInput, TokensInput
from regard.contract.state import State, StateTensor
from regard.export.artifact import Artifact
from regard.export.graph.step_graphs import StepGraphs

INT64, FLOAT, UINT8, BOOL = TensorProto.INT64, TensorProto.FLOAT, TensorProto.UINT8, TensorProto.BOOL
ORIGIN = Origin(builder="tests:tiny")
LEVELS = 11
LONGEST = 6
WORDS = ("<pad>", "<end>", "one", "two", "three", "four")

node = helper.make_node
value = helper.make_tensor_value_info


def graph(
    name: str,
    nodes: list[NodeProto],
    inputs: list[ValueInfoProto],
    outputs: list[ValueInfoProto],
    **constants: Any,
) -> onnx.GraphProto:
    assert len({each for one in nodes for each in one.output}) == sum(len(one.output) for one in nodes)
    held = [numpy_helper.from_array(np.asarray(array), key) for key, array in constants.items()]
    return helper.make_graph(nodes, name, inputs, outputs, held)


def summing(folder: Path, *, name: str = "summing", idle: float = 60.0) -> Artifact:
    """A "segmenter" in sessions: each pixel's label is the sum of its largest channels so far, modulo LEVELS.
    A step of a white image fails: its memory is no number.
    """
    card = Card(
        name=name,
        inputs=(ImageInput(height=8, width=8, resize="none", dynamic_size=True, min_size=4, max_size=32),),
        answer=LabelMap(labels=tuple(f"label {index}" for index in range(LEVELS))),
        state=State(tensors=(StateTensor(name="memory", dims=(1, -1, -1)),), idle_seconds=idle),
        origin=ORIGIN,
    )
    nodes = [
        node("Shape", ["image"], ["sides"], start=1, end=3),
        node("Concat", ["ones", "sides"], ["size"], axis=0),
        node("Resize", ["memory", "", "", "size"], ["resized"], mode="nearest"),
        node("Reshape", ["start", "column"], ["begins"]),
        node("Sub", ["one", "begins"], ["goes_on"]),
        node("Mul", ["resized", "goes_on"], ["kept"]),
        node("Cast", ["image"], ["pixels"], to=FLOAT),
        node("ReduceMax", ["pixels", "channel"], ["largest"], keepdims=0),
        node("ReduceMin", ["pixels"], ["darkest"], keepdims=0),
        node("Sub", ["white", "darkest"], ["room"]),
        node("Div", ["room", "room"], ["finite"]),  # 0 / 0 is no number
        node("Mul", ["largest", "finite"], ["seen"]),
        node("Unsqueeze", ["seen", "first"], ["level"]),
        node("Add", ["kept", "level"], ["next_memory"]),
        node("Squeeze", ["next_memory", "first"], ["sum"]),
        node("Mod", ["sum", "levels"], ["rest"], fmod=1),
        node("Cast", ["rest"], ["label_map"], to=UINT8),
    ]
    size = ["batch", "height", "width"]
    made = graph(
        "summing",
        nodes,
        [
            value("image", UINT8, [*size, 3]),
            value("start", FLOAT, ["batch", 1]),
            value("memory", FLOAT, ["batch", 1, "memory_2", "memory_3"]),
        ],
        [value("label_map", UINT8, size), value("next_memory", FLOAT, ["batch", 1, "memory_2", "memory_3"])],
        ones=np.array([1, 1]),
        one=np.float32(1),
        white=np.float32(255),
        column=np.array([-1, 1, 1, 1]),
        channel=np.array([3]),
        first=np.array([1]),
        levels=np.float32(LEVELS),
    )
    folder.mkdir(parents=True)
    return write(folder, made, card)


def asking(folder: Path) -> Artifact:
    """An image and a question -> 3 classes: softmax(mean colour / 255 x the mean of the words' numbers)."""
    card = Card(
        name="asking",
        inputs=(
            ImageInput(height=8, width=8, resize="stretch", max_batch=4),
            TokensInput(
                name="question",
                vocabulary=("<pad>", "what", "colour", "is", "it"),
                unknown=None,
                longest=4,
                max_batch=8,
            ),
        ),
        answer=Classes(labels=("red", "green", "blue")),
        origin=ORIGIN,
    )
    nodes = [
        node("Cast", ["image"], ["pixels"], to=FLOAT),
        node("ReduceMean", ["pixels", "sides"], ["mean"], keepdims=0),
        node("Div", ["mean", "white"], ["colour"]),
        node("ReduceSum", ["question", "words"], ["total"], keepdims=1),
        node("Cast", ["total"], ["sum"], to=FLOAT),
        node("Mul", ["colour", "sum"], ["scores"]),
        node("Softmax", ["scores"], ["probabilities"], axis=-1),
    ]
    made = graph(
        "asking",
        nodes,
        [value("image", UINT8, ["batch", 8, 8, 3]), value("question", INT64, ["batch", "question_words"])],
        [value("probabilities", FLOAT, ["batch", 3])],
        sides=np.array([1, 2]),
        words=np.array([1]),
        white=np.float32(255),
    )
    folder.mkdir(parents=True)
    return write(folder, made, card)


def watching(folder: Path) -> Artifact:
    """Three frames -> 3 classes: softmax(the mean red of each / 32)."""
    card = Card(
        name="watching",
        inputs=(FramesInput(frames=3, height=8, width=8, resize="stretch", max_batch=4),),
        answer=Classes(labels=("first", "second", "third")),
        origin=ORIGIN,
    )
    nodes = [
        node("Cast", ["frames"], ["pixels"], to=FLOAT),
        node("Gather", ["pixels", "red"], ["reds"], axis=4),
        node("ReduceMean", ["reds", "sides"], ["mean"], keepdims=0),
        node("Div", ["mean", "scale"], ["scores"]),
        node("Softmax", ["scores"], ["probabilities"], axis=-1),
    ]
    made = graph(
        "watching",
        nodes,
        [value("frames", UINT8, ["batch", 3, 8, 8, 3])],
        [value("probabilities", FLOAT, ["batch", 3])],
        red=np.array(0),
        sides=np.array([2, 3]),
        scale=np.float32(32),
    )
    folder.mkdir(parents=True)
    return write(folder, made, card)


def counting_down(folder: Path) -> Artifact:
    """A text -> its last word, and those before it in the vocabulary, down to the end; each with
    log-probability -1.
    """
    card = Card(
        name="counting",
        inputs=(TokensInput(vocabulary=("<pad>", "<unk>", *WORDS[2:]), longest=4),),
        answer=Sequence(vocabulary=WORDS, longest=LONGEST),
        origin=ORIGIN,
    )
    nodes = [
        node("ReduceMax", ["tokens", "words"], ["largest"], keepdims=1),
        node("Sub", ["largest", "places"], ["down"]),
        node("Max", ["down", "zero"], ["sequence"]),
        node("Greater", ["sequence", "zero"], ["said"]),
        node("Where", ["said", "minus", "none"], ["log_probabilities"]),
    ]
    made = graph(
        "counting",
        nodes,
        [value("tokens", INT64, ["batch", "tokens_words"])],
        [
            value("sequence", INT64, ["batch", LONGEST]),
            value("log_probabilities", FLOAT, ["batch", LONGEST]),
        ],
        words=np.array([1]),
        places=np.arange(LONGEST),
        zero=np.array(0),
        minus=np.float32(-1),
        none=np.float32(0),
    )
    folder.mkdir(parents=True)
    return write(folder, made, card)


def steps_of_counting(_: onnx.ModelProto) -> StepGraphs:
    """What `counting_down` comes to word by word, with a step of its own for each."""
    row = ["batch", LONGEST]
    handed_on = [
        value("position", INT64, []),
        value("sequence", INT64, row),
        value("log_probabilities", FLOAT, row),
        value("left", INT64, ["batch", 1]),
    ]
    encode = graph(
        "encode",
        [
            node("ReduceMax", ["tokens", "words"], ["left"], keepdims=1),
            node("Mul", ["left", "blank"], ["sequence"]),
            node("Cast", ["sequence"], ["log_probabilities"], to=FLOAT),
            node("Identity", ["zero"], ["position"]),
        ],
        [value("tokens", INT64, ["batch", "tokens_words"])],
        handed_on,
        words=np.array([1]),
        blank=np.zeros((1, LONGEST), np.int64),
        zero=np.array(0),
    )
    step = graph(
        "step",
        [
            node("Equal", ["places", "position"], ["here"]),
            node("Where", ["here", "left", "sequence"], ["next_sequence"]),
            node("Where", ["here", "minus", "log_probabilities"], ["next_log_probabilities"]),
            node("Sub", ["left", "one"], ["next_left"]),
            node("Add", ["position", "one"], ["next_position"]),
            node("Squeeze", ["next_left"], ["left_over"]),
            node("Greater", ["left_over", "zero"], ["more"]),
        ],
        handed_on,
        [
            value("more", BOOL, []),
            *(value(f"next_{each.name}", each.type.tensor_type.elem_type, None) for each in handed_on),
        ],
        places=np.arange(LONGEST)[None],
        minus=np.float32(-1),
        one=np.array(1),
        zero=np.array(0),
    )
    opset = [helper.make_opsetid("", 20)]
    return StepGraphs(
        *(helper.make_model(each, opset_imports=opset, ir_version=9) for each in (encode, step))
    )
