"""Weights on disk: nothing in a file runs, and every misfit is named."""

import contextlib
import io
import os
import pickle
import random
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from regard.contract.digest import sha256
from regard.errors import InvalidWeights
from regard.models.checkpoint import load_weights, read_state_dict, save_weights


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return os.mkdir, (str(self.witness),)


def bytes_of(content: object, **options: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def refuse(path: Path, content: bytes, message: str | None = None) -> None:
    path.write_bytes(content)
    with pytest.raises(InvalidWeights, match=message) as caught:
        read_state_dict(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_round_trip(tmp_path: Path) -> None:
    saved, loaded = network(), network()
    nn.init.normal_(saved[0].weight)
    digest = save_weights(saved, tmp_path / "w.safetensors")
    assert digest == sha256(tmp_path / "w.safetensors")
    load_weights(loaded, read_state_dict(tmp_path / "w.safetensors"), source="w")
    for key, value in saved.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[key])


def test_half_precision_is_stored_and_widened(tmp_path: Path) -> None:
    saved, loaded = network(), network()
    save_weights(saved, tmp_path / "w.safetensors", torch.float16)
    stored = load_file(tmp_path / "w.safetensors")
    assert stored["0.weight"].dtype == torch.float16
    assert stored["1.num_batches_tracked"].dtype == torch.int64
    load_weights(loaded, read_state_dict(tmp_path / "w.safetensors"), source="w")
    assert loaded[0].weight.dtype == torch.float32
    assert torch.equal(loaded[0].weight, saved[0].weight.half().float())


def test_saving_leaves_the_network_and_no_draft(tmp_path: Path) -> None:
    saved = network().to(memory_format=torch.channels_last)
    save_weights(saved, tmp_path / "w.safetensors", torch.float16)
    assert saved[0].weight.dtype == torch.float32
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_saving_replaces_whole(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(network(), path)
    before = path.read_bytes()
    with pytest.raises(NotImplementedError, match="meta"):
        save_weights(nn.Linear(2, 2, device="meta"), path)
    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrap", [False, True])
def test_reads_pytorch_files(tmp_path: Path, zipped: bool, wrap: bool) -> None:
    state = network().state_dict()
    path = tmp_path / "w.pt"
    path.write_bytes(
        bytes_of({"state_dict": state, "epoch": 3} if wrap else state, _use_new_zipfile_serialization=zipped)
    )
    read = read_state_dict(path)
    assert read.keys() == state.keys()
    assert all(torch.equal(read[key], value) for key, value in state.items())


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_is_refused_and_does_not_run(tmp_path: Path, zipped: bool) -> None:
    witness = tmp_path / "it_ran"
    for content in (
        Evil(witness),
        {"w": torch.zeros(1), "x": Evil(witness)},
        OrderedDict(state_dict={"x": Evil(witness)}),
    ):
        refuse(
            tmp_path / "evil.pt",
            bytes_of(content, _use_new_zipfile_serialization=zipped),
            "would run its code.*safetensors",
        )
        assert not witness.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("suffix", ["pt", "pth", "bin", "pkl", "safetensors"])
def test_a_bare_pickle_is_refused_and_does_not_run(tmp_path: Path, suffix: str) -> None:
    witness = tmp_path / "it_ran"
    refuse(tmp_path / f"evil.{suffix}", pickle.dumps({"w": Evil(witness)}))
    assert not witness.exists()


def test_the_pickle_would_have_run(tmp_path: Path) -> None:
    """The two tests above can fail: unpickled without care, it leaves its witness."""
    pickle.loads(pickle.dumps(Evil(tmp_path / "it_ran")))
    assert (tmp_path / "it_ran").exists()


def test_a_whole_model_is_refused(tmp_path: Path) -> None:
    refuse(tmp_path / "model.pt", bytes_of(network()), "more than tensors")


@pytest.mark.parametrize("name", ["none.safetensors", "none.pt"])
def test_missing_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidWeights, match=rf"cannot read the weights .*{name}: No such file"):
        read_state_dict(tmp_path / name)


@pytest.mark.parametrize("name", ["folder.safetensors", "folder.pt"])
def test_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(InvalidWeights, match="cannot read the weights"):
        read_state_dict(tmp_path / name)


@pytest.mark.parametrize("suffix", ["safetensors", "pt", "pth"])
@pytest.mark.parametrize(
    "content",
    [b"", b"\0", b"hello world\n", b"{}", b"PK\x03\x04", b"\x80\x02", b"\xff" * 64, b"<!DOCTYPE html>"],
    ids=lambda v: repr(v)[:12],
)
def test_files_of_something_else(tmp_path: Path, suffix: str, content: bytes) -> None:
    refuse(tmp_path / f"w.{suffix}", content)


@pytest.mark.parametrize("form", ["safetensors", "zip", "legacy"])
def test_truncated_anywhere(tmp_path: Path, form: str) -> None:
    path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pt")
    if form == "safetensors":
        save_weights(network(), path)
        whole = path.read_bytes()
    else:
        whole = bytes_of(network().state_dict(), _use_new_zipfile_serialization=form == "zip")
    for length in [*range(0, len(whole), max(1, len(whole) // 97)), len(whole) - 1]:
        refuse(path, whole[:length])


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's, of an unusual pickle protocol
@pytest.mark.parametrize("form", ["safetensors", "zip", "legacy"])
def test_damaged_anywhere(tmp_path: Path, form: str) -> None:
    """Whatever a few flipped bytes do, only InvalidWeights comes out."""
    path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pt")
    save_weights(network(), path)
    whole = (
        path.read_bytes()
        if form == "safetensors"
        else bytes_of(network().state_dict(), _use_new_zipfile_serialization=form == "zip")
    )
    draw = random.Random(0)
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(draw.choice([1, 2, 5])):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        path.write_bytes(damaged)
        with contextlib.suppress(InvalidWeights):
            load_weights(network(), read_state_dict(path), source="w")


@pytest.mark.parametrize(
    "content",
    [[1, 2], {"a": 3}, {"a": torch.zeros(1), "b": "x"}, torch.zeros(2), None, 7, {0: torch.zeros(1)}],
)
def test_contents_that_are_no_state_dict(tmp_path: Path, content: object) -> None:
    refuse(tmp_path / "w.pt", bytes_of(content), "holds no state dict")


def test_missing_keys_are_named() -> None:
    state = network().state_dict()
    del state["0.bias"], state["2.weight"]
    with pytest.raises(
        InvalidWeights, match=r"^here does not fit Sequential: 2 keys missing \(0\.bias, 2\.weight\)$"
    ):
        load_weights(network(), state, source="here")


def test_unknown_keys_are_named() -> None:
    state = network().state_dict() | {"extra": torch.zeros(1)}
    with pytest.raises(InvalidWeights, match=r"1 keys unknown to the network \(extra\)"):
        load_weights(network(), state, source="here")


def test_shapes_are_named() -> None:
    state = network().state_dict()
    state["2.weight"] = torch.zeros(7, 4)
    with pytest.raises(InvalidWeights, match=r"2\.weight is \(7, 4\) in the file, \(2, 4\) in the network"):
        load_weights(network(), state, source="here")


def test_many_faults_are_shortened_and_all_kinds_named() -> None:
    state = {f"k{i}": torch.zeros(1) for i in range(9)} | {"0.weight": torch.zeros(1)}
    with pytest.raises(InvalidWeights) as caught:
        load_weights(network(), state, source="here")
    message = str(caught.value)
    assert "8 keys missing (0.bias, 1.bias, 1.num_batches_tracked, ...)" in message
    assert "9 keys unknown to the network (k0, k1, k2, ...)" in message
    assert "0.weight is (1,)" in message


def test_a_misfit_changes_nothing() -> None:
    target = network()
    before = {key: value.clone() for key, value in target.state_dict().items()}
    state = {key: value + 1 for key, value in before.items()}
    state["2.bias"] = torch.zeros(5)
    with pytest.raises(InvalidWeights):
        load_weights(target, state, source="here")
    assert all(torch.equal(value, before[key]) for key, value in target.state_dict().items())
