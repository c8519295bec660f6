"""Engines of a small network by TensorRT-RTX: built, held to their precision, and put beside their graphs."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from tests.export.conftest import Exported

from regard.contract.digest import sha256
from regard.contract.manifest import write_manifest
from regard.contract.plan import Layer, Library, Plan, Profile, plan_in
from regard.contract.preprocess import Pixels
from regard.contract.variant import Precision, Variant
from regard.errors import ExportError, InvalidInput, UnknownName
from regard.export.artifact import Artifact, read_artifact
from regard.export.precision.fp16 import in_fp16, prepared
from regard.export.proof.bounds import FP16
from regard.export.proof.certificate import served_graph_runner
from regard.export.proof.comparison import prove
from regard.export.proof.graph_runner import GraphRunner
from regard.export.proof.trials import trials_of
from regard.export.tensorrt import checked
from regard.export.tensorrt import engine as engine_module
from regard.export.tensorrt.engine import Engine, add_engine
from regard.export.tensorrt.job import Built, Job
from regard.export.tensorrt.precision_contract import PrecisionError
from regard.export.tensorrt.target import target_of
from regard.export.variant import adding_variant, read_variant, variants_of

RTX = target_of("rtx:8.6")


@pytest.fixture
def artifact(exported: Exported, tmp_path: Path) -> Artifact:
    return read_artifact(Path(shutil.copytree(exported.artifact.folder, tmp_path / "artifact")))


def add_half(
    artifact: Artifact,
    images: list[Pixels],
    *,
    float32: tuple[str, ...] = (),
    kept: tuple[str, ...] = (),
    precision: Precision = "fp16",
) -> Path:
    """A variant in float16 in which the nodes `float32` stay, and that admits `kept`."""
    with adding_variant(artifact.folder, "half") as draft:
        onnx.save(in_fp16(prepared(onnx.load(artifact.model)), float32), draft / "model.onnx")
        (draft / "answers.npz").write_bytes(b"answers")
        certificates = prove(
            served_graph_runner(artifact.model, artifact.card),
            served_graph_runner(draft / "model.onnx", artifact.card),
            trials_of(images, artifact.card),
            answer=artifact.card.answer,
            precision=FP16,
            subject="half",
            images_from="samples",
        )
        variant = Variant(
            name="half",
            precision=precision,
            file="model.onnx",
            float32_blocks=kept,
            certificates=certificates,
        )
        (draft / "variant.json").write_text(variant.model_dump_json())
    return artifact.folder / "variants" / "half"


def add(artifact: Artifact, variant: str = "float32", **options: Any) -> Engine:
    return add_engine(artifact, RTX, images=[], variant=variant, **options)


def files(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256(path) for path in folder.rglob("*") if path.is_file()}


def stem(artifact: Artifact) -> tuple[str, str]:
    """The first convolution and what comes after it."""
    nodes = onnx.load(artifact.model).graph.node
    place = next(place for place, node in enumerate(nodes) if node.op_type == "Conv")
    return nodes[place].name, nodes[place + 1].name


def test_the_artifacts_own_graph(artifact: Artifact) -> None:
    before, seen = files(artifact.folder), list[float]()
    engine = add_engine(
        artifact,
        target_of("rtx:8.6,8.9,12.0"),
        images=[],
        report=lambda phase, fraction: seen.append(fraction),
    )
    assert engine.folder == artifact.folder / "variants" / "float32"
    plan = plan_in(engine.folder)
    assert plan == engine.plan
    assert plan.graph_sha256 == artifact.sha256
    assert (plan.library, plan.compute_capabilities, plan.gpu) == (
        "tensorrt_rtx",
        ("8.6", "8.9", "12.0"),
        None,
    )
    assert (plan.state, plan.certificates, plan.precision) == ("built, not run", (), "float32")
    assert plan.profiles == (Profile(least=(1, 24, 24, 3), best=(16, 32, 48, 3), most=(16, 256, 256, 3)),)
    assert [(each.direction, each.name, each.data_type, each.shape) for each in plan.bindings][:2] == [
        ("input", "image", "UINT8", (-1, -1, -1, 3)),
        ("output", "label_map", "UINT8", (-1, -1, -1)),
    ]
    assert "float32" in plan.layers_by_precision
    assert {*stem(artifact)} < {node for layer in plan.layers for node in layer.nodes}
    assert seen == sorted(seen)
    assert 0.5 < seen[-1] <= 1
    assert engine.file.stat().st_size > 10_000
    (variant,) = variants_of(artifact.folder)
    assert (variant.name, variant.file, variant.runtime) == ("float32", None, "onnxruntime")
    found = read_variant(engine.folder)
    assert (found.model, found.card.certificates) == (artifact.model, artifact.card.certificates)
    assert {
        name: digest for name, digest in files(artifact.folder).items() if "variants" not in name
    } == before


def test_a_variant_in_fp16_keeps_its_files(artifact: Artifact, images: list[Pixels]) -> None:
    folder = add_half(artifact, images)
    before = files(folder)
    plan = add(artifact, "half").plan
    assert plan.graph_sha256 == sha256(folder / "model.onnx")
    assert plan.layers_by_precision["fp16"] > plan.layers_by_precision.get("float32", 0)
    after = files(folder)
    assert after.keys() - before.keys() == {"model.plan", "plan.json"}
    assert {name for name in before if after[name] != before[name]} == {"manifest.json"}
    again = add(artifact, "half")
    assert again.folder == folder
    assert files(folder).keys() == after.keys()
    read_variant(folder)


def test_a_planted_float32_layer_is_caught(artifact: Artifact, images: list[Pixels]) -> None:
    planted = stem(artifact)
    folder = add_half(artifact, images, float32=planted)
    before = files(folder)
    with pytest.raises(
        PrecisionError, match=r"to compute in fp16, .*, and \d+ of its layers compute otherwise:"
    ) as caught:
        add(artifact, "half")
    assert any(planted[0] in layer.nodes for layer in caught.value.layers)
    assert {layer.precision for layer in caught.value.layers} == {"float32"}
    assert caught.value.layers[0].name in str(caught.value)
    assert files(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["half"]


def test_a_float32_layer_that_the_variant_admits(artifact: Artifact, images: list[Pixels]) -> None:
    add_half(artifact, images, float32=stem(artifact), kept=stem(artifact))
    plan = add(artifact, "half").plan
    assert [layer.precision for layer in plan.layers if stem(artifact)[0] in layer.nodes] == ["float32"]


def test_a_float32_layer_that_the_library_lowers_is_caught(artifact: Artifact, images: list[Pixels]) -> None:
    """One between two casts, which TensorRT-RTX computes from fp16 whatever the graph says."""
    convolution, _ = stem(artifact)
    add_half(artifact, images, float32=(convolution,), kept=(convolution,))
    with pytest.raises(PrecisionError, match=r"keeps in float32, and 1 of its .* in fp16") as caught:
        add(artifact, "half")
    assert convolution in caught.value.layers[0].nodes


def test_fp16_under_the_name_of_float32_is_caught(artifact: Artifact, images: list[Pixels]) -> None:
    add_half(artifact, images, precision="float32")
    with pytest.raises(PrecisionError, match=r"to compute in float32, and .* in fp16"):
        add(artifact, "half")


def test_an_engine_of_another_graph_is_refused_by_name(artifact: Artifact, images: list[Pixels]) -> None:
    folder, engine = add_half(artifact, images), add(artifact)
    for name in ("model.plan", "plan.json"):
        shutil.copy(engine.folder / name, folder / name)
    write_manifest(folder, variant_of=sha256(artifact.folder / "manifest.json"))
    with pytest.raises(
        InvalidInput, match=r"half/model\.plan was built from another graph than its variant's"
    ):
        read_variant(folder)
    with pytest.raises(InvalidInput, match=r"half/model\.plan was built from another graph"):
        variants_of(artifact.folder)


def edited(**changes: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        plan = Plan.model_validate_json((folder / "plan.json").read_text())
        (folder / "plan.json").write_text(plan.model_copy(update=changes).model_dump_json())

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda folder: (folder / "model.plan").unlink(), r"lacks model\.plan of an engine"),
        (lambda folder: (folder / "plan.json").unlink(), r"lacks plan\.json of an engine"),
        (lambda folder: (folder / "plan.json").write_text("{}"), "is damaged"),
        (edited(precision="fp16"), "is in fp16, its variant in float32; build it again"),
    ],
)
def test_an_engine_and_its_record_belong_together(
    artifact: Artifact, edit: Callable[[Path], None], message: str
) -> None:
    folder = add(artifact).folder
    edit(folder)
    write_manifest(folder, variant_of=sha256(artifact.folder / "manifest.json"))
    with pytest.raises(InvalidInput, match=message):
        read_variant(folder)


def test_a_proof_of_another_engine_is_refused(artifact: Artifact) -> None:
    folder = add(artifact).folder
    edited(certificates=artifact.card.certificates)(folder)  # those of the graph
    write_manifest(folder, variant_of=sha256(artifact.folder / "manifest.json"))
    with pytest.raises(InvalidInput, match="the proof of the engine .* is of another file, or failed"):
        read_variant(folder)


def test_a_changed_engine_is_seen(artifact: Artifact) -> None:
    engine = add(artifact)
    with engine.file.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(InvalidInput, match=r"model\.plan is not the file that was written there"):
        read_variant(engine.folder)


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), ExportError, "the disk is full"),
        (ExportError("the library died"), ExportError, "the library died"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
    ],
)
def test_nothing_is_half_written(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch, fault: BaseException, error: Any, message: str | None
) -> None:
    """Neither the first engine nor a later one."""

    def stopped(job: Job, **options: Any) -> Built:
        Path(job.engine).write_bytes(b"half an engine")
        raise fault

    before = files(artifact.folder)
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(checked, "built", stopped)
            with pytest.raises(error, match=message):
                add(artifact)
        assert files(artifact.folder) == before
        add(artifact)
        before = files(artifact.folder)


def test_one_for_the_gpu_here_is_run_and_proven(
    artifact: Artifact, images: list[Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By stand-ins for the build and the GPU: it answers as ONNX Runtime does."""

    def on_a_gpu(job: Job, **options: Any) -> Built:
        assert (job.library, job.compute_capabilities) == ("tensorrt", ())
        Path(job.engine).write_bytes(b"an engine")
        layer = Layer(name="conv", type="CaskConvolution", precision="float32", types=("float32",))
        return Built(
            version="10.5.0",
            compute_capabilities=("8.6",),
            gpu="A GPU",
            workspace=1,
            bindings=(),
            layers=(layer,),
            seconds=1,
        )

    def runner(library: Library, engine: Path, *, gpu: str) -> GraphRunner:
        graph = onnx.load(artifact.model)
        found = GraphRunner(
            graph, {each.name: each.name for each in graph.graph.output}, sha256=sha256(engine)
        )
        found.name = f"an engine on {gpu}"
        return found

    monkeypatch.setattr(engine_module, "check_here", lambda target: None)
    monkeypatch.setattr(checked, "built", on_a_gpu)
    monkeypatch.setattr(engine_module, "runner_here", runner)
    stages: list[str] = []
    engine = add_engine(
        artifact, target_of("local"), images=images, images_from="samples", proving=stages.append
    )
    assert engine.plan.state == "run on A GPU"
    assert {certificate.candidate for certificate in engine.plan.certificates} == {"an engine on A GPU"}
    assert stages
    read_variant(engine.folder)


