"""A request's waterfall: its stages, their sum on a real server, and what is said where it is not right."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from regard.errors import InvalidInput, UnknownName
from regard.serving.bench import follow as follow_module
from regard.serving.bench.follow import follow
from regard.serving.bench.inside import Reading, metrics_of, reading_in
from regard.serving.bench.measure import Settings
from regard.serving.bench.report import Report, machine, versions, waterfall_notes
from regard.serving.bench.run import Options, bench
from regard.serving.bench.target import Endpoint, find_target
from regard.serving.bench.triton_times import ModelTime, ServerTime
from regard.serving.bench.waterfall import ClientTime, Stage, Waterfall, stages_of
from regard.serving.bench.waterfall_picture import waterfall_figure
from regard.serving.cli.bench import bench as command
from regard.serving.protocol.address import address_of
from regard.serving.protocol.connect import connect
from regard.serving.protocol.credentials import Credentials
from regard.serving.triton.ports import free_ports

# on a busy machine a few requests prove little
LONGER = tuple(Settings(duration=seconds, repeats=2) for seconds in (0.2, 2, 10))
CLIENT = ClientTime(whole=10.0, encode=0.5, round_trip=9.0, read=0.5)
SERVER = ServerTime(100, 0, 8.0, (ModelTime("m_image", 1.0, 0.5, 6.0, 0.5, 1.0),))
INNER = {"decode": 2.0, "fit": 1.0, "infer": 2.5}
ALL = ["client", "wire", "queue", "input", "decode", "fit", "infer", "handover", "output", "back"]
WITHOUT_INNER = [name for name in ALL if name not in ("decode", "fit", "handover")]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small images."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for index in range(3):
        Image.fromarray(random.integers(0, 256, (64, 96, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    return folder


def waterfall(client: ClientTime = CLIENT, server: ServerTime = SERVER, **changes: object) -> Waterfall:
    found = Waterfall(
        load="2 clients",
        requests=100,
        served=100,
        failed=0,
        clock=client.whole,
        stages=stages_of(client, server, INNER),
        left_out={},
    )
    return replace(found, **changes)


def test_stages_in_their_order_add_up() -> None:
    found = waterfall()
    assert found.stages == tuple(map(Stage, ALL, (0.5, 1.0, 1.0, 0.5, 2.0, 1.0, 2.5, 0.5, 0.5, 0.5)))
    assert (found.sum, found.apart, found.adds_up) == (10.0, 0.0, True)
    assert waterfall_notes(found) == []


def test_stages_that_the_server_does_not_tell_are_left_out() -> None:
    found = stages_of(CLIENT, SERVER, None)
    assert [stage.name for stage in found] == WITHOUT_INNER
    assert sum(stage.time for stage in found) == 10.0


def test_an_ensemble_is_one_row_of_stages() -> None:
    steps = (ModelTime("a", 0.5, 0.1, 3.0, 0.1, 1.0), ModelTime("b", 0.5, 0.4, 2.0, 0.4, 1.0))
    found = {stage.name: stage.time for stage in stages_of(CLIENT, ServerTime(9, 0, 8.0, steps), None)}
    assert found["queue"] == 1.0
    assert found["infer"] == 5.0
    assert found["between"] == pytest.approx(1.0)
    assert sum(found.values()) == pytest.approx(10.0)


def test_clocks_that_overlap_do_not_add_up_and_that_is_said() -> None:
    found = waterfall(replace(CLIENT, round_trip=7.0, whole=8.0))
    assert {stage.name: stage.time for stage in found.stages}["wire"] == 0.0
    assert (found.sum, found.adds_up) == (9.0, False)
    (note,) = waterfall_notes(found)
    assert "add up to 9.00 ms and the client's clock says 8.00, 12 % apart where 5 % are allowed" in note
    assert "do not add up" in found.told


def test_what_else_is_said() -> None:
    left_out = {"decode": "reason", "fit": "reason", "handover": "another"}
    notes = waterfall_notes(waterfall(served=103, failed=2, left_out=left_out))
    assert notes[0].endswith("means over 103 requests, of which 100 were ours")
    assert notes[1:] == [
        "2 requests failed and are in no stage",
        "no decode, fit: reason",
        "no handover: another",
    ]


def test_each_bar_begins_where_the_last_ends() -> None:
    good, wrong = waterfall(), waterfall(replace(CLIENT, round_trip=7.0, whole=8.0))
    report = Report("m", "grpc", "image", False, 1, 3, 0.2, 2, (), (), machine(), versions(), (good, wrong))
    first, second = waterfall_figure(report).axes
    bars = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in first.patches]
    assert bars[0][0] == 0
    assert [start for start, _ in bars[1:]] == pytest.approx([end for _, end in bars[:-1]])
    assert bars[-1][1] == pytest.approx(10.0)
    assert [label.get_text() for label in first.get_yticklabels()] == ALL
    assert first.title.get_color() != second.title.get_color()
    assert "do not add up" in second.get_title()
    with pytest.raises(InvalidInput, match="no request was followed"):
        waterfall_figure(replace(report, waterfalls=()))


def test_the_counters_of_one_endpoint_in_all_its_versions() -> None:
    page = """# TYPE regard_image_stage_seconds counter
