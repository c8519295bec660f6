"""What is loaded in place of what fails; real servers do it in test_watch.py and test_supervisor.py."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tritonclient.grpc.model_config_pb2 import ModelConfig

from regard.errors import InvalidInput, ServerError
from regard.serving.protocol.wire import Fault
from regard.serving.repository import check_model
from regard.serving.repository.engine_choice import Choice
from regard.serving.triton.control import ModelControl


class Server:
    """What a server has loaded. As Triton does, it keeps that when it refuses: here, files that say
    "broken".
    """

    def __init__(self, repository: Path) -> None:
        self.repository = repository
        self.has: dict[str, dict[int, str]] = {}
        self.batch: dict[str, int] = {}
        self.order: list[str] = []
        self.gone = False
        self.notices: dict[str, tuple[str, ...]] = {}

    def load(self, name: str, config: ModelConfig) -> str | None:
        if self.gone:
            raise Fault("UNAVAILABLE", "closed", answered=False)
        files = {
            version: (self.repository / name / str(version) / "file").read_text()
            for version in config.version_policy.specific.versions
        }
        if "broken" in files.values():
            return "it is broken"
        self.has[name] = files
        self.batch[name] = config.max_batch_size
        self.order.append(name)
        return None

    def unload(self, name: str) -> None:
        self.has.pop(name, None)


class Scene:
    """A repository, a server, and a judge that dislikes files that say "bad"."""

    def __init__(self, folder: Path, *, strict: bool = False) -> None:
        self.folder = folder
        self.server = Server(folder)
        self.told: list[str] = []
        self.control = ModelControl(
            folder,
            check=check_model,
            judge=self.judge,
            choose=lambda model, config, versions: Choice(config),
            report=self.told.append,
            strict=strict,
        )

    def judge(self, name: str, versions: tuple[int, ...]) -> str | None:
        if "odd" in self.server.has[name].values():
            raise InvalidInput("it is odd")
        bad = "bad" in self.server.has[name].values() or self.server.batch[name] == 99
        return "it is bad" if bad else None

    def put(self, name: str, version: int, text: str) -> None:
        (self.folder / name / str(version)).mkdir(parents=True, exist_ok=True)
        (self.folder / name / str(version) / "file").write_text(text)
        self.configure(name)

    def configure(self, name: str, text: str = "") -> None:
        file = self.folder / name / "config.pbtxt"
        if text or not file.exists():
            file.write_text(f'name: "{name}" {text}')

    def update(self) -> None:
        self.control.update(self.server, at_once=True)  # type: ignore[arg-type]

    def restore(self) -> None:
        self.control.restore(self.server)  # type: ignore[arg-type]

    @property
    def served(self) -> dict[str, tuple[int, ...]]:
        return {name: loaded.versions for name, loaded in self.control.served.items()}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    scene = Scene(tmp_path)
    scene.put("m", 1, "one")
    return scene


@pytest.mark.parametrize("text", ["bad", "odd", "broken"])
def test_the_version_before_answers_again(scene: Scene, text: str) -> None:
    scene.update()
    scene.put("m", 2, text)
    scene.update()
    assert scene.server.has == {"m": {1: "one"}}
    assert scene.told == [
        "m: version 1 loaded",
        f"m: version 2 refused: it is {text}; served instead: version 1",
    ]
    scene.update()
    assert len(scene.told) == 2  # it is tried again only when it changes
    scene.put("m", 2, "mended")
    scene.update()
    assert scene.server.has == {"m": {2: "mended"}}
    assert scene.told[2:] == ["m: version 2 loaded, version 1 unloaded"]


@pytest.mark.parametrize("text", ["bad", "broken"])
def test_a_new_model_answers_with_its_newest_good_version(scene: Scene, text: str) -> None:
    scene.put("m", 2, text)
    scene.put("m", 3, text)
    scene.put("n", 1, text)
    scene.update()
    assert scene.server.has == {"m": {1: "one"}}
    assert sorted(scene.told) == [
        f"m: version 3 refused: it is {text}; served instead: version 1",
        f"n: version 1 refused: it is {text}; nothing of it is served",
    ]
    assert scene.control.refused == dict.fromkeys(("m", "n"), f"it is {text}")


def test_a_version_changed_in_place(scene: Scene) -> None:
    scene.update()
    scene.put("m", 1, "broken")
    scene.update()
    assert scene.server.has == {"m": {1: "one"}}  # from memory
    assert scene.told[-1] == "m: version 1 refused: it is broken; served instead: version 1"
    scene.put("m", 1, "bad")
    scene.update()
    assert scene.server.has == {}
    assert scene.told[-1] == "m: version 1 refused: it is bad; nothing of it is served"


def test_a_configuration_that_proves_bad(scene: Scene) -> None:
    scene.configure("m", "max_batch_size: 4")
    scene.update()
    scene.configure("m", "max_batch_size: 99")
    scene.update()
    assert scene.server.batch == {"m": 4}
    assert scene.served == {"m": (1,)}
    assert scene.told[-1] == "m: version 1 refused: it is bad; served instead: version 1"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda model: (model / "config.pbtxt").unlink(), "has no config.pbtxt"),
        (lambda model: (model / "config.pbtxt").write_text("name ="), "cannot read"),
        (lambda model: (model / "config.pbtxt").write_text('name: "n"'), "a model is named as its folder"),
        (lambda model: shutil.rmtree(model / "1"), "has no version"),
    ],
)
def test_files_that_are_not_even_tried(scene: Scene, spoil: Callable[[Path], Any], reason: str) -> None:
    scene.update()
    spoil(scene.folder / "m")
    scene.update()
    assert reason in scene.told[-1]
    assert scene.told[-1].endswith("served instead: version 1")
    assert scene.server.has == {"m": {1: "one"}}


def test_what_calls_another_comes_after_it_and_waits_for_it(scene: Scene) -> None:
    scene.put("a", 1, "ensemble")
    scene.configure("a", 'ensemble_scheduling { step [{ model_name: "m" }, { model_name: "z" }] }')
    scene.update()
    assert scene.told == [
        "m: version 1 loaded",
        "a refused: it needs z, which is not served; nothing of it is served",
    ]
    scene.put("z", 1, "zed")
    scene.update()
    assert scene.server.order == ["m", "z", "a"]
    shutil.rmtree(scene.folder / "z")
    scene.update()
    assert scene.told[-2:] == [
        "z: version 1 unloaded",
        "a refused: it needs z, which is not served; nothing of it is served",
    ]
    assert set(scene.server.has) == {"m"}


def test_nothing_is_loaded_again_when_what_is_not_served_goes(scene: Scene) -> None:
    scene.put("m", 2, "two")
    scene.update()
    scene.put("m", 3, "bad")
    scene.update()
    said, loads = len(scene.told), len(scene.server.order)
    for version in (3, 1):
        shutil.rmtree(scene.folder / "m" / str(version))
        scene.update()
    assert (len(scene.told), len(scene.server.order)) == (said, loads)
    assert scene.control.refused == {}
    (scene.folder / "m" / "labels.txt").write_text("other")  # Triton reads it when it loads
    scene.update()
    assert scene.told[said:] == ["m: version 2 loaded"]


def test_a_policy_that_chooses_nothing(scene: Scene) -> None:
    scene.configure("m", "version_policy { specific { versions: 5 } }")
    scene.update()
    assert scene.control.refused == {"m": "its version_policy chooses none of its versions"}


def test_a_restart_loads_what_answered(scene: Scene) -> None:
    scene.put("a", 1, "ensemble")
    scene.configure("a", 'ensemble_scheduling { step { model_name: "m" } }')
    scene.put("gone", 1, "gone")
    scene.put("changed", 1, "good")
    scene.update()
    scene.put("m", 2, "bad")
    scene.update()
    scene.put("new", 1, "new")
    scene.put("changed", 1, "bad")
    shutil.rmtree(scene.folder / "gone")
    scene.server = Server(scene.folder)
    scene.server.gone = True
    served = scene.served
    with pytest.raises(Fault):
        scene.restore()
    assert scene.served == served
    scene.server.gone = False
    scene.restore()
    assert scene.server.has == {"m": {1: "one"}, "a": {1: "ensemble"}}
    assert scene.server.order.index("m") < scene.server.order.index("a")
    assert scene.served == {"m": (1,), "a": (1,)}


def test_of_several_that_were_being_loaded_when_the_server_ended_each_is_tried_alone(scene: Scene) -> None:
    scene.put("other", 1, "good")
    scene.server.gone = True
    with pytest.raises(Fault):
        scene.update()
    assert scene.told == ["the server ended or hung while it loaded m, other; each is tried alone now"]
    assert scene.control.refused == {}
    with pytest.raises(Fault):
        scene.update()
    assert set(scene.control.refused) == {"m"}  # alone, and the next is not tried any more
    scene.server.gone = False
    scene.update()
    assert scene.served == {"other": (1,)}
    assert set(scene.control.refused) == {"m"}


def test_what_was_being_loaded_when_the_server_ended_is_not_tried_again(scene: Scene) -> None:
    scene.server.gone = True
    with pytest.raises(Fault):
        scene.update()
    assert scene.told == [
        "m refused: the server ended or hung while it loaded this; it is tried again when its files change"
    ]
    scene.server.gone = False
    scene.update()
    assert scene.served == {}
    scene.put("m", 1, "other")
    scene.update()
    assert scene.served == {"m": (1,)}


def test_a_strict_one_raises_and_leaves_what_answers(tmp_path: Path) -> None:
    scene = Scene(tmp_path, strict=True)
    scene.put("m", 1, "one")
    scene.update()
    scene.put("m", 2, "bad")
    with pytest.raises(ServerError, match="model 'm': it is bad"):
        scene.update()
    assert scene.server.has == {"m": {1: "one"}}


def test_the_server_is_given_what_is_chosen(scene: Scene) -> None:
    """Not what the files say, which stay the measure of whether anything has changed; with a word on why."""

    def choose(model: Path, config: ModelConfig, versions: tuple[int, ...]) -> Choice:
        chosen = ModelConfig()
        chosen.CopyFrom(config)
        chosen.max_batch_size = 7
        return Choice(chosen, f"by the graph of {model.name}, {versions}")

    scene.control.choose = choose
    scene.server.notices["m"] = ("on the CPU",)
    scene.update()
    assert scene.server.batch == {"m": 7}
    assert scene.told == ["m: version 1 loaded", "m: by the graph of m, (1,)", "m: on the CPU"]
    assert scene.control.notes == {"m": ("by the graph of m, (1,)", "on the CPU")}
    scene.update()
    assert scene.server.order == ["m"]
    scene.restore()
    assert scene.server.batch == {"m": 7}
    assert scene.told[3:] == scene.told[:3]
    shutil.rmtree(scene.folder / "m")
    scene.update()
    assert scene.control.notes == {}


def test_a_choice_that_fails_refuses_the_model(scene: Scene) -> None:
    def choose(model: Path, config: ModelConfig, versions: tuple[int, ...]) -> Choice:
        raise InvalidInput("its Card is damaged")

    scene.control.choose = choose
    scene.update()
    assert scene.control.refused == {"m": "its Card is damaged"}
    assert scene.server.has == {}
