"""Adding an engine with its graph, or TensorRT as ONNX Runtime's accelerator; and what is refused."""

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.serving.repository.plans import plan_of, with_engine
from tests.serving.repository.repositories import config_of, tree
from tests.serving.variants import stripes, stripes_int8, variant_of
from tritonclient.grpc.model_config_pb2 import ModelConfig, ModelInstanceGroup
from typer.testing import CliRunner

from regard.contract.manifest import read_manifest
from regard.contract.plan import Binding, Profile, plan_in
from regard.errors import InvalidInput
from regard.export.artifact import Artifact
from regard.serving.cli.app import app
from regard.serving.repository import add, check_model, listing, remove, renew
from regard.serving.repository.releases import RELEASE, TENSORRT

ROOT = Path(__file__).parents[3]
BINDINGS = (
    Binding(direction="input", name="image", data_type="UINT8", shape=(-1, 8, 8, 3)),
    Binding(direction="output", name="probabilities", data_type="FP32", shape=(-1, 3)),
)


def accelerators_of(config: ModelConfig) -> dict[str, dict[str, str]]:
    found = config.optimization.execution_accelerators.gpu_execution_accelerator
    return {each.name: dict(each.parameters) for each in found}


def test_the_release_that_serves_is_known() -> None:
    assert RELEASE in TENSORRT


def test_an_engine_is_added_with_its_graph(tmp_path: Path, colour: Artifact) -> None:
    """Both endpoints hold both; that for tensors is the engine's, and that for images asks it on a GPU."""
    repository = tmp_path / "repository"
    added = add(with_engine(colour, bindings=BINDINGS), repository, backend="tensorrt")
    assert added.engine == plan_in(colour.folder)
    for endpoint in ("colour", "colour_image"):
        version = repository / endpoint / "1"
        for file in ("model.onnx", "model.plan", "plan.json"):
            assert (version / file).read_bytes() == (colour.folder / file).read_bytes()
            assert file in read_manifest(version).files
        check_model(repository, endpoint)
    config, image = (config_of(repository / endpoint) for endpoint in ("colour", "colour_image"))
    assert (config.backend, config.default_model_filename) == ("tensorrt", "model.plan")
    assert [(group.kind, group.count) for group in config.instance_group] == [
        (ModelInstanceGroup.KIND_GPU, 1)
    ]
    assert (image.backend, image.default_model_filename) == ("regard_image", "model.onnx")
    assert image.instance_group[0].kind == ModelInstanceGroup.KIND_AUTO
    assert image.parameters["model"].string_value == "colour"
    assert "compute" not in image.parameters
    (entry,) = listing(repository)
    assert (entry.backend, entry.proof, entry.max_batch) == ("tensorrt", "proven", 8)
    assert renew(repository) == ()


def test_the_engine_of_a_variant(tmp_path: Path) -> None:
    artifact = stripes(tmp_path / "stripes")
    graph = stripes_int8(artifact)
    variant = variant_of(artifact, "int8", precision="int8", runtime="onnxruntime", graph=graph)
    add(with_engine(variant), tmp_path / "repository", backend="tensorrt")
    assert (tmp_path / "repository" / "stripes" / "1" / "variant.json").is_file()
    check_model(tmp_path / "repository", "stripes")


