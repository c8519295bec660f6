"""Variants in other precisions, made in a moment: the graphs are of a few nodes, their answers OpenVINO's,
and their judgement is not measured but said.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tests.serving.conftest import write

from regard.contract.answers import Classes
from regard.contract.card import Card, Origin
from regard.contract.digest import sha256
from regard.contract.goldens import read_goldens, write_answers
from regard.contract.image_input import ImageInput
from regard.contract.judgement import Judgement
from regard.contract.names import IMAGE
from regard.contract.variant import Precision, Runtime, Variant
from regard.export.artifact import Artifact
from regard.export.sessions.open_artifact import open_artifact
from regard.export.variant import adding_variant, read_variant


def variant_of(
    artifact: Artifact,
    name: str,
    *,
    precision: Precision,
    runtime: Runtime = "openvino",
    graph: onnx.ModelProto | None = None,
    answers: bool = True,
) -> Artifact:
    """A variant of an artifact, `graph` or the artifact's own; with `answers` to the goldens, or without."""
    with adding_variant(artifact.folder, name) as draft:
        file = None if graph is None else "model.onnx"
        if graph is not None:
            onnx.save(graph, draft / "model.onnx")
        judgement = Judgement(
            reference_sha256=artifact.sha256,
            variant_sha256=artifact.sha256 if graph is None else sha256(draft / "model.onnx"),
            candidate="whatever runs it",
            data="none",
            images=1,
            agreement=1,
            least_agreement=1,
            min_agreement=0.99,
            min_least_agreement=0,
        )
        record = Variant(name=name, runtime=runtime, precision=precision, file=file, judgement=judgement)
        (draft / "variant.json").write_text(record.model_dump_json())
        if answers:
            made = Artifact(draft, artifact.card, "", runtime, precision, artifact.folder)
            write_answers(draft / "answers.npz", answers_of(made))
    return read_variant(artifact.folder / "variants" / name)


def answers_of(variant: Artifact) -> dict[str, Any]:
    assert variant.variant_of is not None
    session, card = open_artifact(variant, threads=1), variant.card
    return {
        golden.name: session.run([card.answer.tensor], {IMAGE: card.input.fit(golden.pixels)[None]})[0][0]
        for golden in read_goldens(variant.variant_of / "goldens")
    }


def stripes(folder: Path) -> Artifact:
    """A classifier of 16x16 images that sees every pixel and colour where it is: softmax(image @ weights)."""
    folder.mkdir(parents=True)
    card = Card(
        name="stripes",
        inputs=(ImageInput(height=16, width=16, resize="stretch", max_batch=5),),
        answer=Classes(labels=tuple("abcde")),
        origin=Origin(builder="tests:stripes"),
    )
    return write(folder, _stripes(quantized=False), card)


def stripes_int8(artifact: Artifact) -> onnx.ModelProto:
    """The graph of `stripes` with its product in int8."""
    model = helper.make_model(
        _stripes(quantized=True), opset_imports=[helper.make_opsetid("", 20)], ir_version=9
    )
    onnx.checker.check_model(model)
    return model


def _stripes(*, quantized: bool) -> onnx.GraphProto:
    weights = np.random.default_rng(0).normal(size=(16 * 16 * 3, 5)).astype(np.float32)
    weights -= weights.mean(0)  # grey is no class
    constants: dict[str, Any] = {
        "flat": np.array([0, -1], np.int64),
        "largest": np.array(255, np.float32),
        "scale": np.array(1 / 255, np.float32),
        "zero": np.array(0, np.uint8),
        "step": np.array(np.abs(weights).max() / 127, np.float32),
        "weights_zero": np.array(0, np.int8),
    }
    nodes = [
        helper.make_node("Reshape", [IMAGE, "flat"], ["row"]),
        helper.make_node("Cast", ["row"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["pixels", "largest"], ["x"]),
    ]
    if quantized:
        constants["quantized_weights"] = np.round(weights / constants["step"]).astype(np.int8)
        nodes += [
            helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["quantized_x"]),
            helper.make_node("DequantizeLinear", ["quantized_x", "scale", "zero"], ["seen"]),
            helper.make_node("DequantizeLinear", ["quantized_weights", "step", "weights_zero"], ["weights"]),
            helper.make_node("MatMul", ["seen", "weights"], ["logits"]),
        ]
    else:
        constants["weights"] = weights
        nodes.append(helper.make_node("MatMul", ["x", "weights"], ["logits"]))
    nodes.append(helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1))
    return helper.make_graph(
        nodes,
        "stripes",
        [helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, ["batch", 16, 16, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 5])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