def test_what_a_killed_build_left_is_in_nobodys_way(artifact: Artifact) -> None:
    draft = artifact.folder / "variants" / ".float32.draft"
    draft.mkdir(parents=True)
    (draft / "model.plan").write_bytes(b"half an engine")
    assert variants_of(artifact.folder) == ()
    assert read_artifact(artifact.folder) == artifact
    assert add(artifact).file.stat().st_size > 10_000
    assert not draft.exists()


def test_what_tensorrt_does_not_run(artifact: Artifact, images: list[Pixels]) -> None:
    for name in ("fp61", "", "..", "../goldens"):
        with pytest.raises(UnknownName, match=rf"no variant of .* named '{name}'\. .*Known: float32"):
            add(artifact, name)
    folder = add_half(artifact, images)
    record = Variant.model_validate_json((folder / "variant.json").read_text())
    for precision, advice in (("int8", "its int8 variant for TensorRT"), ("bf16", "an engine of fp16")):
        changed = record.model_copy(update={"runtime": "openvino", "precision": precision})
        (folder / "variant.json").write_text(changed.model_dump_json())
        write_manifest(folder, variant_of=sha256(artifact.folder / "manifest.json"))
        with pytest.raises(InvalidInput, match=f"for openvino in {precision}, which .* not take; .*{advice}"):
            add(artifact, "half")