def test_versions_of_one_model_are_all_engines(tmp_path: Path, colour: Artifact) -> None:
    """The newest one's profiles are used; instances and batching stay, unless they are given."""
    repository = tmp_path / "repository"
    add(with_engine(colour), repository, backend="tensorrt", instances=2)
    before = tree(repository)
    with pytest.raises(InvalidInput, match="are computed by tensorrt, and this one is for onnxruntime"):
        add(colour, repository)
    assert tree(repository) == before
    small = Profile(least=(1, 8, 8, 3), best=(1, 8, 8, 3), most=(1, 8, 8, 3))
    large = Profile(least=(1, 8, 8, 3), best=(8, 8, 8, 3), most=(8, 8, 8, 3))
    add(with_engine(colour, profiles=(small, large)), repository, backend="tensorrt")
    config = config_of(repository / "colour")
    assert [(group.count, [*group.profile]) for group in config.instance_group] == [(2, ["0", "1"])]
    assert [each.batch_size for each in config.model_warmup] == [1, 8]
    add(with_engine(colour, profiles=(small, large)), repository, backend="tensorrt", instances=3, threads=2)
    config = config_of(repository / "colour")
    assert [(group.count, [*group.profile]) for group in config.instance_group] == [(3, ["0", "1"])]
    assert set(config.parameters) == {"card"}
    add(colour, repository, name="graph")
    with pytest.raises(InvalidInput, match="are computed by onnxruntime, and this one is for tensorrt"):
        add(with_engine(colour), repository, name="graph", backend="tensorrt")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another graph": ({"graph_sha256": "0" * 64}, r"was built from another graph \(SHA-256 000000000000"),
    "another precision": ({"precision": "fp16"}, "computes in fp16, and its graph in float32; build the"),
    "TensorRT-RTX": (
        {"library": "tensorrt_rtx", "version": "1.7.1.116"},
        "is an engine of TensorRT-RTX 1.7.1.116, and Triton's `tensorrt` backend loads TensorRT's own alone",
    ),
    "another version": (
        {"version": "10.8.0.43"},
        "was built by TensorRT 10.8.0.43, and Triton 24.10, which serves, has 10.5.0; build it inside",
    ),
    "smaller batches": (
        {"profiles": (Profile(least=(1, 8, 8, 3), best=(4, 8, 8, 3), most=(4, 8, 8, 3)),)},
        r"takes images \[1, 8, 8, 3\] to \[4, 8, 8, 3\], and the Card promises \[1, 8, 8, 3\] to \[8, 8",
    ),
    "another type": (
        {"bindings": (BINDINGS[0], BINDINGS[1].model_copy(update={"data_type": "FP16"}))},
        r"the engine has the output probabilities FP16 \[-1, 3\], its graph the output probabilities FP32",
    ),
    "another shape": (
        {"bindings": (BINDINGS[0].model_copy(update={"shape": (-1, 3, 8, 8)}), BINDINGS[1])},
        r"the engine has the input image UINT8 \[-1, 3, 8, 8\], its graph the input image UINT8 \[-1, 8, 8",
    ),
    "nothing told": ({"bindings": ()}, "the engine has no image, its graph the input image UINT8"),
    "no output": ({"bindings": BINDINGS[:1]}, "the engine has no probabilities, its graph the output"),
}


