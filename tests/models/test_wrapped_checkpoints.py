"""Checkpoints as training scripts leave them: the weights in them are found, said, and never guessed."""

import argparse
import collections
import datetime as dt
import pathlib
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import Tensor, nn

from regard.errors import InvalidInput, InvalidWeights
from regard.models.checkpoint import load_weights, read_state_dict, save_weights
from regard.models.former_names import former_name
from regard.models.load import resolve

State = dict[str, Tensor]


def network() -> nn.Module:
    return nn.Sequential(
        collections.OrderedDict(conv1=nn.Conv2d(3, 4, 3), bn1=nn.BatchNorm2d(4), fc=nn.Linear(4, 2))
    )


def weights(seed: int = 1) -> State:
    torch.manual_seed(seed)
    return network().state_dict()


def loaded(path: Path, key: str | None = None) -> tuple[nn.Module, list[str]]:
    """A network with a file's weights, and what was said on the way, without the file's name."""
    said: list[str] = []
    found = network()
    load_weights(found, read_state_dict(path, key, report=said.append), source=str(path), report=said.append)
    return found, [line.removeprefix(f"{path}: ") for line in said]


def same(found: nn.Module, expected: State) -> bool:
    return all(torch.equal(value, expected[name]) for name, value in found.state_dict().items())


def beginning(start: str, state: State) -> State:
    return {start + name: value for name, value in state.items()}


OPTIMIZER = {
    "state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(4)}},
    "param_groups": [{"lr": 1}],
}


@pytest.mark.parametrize(
    "place",
    ["state_dict", "model", "model_state_dict", "net", "params", "ema", "state_dict_ema", "student", "a.b"],
)
def test_a_state_dict_inside_others(place: str, tmp_path: Path) -> None:
    content: dict[str, Any] = {"epoch": 3, "optimizer": OPTIMIZER, "rng": torch.zeros(8), "best": 0.5}
    outer, _, inner = place.partition(".")
    content[outer] = {inner: weights()} if inner else weights()
    torch.save(content, tmp_path / "w.pt")
    found, said = loaded(tmp_path / "w.pt")
    assert same(found, weights())
    assert said == [f"took {place}, 9 tensors"]


@pytest.mark.parametrize(
    ("start", "stripped"),
    [
        *((start, [start]) for start in ("module.", "model.", "_orig_mod.", "backbone.", "net.encoder.")),
        ("module._orig_mod.model.", ["_orig_mod.", "module.model."]),
    ],
)
def test_what_a_wrapper_puts_before_the_names(start: str, stripped: list[str], tmp_path: Path) -> None:
    torch.save(beginning(start, weights()), tmp_path / "w.pth")
    found, said = loaded(tmp_path / "w.pth")
    assert same(found, weights())
    assert said == [f"stripped {part} of the names" for part in stripped]


def test_a_part_that_was_compiled_apart(tmp_path: Path) -> None:
    state = {name.replace("bn1.", "bn1._orig_mod."): value for name, value in weights().items()}
    torch.save(state, tmp_path / "w.pt")
    found, said = loaded(tmp_path / "w.pt")
    assert same(found, weights())
    assert said == ["stripped _orig_mod. of the names"]


def lightning(path: Path) -> None:
    """As Lightning writes it, with a loss that has weights."""
    torch.save(
        {
            "epoch": 2,
            "global_step": 10,
            "pytorch-lightning_version": "2.4.0",
            "state_dict": beginning("model.", weights()) | {"criterion.weight": torch.ones(2)},
            "loops": {"fit_loop": {"state_dict": {}}},
            "callbacks": {"ModelCheckpoint{'monitor': 'loss'}": {"best_model_score": torch.tensor(0.1)}},
            "optimizer_states": [OPTIMIZER],
            "lr_schedulers": [],
            "hparams_name": "kwargs",
            "hyper_parameters": {"lr": 0.1, "root": pathlib.PosixPath("data")},
        },
        path,
    )


def test_lightning(tmp_path: Path) -> None:
    lightning(tmp_path / "w.ckpt")
    found, said = loaded(tmp_path / "w.ckpt")
    assert same(found, weights())
    assert said == [
        "took state_dict, 10 tensors",
        "stripped model. of the names",
        "left out 1 beside them (criterion.weight)",
    ]


