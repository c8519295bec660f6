"""Edits of a repository, or of what decodes on the server, that once went unnoticed until wrong answers came:
each is refused before the model is called served.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from tests.exports import Exports
from tests.serving.conftest import photo
from tests.serving.repository.repositories import config_of
from torch import Tensor, nn

from regard.contract import preprocess
from regard.contract.answers import Classes
from regard.contract.card import Card, Origin
from regard.contract.goldens import write_answers
from regard.contract.image_input import ImageInput
from regard.contract.manifest import write_manifest
from regard.contract.reading import card_from_file
from regard.errors import InvalidInput, ServerError
from regard.export.artifact import Artifact
from regard.serving.repository import add, check_model
from regard.serving.repository.drafts import link_folder
from regard.serving.triton.backends import files

NAME = "places"
IMAGES = f"{NAME}_image"


class Places(nn.Module):
    """Sees every pixel where it is: (B, 3, 16, 16) -> (B, 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3 * 16 * 16, 5)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.fc(x.flatten(start_dim=1))
        return scores


def places(exports: Exports, **changes: Any) -> Artifact:
    torch.manual_seed(0)
    contract = ImageInput(
        **{"height": 16, "width": 16, "resize": "center_crop", "crop": 0.875, "max_batch": 2} | changes
    )
    card = Card(
        name=NAME,
        inputs=(contract,),
        answer=Classes(labels=tuple("abcde")),
        origin=Origin(builder="tests:Places"),
    )
    return exports.of(Places().eval(), card, [photo(seed, 60, 80) for seed in range(4)])


@pytest.fixture
def repository(tmp_path: Path, exports: Exports) -> Path:
    add(places(exports), tmp_path / "repository", instances=1)
    return tmp_path / "repository"


def replace(path: Path, text: str) -> None:
    """Another file in the place of one that may be linked elsewhere."""
    draft = path.with_name("draft")
    draft.write_text(text)
    os.replace(draft, path)