@pytest.mark.parametrize(("changes", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_an_engine_that_could_not_serve(
    tmp_path: Path, colour: Artifact, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        add(with_engine(colour, **changes), tmp_path / "repository", backend="tensorrt")
    assert not (tmp_path / "repository").exists()
    add(with_engine(colour, **changes), tmp_path / "repository")  # the graph alone is still what it was
    assert not (tmp_path / "repository" / "colour" / "1" / "model.plan").exists()


def test_without_an_engine_or_its_record(tmp_path: Path, colour: Artifact) -> None:
    repository = tmp_path / "repository"
    with pytest.raises(
        InvalidInput, match=r"has no model\.plan beside its graph: build an engine of it first"
    ):
        add(colour, repository, backend="tensorrt")
    artifact = with_engine(colour)
    (colour.folder / "plan.json").write_text("{")
    with pytest.raises(InvalidInput, match=r"plan\.json is damaged .* build the engine again"):
        add(artifact, repository, backend="tensorrt")
    (colour.folder / "plan.json").unlink()
    with pytest.raises(InvalidInput, match=r"has no plan\.json beside its graph"):
        add(artifact, repository, backend="tensorrt")
    assert not repository.exists()


def test_a_full_disk_leaves_nothing(
    tmp_path: Path, colour: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, copy = tmp_path / "repository", shutil.copyfile
    add(colour, repository, name="other")
    artifact = with_engine(colour)
    before = tree(tmp_path)

    def full(source: Path, target: Path, **options: Any) -> None:
        if Path(target).name == "model.plan":
            target.write_bytes(b"an")
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        copy(source, target, **options)

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(InvalidInput, match="No space left on device; nothing half-written was made visible"):
        add(artifact, repository, backend="tensorrt")
    assert tree(tmp_path) == before


def test_what_does_not_go_together(tmp_path: Path, colour: Artifact) -> None:
    repository, engine = tmp_path / "repository", with_engine(colour)
    openvino = variant_of(colour, "bf16", precision="bf16")
    cases: list[tuple[Artifact, dict[str, Any], str]] = [
        (engine, {"backend": "tensorrt", "accelerator": "tensorrt"}, "an engine needs no accelerator"),
        (engine, {"backend": "tensorrt", "endpoints": "image"}, "answers at the endpoint for tensors"),
        (engine, {"backend": "tensorflow"}, "backend must be one of onnxruntime, tensorrt, got 'tensorflow'"),
        (engine, {"accelerator": "cuda"}, "accelerator must be one of tensorrt, got 'cuda'"),
        (openvino, {"backend": "onnxruntime"}, "is for openvino alone; leave backend and accelerator out"),
        (openvino, {"accelerator": "tensorrt"}, "is for openvino alone"),
    ]
    for artifact, options, words in cases:
        with pytest.raises(InvalidInput, match=words):
            add(artifact, repository, **options)
    assert not repository.exists()


def test_tensorrt_as_an_accelerator(tmp_path: Path, largest: Artifact) -> None:
    """By the names of NVIDIA's C++ backend; shapes from the Card, the precision from the artifact."""
    repository = tmp_path / "repository"
    add(largest, repository, accelerator="tensorrt")
    found = accelerators_of(config_of(repository / "largest"))
    assert found == {
        "cuda": {"use_tf32": "0"},
        "tensorrt": {
            "precision_mode": "FP32",
            "max_workspace_size_bytes": "1073741824",
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": "/engine_cache",
            "trt_profile_min_shapes": "image:1x16x16x3",
            "trt_profile_opt_shapes": "image:4x48x64x3",
            "trt_profile_max_shapes": "image:4x128x128x3",
        },
    }
    assert accelerators_of(config_of(repository / "largest_image")) == found
    check_model(repository, "largest")
    assert (
        f"install -d -m 1777 {found['tensorrt']['trt_engine_cache_path']}"
        in (ROOT / "docker" / "Dockerfile").read_text()
    )


@pytest.mark.parametrize(("precision", "mode"), [("fp16", "FP16"), ("int8", "INT8")])
def test_the_precision_of_a_variant(tmp_path: Path, precision: Any, mode: str) -> None:
    artifact = stripes(tmp_path / "stripes")
    variant = variant_of(artifact, precision, precision=precision, runtime="onnxruntime")
    add(variant, tmp_path / "repository", accelerator="tensorrt")
    found = accelerators_of(config_of(tmp_path / "repository" / "stripes"))
    assert found["tensorrt"]["precision_mode"] == mode


def test_a_later_version_brings_the_accelerator(tmp_path: Path, colour: Artifact) -> None:
    repository = tmp_path / "repository"
    add(colour, repository)
    assert accelerators_of(config_of(repository / "colour")) == {"cuda": {"use_tf32": "0"}}
    add(colour, repository, accelerator="tensorrt")
    add(colour, repository)
    assert [*accelerators_of(config_of(repository / "colour"))] == ["cuda", "tensorrt"]


@pytest.mark.parametrize("accelerated", ["before", "now"])
def test_a_later_version_of_another_precision(tmp_path: Path, accelerated: str) -> None:
    """One configuration tells TensorRT the precision of all versions."""
    repository, artifact = tmp_path / "repository", stripes(tmp_path / "stripes")
    variant = variant_of(artifact, "fp16", precision="fp16", runtime="onnxruntime")
    add(variant, repository, name="stripes", accelerator="tensorrt" if accelerated == "before" else None)
    before = tree(repository)
    with pytest.raises(InvalidInput, match=r"in one precision, so far fp16, and this one is in float32; add"):
        add(artifact, repository, accelerator="tensorrt" if accelerated == "now" else None)
    assert tree(repository) == before
    if accelerated == "now":
        assert add(artifact, repository).version == 2  # each graph computes as it says


def test_the_profiles_of_a_removed_version_go_with_it(tmp_path: Path, colour: Artifact) -> None:
    repository = tmp_path / "repository"
    add(with_engine(colour), repository, backend="tensorrt")
    before = config_of(repository / "colour")
    single = Profile(least=(1, 8, 8, 3), best=(1, 8, 8, 3), most=(1, 8, 8, 3))
    profiles = (single, *plan_of(colour.card, graph_sha256=colour.sha256).profiles)
    add(with_engine(colour, profiles=profiles), repository, backend="tensorrt")
    assert [*config_of(repository / "colour").instance_group[0].profile] == ["0", "1"]
    remove(repository, "colour", version=2)
    assert config_of(repository / "colour") == before


def test_commands(tmp_path: Path, colour: Artifact) -> None:
    with_engine(colour)
    repository = str(tmp_path / "repository")

    def regard(*arguments: str) -> str:
        result = CliRunner().invoke(app, [*arguments, "--repository", repository], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    added = json.loads(regard("repo", "add", str(colour.folder), "--backend", "tensorrt", "--json"))
    assert added["endpoints"] == ["colour", "colour_image"]
    assert added["engine"] == {"library": "tensorrt", "version": "10.5.0.18", "run": False}
    told = regard("repo", "add", str(colour.folder), "--backend", "tensorrt")
    assert "by its engine of TensorRT 10.5.0.18: built, not run" in " ".join(told.split())
    regard("repo", "add", str(colour.folder), "--name", "fast", "--accelerator", "tensorrt", "--json")
    assert "tensorrt" in accelerators_of(config_of(tmp_path / "repository" / "fast"))
