"""What is written for a Card with texts, frames, words or a state, and what is refused of it."""

import sys
from pathlib import Path
from typing import Any

import pytest
from tests.serving.repository.repositories import config_of
from tests.serving.triton import tiny_families

from regard.errors import InvalidInput
from regard.serving.evaluate.data import find_data
from regard.serving.repository import add, check_model, listing, remove
from regard.serving.repository.config import to_text
from regard.serving.tune.candidates import find_candidates

SESSIONS = """\
sequence_batching {
  max_sequence_idle_microseconds: 30000000
  control_input {
    name: "start"
    control {
      fp32_false_true: 0.0
      fp32_false_true: 1.0
    }
  }
  oldest {
    max_candidate_sequences: 64
  }
  state {
    input_name: "memory"
    output_name: "next_memory"
    data_type: TYPE_FP32
    dims: 1
    dims: -1
    dims: -1
    initial_state {
      data_type: TYPE_FP32
      dims: 1
      dims: 1
      dims: 1
      zero_data: true
      name: "memory"
    }
  }
}
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "repository"


def tensors(config: Any, kind: str) -> dict[str, list[int]]:
    return {each.name: [*each.dims] for each in getattr(config, kind)}


def test_a_state_is_kept_by_sequences(tmp_path: Path, repository: Path) -> None:
    added = add(tiny_families.summing(tmp_path / "made", idle=30), repository)
    assert added.endpoints == ("summing", "summing_image")
    for endpoint in added.endpoints:
        config = config_of(repository / endpoint)
        assert SESSIONS in to_text(config)
        assert (config.max_batch_size, [*config.model_warmup]) == (1, [])
        assert tensors(config, "output") == {"label_map": [-1, -1]}
        check_model(repository, endpoint)
    assert tensors(config_of(repository / "summing"), "input") == {"image": [-1, -1, 3]}
    config = config_of(repository / "summing")
    config.sequence_batching.state[0].dims[0] = 2
    (repository / "summing" / "config.pbtxt").write_text(to_text(config))
    with pytest.raises(InvalidInput, match=r"state memory \('next_memory', \[2, -1, -1\]\)"):
        check_model(repository, "summing")


def test_texts_beside_an_image_or_alone(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["regard.serving.repository.add"], "cut", tiny_families.steps_of_counting)
    asking = add(tiny_families.asking(tmp_path / "asking"), repository)
    counting = add(tiny_families.counting_down(tmp_path / "counting"), repository, name="down")
    watching = add(tiny_families.watching(tmp_path / "watching"), repository)
    assert asking.endpoints == ("asking", "asking_image")
    assert counting.endpoints == ("down", "down_text", "down_stream")
    inputs = {
        name: tensors(config_of(repository / name), "input")
        for added in (asking, counting, watching)
        for name in added.endpoints
    }
    assert inputs == {
        "asking": {"image": [8, 8, 3], "question": [-1]},
        "asking_image": {"encoded_image": [1], "question": [1]},
        "down": {"tokens": [-1]},
        "down_text": {"tokens": [1]},
        "down_stream": {"tokens": [1]},
        "watching": {"frames": [3, 8, 8, 3]},
        "watching_image": {"encoded_image": [3]},
    }
    assert config_of(repository / "asking").max_batch_size == 4  # the least of its inputs'
    assert tensors(config_of(repository / "down_text"), "output")["text"] == [1]
    assert config_of(repository / "down_stream").model_transaction_policy.decoupled
    names = {path.name for path in (repository / "down_stream" / "1").iterdir()}
    assert {"encode.onnx", "step.onnx"} <= names
    for name in inputs:
        check_model(repository, name)
    assert [(entry.name, len(entry.endpoints)) for entry in listing(repository)] == [
        ("asking", 2),
        ("down", 3),
        ("watching", 2),
    ]
    second = add(tiny_families.counting_down(tmp_path / "again"), repository, name="down")
    assert (second.version, second.endpoints) == (2, counting.endpoints)
    remove(repository, "down")
    assert not [*repository.glob("down*")]


def test_a_version_that_is_asked_otherwise(tmp_path: Path, repository: Path) -> None:
    add(tiny_families.summing(tmp_path / "made"), repository)
    with pytest.raises(InvalidInput, match="its state is {'idle_seconds': 5.0}, not {'idle_seconds': 60.0}"):
        add(tiny_families.summing(tmp_path / "other", idle=5), repository)


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (tiny_families.summing, {"batching": True}, "takes the steps of its sessions one by one"),
        (tiny_families.summing, {"accelerator": "tensorrt"}, "is for segmentation in sessions; leave"),
        (tiny_families.asking, {"accelerator": "tensorrt"}, "is for question_answering; leave"),
        (tiny_families.counting_down, {"endpoints": "image"}, "must be one of tensor, text, both"),
        (tiny_families.asking, {"name": "a_stream"}, "must not end in _stream"),
    ],
)
def test_what_cannot_be_asked_for(
    tmp_path: Path, repository: Path, make: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        add(make(tmp_path / "made"), repository, **options)


def test_commands_of_single_images_say_so(tmp_path: Path) -> None:
    artifact = tiny_families.summing(tmp_path / "made")
    with pytest.raises(InvalidInput, match="summing is for segmentation, takes image, and keeps a state"):
        find_candidates(artifact.folder)
    asking = tiny_families.asking(tmp_path / "asking")
    with pytest.raises(InvalidInput, match="takes image and question: `regard verify` holds it"):
        find_data(tmp_path, asking.card)