def edit_card(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change the Card of a version, and make its manifest agree."""
    card = json.loads((folder / "card.json").read_text())
    edit(card)
    replace(folder / "card.json", json.dumps(card))
    write_manifest(folder)


def stale_graph(repository: Path, other: Artifact) -> None:
    version = repository / NAME / "1"
    (version / "model.onnx").unlink()
    (version / "model.onnx").write_bytes(other.model.read_bytes())
    write_manifest(version)


def other_mean(repository: Path, other: Artifact) -> None:
    """A whole version of another export, in the place of the one that was added."""
    version = repository / NAME / "1"
    for path in sorted(version.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    version.rmdir()
    link_folder(other.folder, version)


def other_crop(repository: Path, other: Artifact) -> None:
    edit_card(repository / IMAGES / "1", lambda card: card["inputs"][0].update(crop=0.9))


def permuted_labels(repository: Path, other: Artifact) -> None:
    config = config_of(repository / NAME)
    card = json.loads(config.parameters["card"].string_value)
    card["answer"]["labels"].reverse()
    config.parameters["card"].string_value = json.dumps(card)
    (repository / NAME / "config.pbtxt").write_text(text_format.MessageToString(config))


def label_file(repository: Path, other: Artifact) -> None:
    (repository / NAME / "labels.txt").write_text("a\nb\nd\nc\ne\n")


def copied_version(repository: Path, other: Artifact) -> None:
    link_folder(repository / NAME / "1", repository / NAME / "2")
    edit_card(repository / NAME / "2", lambda card: card["answer"]["labels"].reverse())


FILE_EDITS: dict[str, tuple[Callable[[Path, Artifact], None], str, str]] = {
    "stale graph": (stale_graph, NAME, r"1/model\.onnx is not the graph that its proof names"),
    "other mean": (other_mean, NAME, "is not the Card of the newest version"),
    "other crop": (other_crop, IMAGES, "differs from the model's Card in input"),
    "permuted labels": (
        permuted_labels,
        NAME,
        r"the Card in .*pbtxt differs from card\.json in answer",
    ),
    "labels.txt": (label_file, NAME, r"labels\.txt says 'd' in line 3, the Card 'c'"),
    "copied version": (copied_version, NAME, r"2/card\.json differs from the model's Card in answer"),
}


@pytest.mark.parametrize(("edit", "endpoint", "message"), FILE_EDITS.values(), ids=FILE_EDITS.keys())
def test_files_that_contradict_each_other(
    repository: Path,
    exports: Exports,
    edit: Callable[[Path, Artifact], None],
    endpoint: str,
    message: str,
) -> None:
    check_model(repository, endpoint)
    edit(repository, places(exports, mean=(0.4, 0.4, 0.4)))
    with pytest.raises(InvalidInput, match=message):
        check_model(repository, endpoint)


# what is written in preprocess.py, and what stands there instead
DECODING_EDITS = {
    "draft mode": (
        "    check_size(image.height, image.width)\n    return image\n",
        '    check_size(image.height, image.width)\n    image.draft("RGB", (16, 16))\n    return image\n',
    ),
    "crop off by one": ("left, top = (scaled[0] - width) // 2,", "left, top = (scaled[0] - width) // 2 + 1,"),
    "BGR": ("    pixels = np.asarray(image)\n", "    pixels = np.asarray(image)[..., ::-1]\n"),
    "nearest": ('"bilinear": Image.Resampling.BILINEAR', '"bilinear": Image.Resampling.NEAREST'),
    "no antialias": (
        "return image.resize((width, height), INTERPOLATIONS[interpolation], box=box)",
        "return image.transform((width, height), Image.Transform.EXTENT, box, INTERPOLATIONS[interpolation])",
    ),
    "EXIF ignored": ("return int(image.getexif().get(0x0112, 1))", "return 1"),
}


@pytest.mark.parametrize("edit", DECODING_EDITS.values(), ids=DECODING_EDITS.keys())
def test_another_preprocessing_on_the_server(
    tmp_path: Path,
    exports: Exports,
    embedded: Any,
    monkeypatch: pytest.MonkeyPatch,
    edit: tuple[str, str],
) -> None:
    source = Path(preprocess.__file__).read_text()
    assert source.count(edit[0]) == 1
    edited = tmp_path / "edited" / "preprocess.py"
    edited.parent.mkdir()
    edited.write_text(source.replace(*edit))
    others = files.FILES["regard_image"][:-1]
    monkeypatch.setitem(files.FILES, "regard_image", (*others, edited))
    add(places(exports), tmp_path / "repository", instances=1, endpoints="image")
    with (
        pytest.raises(ServerError, match="does not answer its goldens as it was exported"),
        embedded(tmp_path / "repository"),
    ):
        pytest.fail("it is served")


def test_a_version_that_answers_otherwise_gives_way(
    repository: Path, exports: Exports, embedded: Any, connect: Any
) -> None:
    """Its files agree with each other; only what it answers is not what was exported."""
    told: list[str] = []
    with embedded(repository, strict=False, report=told.append) as server:
        added = add(places(exports), repository)
        for endpoint in added.endpoints:
            goldens = repository / endpoint / "2" / "goldens"
            other = {path.name: np.full(5, 0.2, np.float32) for path in goldens.glob("*.[jp]*g")}
            (goldens / "answers.npz").unlink()
            write_answers(goldens / "answers.npz", other)
            (repository / endpoint / "2" / "manifest.json").unlink()
            write_manifest(repository / endpoint / "2")
        server.update(at_once=True)
        with connect(server.grpc_url) as infer:
            pixels = np.zeros((1, 16, 16, 3), np.uint8)
            assert infer(NAME, pixels, model_version="1").as_numpy("probabilities").shape == (1, 5)
        assert server.served[NAME] == (1,)
    assert any("version 2 refused: version 2 does not answer its goldens" in line for line in told)
    assert card_from_file(repository / NAME / "2" / "card.json").proven
