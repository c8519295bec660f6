"""The variants to choose among, what is known of them, and what keeps others out."""

from pathlib import Path

import pytest
from tests.serving.variants import variant_of

from regard.errors import InvalidInput, UnknownName
from regard.export.artifact import Artifact
from regard.serving.tune import candidates
from regard.serving.tune.accuracy import recorded
from regard.serving.tune.candidates import find_candidates


def test_float32_and_its_variants_with_what_their_proofs_say(colour: Artifact) -> None:
    variant_of(colour, "small", precision="int8", runtime="onnxruntime", answers=False)
    found = find_candidates(colour.folder)
    assert [(each.name, each.agreement) for each in found.able] == [("float32", 1.0), ("small", 1.0)]
    assert found.able[1].artifact.precision == "int8"
    accuracy = recorded(found.able)
    assert (accuracy.measured, accuracy.values) == (False, {"float32": 1.0, "small": 1.0})
    assert accuracy.good == {"float32", "small"}
    assert [each.name for each in find_candidates(colour.folder, ["small"]).able] == ["small"]


def test_a_runtime_that_is_not_installed(colour: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    variant_of(colour, "fast", precision="bf16", answers=False)
    monkeypatch.setattr(candidates, "find_spec", lambda name: None if name == "openvino" else name)
    found = find_candidates(colour.folder)
    assert [each.name for each in found.able] == ["float32"]
    assert "pip install 'regard[openvino]'" in found.left_out["fast"]
    with pytest.raises(InvalidInput, match="fast cannot be served here: openvino is not installed"):
        find_candidates(colour.folder, ["float32", "fast"])


def test_the_extra_that_brings_onnx_runtime(colour: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    variant_of(colour, "small", precision="int8", runtime="onnxruntime", answers=False)
    monkeypatch.setattr(candidates, "find_spec", lambda name: None)
    assert find_candidates(colour.folder).left_out["small"].endswith("pip install 'regard[cpu]'")


def test_names_that_there_are_not(colour: Artifact, tmp_path: Path) -> None:
    variant_of(colour, "small", precision="int8", runtime="onnxruntime", answers=False)
    with pytest.raises(UnknownName, match="no variant named 'smal'. Did you mean 'small'"):
        find_candidates(colour.folder, ["smal"])
    with pytest.raises(InvalidInput, match="is one variant; name its artifact"):
        find_candidates(colour.folder / "variants" / "small")
    with pytest.raises(InvalidInput, match="no exported model"):
        find_candidates(tmp_path)