regard_image_stage_seconds{model="a_image",stage="decode",version="1"} 0.5
regard_image_stage_seconds{model="a_image",stage="decode",version="2"} 0.25
regard_image_stage_seconds{model="a_image",stage="infer",version="2"} 1e-3
regard_image_stage_seconds{model="b_image",stage="decode",version="1"} 7
nv_inference_count{model="a_image",version="1"} 9
regard_image_stage_requests{model="a_image",version="1"} 3
regard_image_stage_requests{model="a_image",version="2"} 4
"""
    assert reading_in(page, "a_image") == Reading(7, {"decode": 0.75, "fit": 0.0, "infer": 0.001})
    assert reading_in("", "a_image") == Reading(0, {"decode": 0.0, "fit": 0.0, "infer": 0.0})


def test_where_the_metrics_are() -> None:
    server = address_of("grpc://vision.example:443")
    assert metrics_of(server, None).url == "http://vision.example:8002"
    assert metrics_of(server, "other:9000").url == "http://other:9000"
    assert metrics_of(server, "https://other/triton/metrics").url == "https://other:443/triton"
    with pytest.raises(InvalidInput, match="contradicts"):
        metrics_of(server, "grpc://other")


@pytest.mark.parametrize(
    ("protocol", "endpoint", "kind", "load"),
    [
        ("grpc", "image", "closed", 2),
        ("http", "image", "closed", 1),
        ("grpc", "image", "open", 50),
        ("http", "tensor", "closed", 2),
    ],
)
def test_a_served_models_stages_add_up(
    served, photos: Path, protocol: str, endpoint: Endpoint, kind: str, load: float
) -> None:
    url = served.grpc_url if protocol == "grpc" else served.http_url
    connection = connect(address_of(url, protocol), Credentials())
    images = [path.read_bytes() for path in sorted(photos.iterdir())]
    target = find_target(
        connection, served.segmenter, endpoint=endpoint, batch=1, images=images, shared_memory=False
    )
    metrics = address_of(served.metrics_url, "http")
    for settings in LONGER:
        found = follow(target, kind, load, settings, metrics)
        if found.adds_up:
            break
    connection.close()
    assert found.apart <= 0.05, found
    assert found.requests > 0
    assert found.served >= found.requests
    assert found.failed == 0
    times = {stage.name: stage.time for stage in found.stages}
    assert list(times) == (ALL if endpoint == "image" else WITHOUT_INNER)
    assert all(time >= 0 for time in times.values())
    inside = ("decode", "infer") if endpoint == "image" else ("infer",)
    assert all(times[name] > 0 for name in ("client", "wire", "back", *inside))
    assert list(found.left_out) == ([] if endpoint == "image" else ["decode", "fit", "handover"])


def test_a_server_that_has_counted_other_requests(
    served, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind an address that several servers share: the statistics are those of one."""
    connection = connect(address_of(served.grpc_url), Credentials())
    images = [(photos / "0.png").read_bytes()]
    target = find_target(
        connection, served.classifier, endpoint="tensor", batch=1, images=images, shared_memory=False
    )
    now = target.snapshot()
    monkeypatch.setattr(type(target), "snapshot", lambda self: now)
    monkeypatch.setattr(follow_module, "COUNTED", 0.1)
    with pytest.raises(InvalidInput, match=r"counts 0 of \d+ requests: .*follow requests to one server"):
        follow(target, "closed", 1, LONGER[0], address_of(served.metrics_url, "http"))
    connection.close()


def test_without_the_servers_metrics_the_rest_is_shown(served, photos: Path) -> None:
    connection = connect(address_of(served.grpc_url), Credentials())
    target = find_target(
        connection,
        served.classifier,
        endpoint="image",
        batch=1,
        images=[(photos / "0.png").read_bytes()],
        shared_memory=False,
    )
    (port,) = free_ports(1)
    metrics = address_of(f"127.0.0.1:{port}", "http")
    found = follow(target, "closed", 1, LONGER[0], metrics)
    connection.close()
    assert [stage.name for stage in found.stages] == WITHOUT_INNER
    assert set(found.left_out) == {"decode", "fit", "handover"}
    assert f"no metrics at 127.0.0.1:{port}" in found.left_out["decode"]


def test_the_command(served, photos: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(command)
    arguments = [served.classifier, "--url", served.grpc_url]
    arguments += ["--metrics-url", f"http://{served.metrics_url}/metrics"]
    arguments += ["--images", str(photos), "--concurrency", "1,2", "--duration", "0.2", "--repeats", "2"]
    arguments += ["--waterfall", str(tmp_path / "w.png"), "--json"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    found = json.loads(result.stdout)["waterfalls"]
    assert [each["load"] for each in found] == ["1 client", "2 clients"]
    for each in found:
        assert [stage["name"] for stage in each["stages"]] == ALL
        assert each["sum"] == pytest.approx(sum(stage["time"] for stage in each["stages"]))
        assert each["adds_up"] == (each["apart"] <= 0.05)
    with Image.open(tmp_path / "w.png") as picture:
        assert min(picture.size) > 500


def test_what_goes_with_a_waterfall_and_what_does_not(served, photos: Path, tmp_path: Path) -> None:
    good = Options(served.classifier, url=served.grpc_url, images=photos, waterfall=True)
    with pytest.raises(InvalidInput, match="ask for one of the two"):
        replace(good, compare=("torch", "triton"))
    with pytest.raises(InvalidInput, match="leave shared memory out"):
        replace(good, shared_memory=True)
    with pytest.raises(InvalidInput, match="address"):
        replace(good, metrics="8002")
    with pytest.raises(UnknownName, match="no model named 'nosuch'"):
        bench(replace(good, model="nosuch"))
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, [served.classifier, "--waterfall", str(tmp_path / "w.gif")])
    assert isinstance(result.exception, InvalidInput)