@pytest.mark.parametrize("other", ["ema", "model"])
def test_two_candidates_are_not_guessed_between(other: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({"state_dict": weights(1), other: weights(2)}, path)
    with pytest.raises(InvalidWeights, match=rf"holds several state dicts, state_dict, {other}; name one as"):
        loaded(path)
    for seed, key in ((1, "state_dict"), (2, other)):
        found, said = loaded(path, key)
        assert same(found, weights(seed))
        assert said == [f"took {key}, 9 tensors"]
    with pytest.raises(InvalidWeights, match=rf"nothing under the key 'net'.*state_dict, {other}"):
        loaded(path, "net")


def test_two_networks_in_one_state_dict_are_not_guessed_between(tmp_path: Path) -> None:
    path = tmp_path / "w.ckpt"
    both = beginning("model.", weights(1)) | beginning("model_ema.module.", weights(2))
    torch.save({"state_dict": both, "epoch": 1}, path)
    with pytest.raises(
        InvalidWeights, match=r"Sequential several times, as model, model_ema\.module; name one"
    ):
        loaded(path)
    assert same(loaded(path, "model")[0], weights(1))
    assert same(loaded(path, "state_dict.model_ema.module")[0], weights(2))


def test_names_that_only_nearly_fit_are_told_as_they_would_be_stripped(tmp_path: Path) -> None:
    state = beginning("module.", weights())
    del state["module.fc.bias"]
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(InvalidWeights, match=r"does not fit Sequential: 1 keys missing \(fc\.bias\)$"):
        loaded(tmp_path / "w.pt")


@pytest.mark.parametrize("name", ["w.bin", "w.pth.tar", "w.ckpt", "w.pth", "anything"])
@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_any_name(name: str, zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / name
    torch.save({"state_dict": weights()}, path, _use_new_zipfile_serialization=zipped)
    assert same(loaded(path)[0], weights())


HARMLESS: dict[str, Any] = {
    "Namespace": argparse.Namespace(lr=0.1, root=pathlib.Path("data"), nested=argparse.Namespace(a=[1])),
    "SimpleNamespace": types.SimpleNamespace(a=1),
    "OrderedDict": collections.OrderedDict(a=1),
    "defaultdict": collections.defaultdict(list, {"loss": [np.float64(1.0)]}),
    "Counter": collections.Counter("aab"),
    "numpy numbers": [np.float64(1.5), np.float32(2.5), np.int64(3), np.bool_(True)],
    "numpy arrays": np.arange(3),
    "paths": [pathlib.PurePosixPath("a"), pathlib.PureWindowsPath("b"), Path("c")],
    "times": [dt.datetime(2026, 1, 1), dt.timedelta(1), dt.date(2026, 1, 1)],
    "sets and ranges": [{1}, range(3), slice(1)],
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", HARMLESS)
def test_harmless_values_beside_the_tensors(kind: str, zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save({"args": HARMLESS[kind], "model": weights()}, path, _use_new_zipfile_serialization=zipped)
    assert same(loaded(path)[0], weights())


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("omegaconf.dictconfig", "DictConfig"),
        ("mmengine.logging.history_buffer", "HistoryBuffer"),
        ("pathlib._local", "PosixPath"),  # as Python 3.13 writes it
    ],
)
def test_harmless_values_of_what_is_not_installed(
    module: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.pt"
    with monkeypatch.context() as installed:
        parts = module.split(".")
        for depth in range(1, len(parts) + 1):
            part = ".".join(parts[:depth])
            if part not in sys.modules:
                installed.setitem(sys.modules, part, types.ModuleType(part))
        kind = type(name, (), {"__module__": module})
        installed.setattr(sys.modules[module], name, kind, raising=False)
        value = kind()
        value.content = {"a": [1]}
        torch.save({"config": value, "state_dict": weights()}, path)
    assert same(loaded(path)[0], weights())


def test_a_newer_pickle_protocol(tmp_path: Path) -> None:
    torch.save({"model": weights()}, tmp_path / "w.pt", pickle_protocol=4)
    with pytest.raises(InvalidWeights, match="save it again with torch.save's own"):
        loaded(tmp_path / "w.pt")


@pytest.mark.parametrize("before", [True, False])
def test_a_class_that_is_not_listed_is_named(before: bool, tmp_path: Path) -> None:
    path, other = tmp_path / "w.pt", {"other": nn.ReLU()}
    torch.save(other | {"model": weights()} if before else {"model": weights()} | other, path)
    with pytest.raises(InvalidWeights, match=r"more than tensors \(torch\.nn\.modules\.activation\.ReLU\)"):
        loaded(path)


def test_numpy_arrays_in_place_of_tensors_are_no_state_dict(tmp_path: Path) -> None:
    torch.save({"model": {name: value.numpy() for name, value in weights().items()}}, tmp_path / "w.pt")
    with pytest.raises(InvalidWeights, match=r"holds no state dict .*; it holds model"):
        loaded(tmp_path / "w.pt")


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight


def test_tied_weights_that_safetensors_saved_once(tmp_path: Path) -> None:
    saved, found, said = Tied(), Tied(), []
    save_model(saved, str(tmp_path / "w.safetensors"))
    state = read_state_dict(tmp_path / "w.safetensors")
    assert len(state) == 3
    load_weights(found, state, source="here", report=said.append)
    assert same(found, saved.state_dict())
    assert said == ["here: filled second.weight, one tensor with another in the network"]
    load_weights(found, beginning("model.", state), source="here")
    with pytest.raises(InvalidWeights, match=r"first\.weight and second\.weight are one tensor: they differ"):
        load_weights(found, saved.state_dict() | {"second.weight": torch.zeros(4, 4)}, source="here")


def test_tied_weights_are_saved_once(tmp_path: Path) -> None:
    saved, found = Tied(), Tied()
    save_weights(saved, tmp_path / "w.safetensors")
    load_weights(found, read_state_dict(tmp_path / "w.safetensors"), source="here")
    assert same(found, saved.state_dict())


def test_a_file_that_unpacks_to_more_than_itself(tmp_path: Path) -> None:
    torch.save({"model": weights(), "fill": torch.zeros(100_000)}, tmp_path / "plain.pt")
    with (
        zipfile.ZipFile(tmp_path / "plain.pt") as plain,
        zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    assert same(loaded(tmp_path / "plain.pt")[0], weights())
    with pytest.raises(InvalidWeights, match="bytes and unpacks to 4.*torch.save compresses nothing"):
        loaded(tmp_path / "packed.pt")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_torchscript_archive(tmp_path: Path) -> None:
    torch.jit.trace(network().eval()[0], torch.zeros(1, 3, 8, 8)).save(tmp_path / "w.pt")
    with pytest.raises(InvalidWeights, match="TorchScript archive"):
        loaded(tmp_path / "w.pt")


def test_a_network_of_the_catalog(tmp_path: Path) -> None:
    name = "resnet18?classes=3&width=8"
    trained, _ = resolve(name, weights="random")
    path = tmp_path / "w.pth.tar"
    torch.save({"model": beginning("module.", trained.state_dict()), "ema": {"w": torch.ones(2, 2)}}, path)
    said: list[str] = []
    found, card = resolve(name, weights=str(path), key="model", report=said.append)
    assert same(found, trained.state_dict())
    assert said == [
        f"{path}: took model, {len(trained.state_dict())} tensors",
        f"{path}: stripped module. of the names",
    ]
    (tmp_path / "w.json").write_text(card.updated(name="beside").to_json())
    assert resolve(name, weights=str(path), key="model")[1].name == "beside"
    with pytest.raises(InvalidInput, match="the key 'model' names a part of a file of weights; give one"):
        resolve(name, weights="random", key="model")


def test_former_names_behind_a_wrapper(tmp_path: Path) -> None:
    """As torchvision names them, saved under DataParallel."""
    name = "resnet18?classes=3&width=8"
    trained, _ = resolve(name, weights="random")
    former = {former_name(trained, key): value for key, value in trained.state_dict().items()}
    assert former.keys() != trained.state_dict().keys()
    torch.save(beginning("module.", former), tmp_path / "w.pt")
    found, _ = resolve(name, weights=str(tmp_path / "w.pt"))
    assert same(found, trained.state_dict())


def test_safetensors_with_a_wrapper_before_the_names(tmp_path: Path) -> None:
    save_file(beginning("model.", weights()), tmp_path / "w.safetensors")
    assert same(loaded(tmp_path / "w.safetensors")[0], weights())
