"""`regard bench` against a real server: every way in, the comparison, and what it refuses."""

import io
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from regard.contract.answers import Classes, LabelMap
from regard.errors import InvalidInput, ServerUnreachable, UnknownName
from regard.serving.bench.compare import Compared
from regard.serving.bench.load import Load
from regard.serving.bench.measure import Level, Settings, closed_loop, open_loop
from regard.serving.bench.picture import draw, figure_of
from regard.serving.bench.report import Report, machine, notes, versions
from regard.serving.bench.run import Options, bench, check_agreement
from regard.serving.bench.statistics import Estimate
from regard.serving.bench.target import Target, find_target, workers
from regard.serving.bench.triton_times import ModelTime, ServerTime, between
from regard.serving.cli.bench import bench as command
from regard.serving.cli.bench_tables import compared_table, tables
from regard.serving.protocol.address import address_of
from regard.serving.protocol.connect import connect
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.wire import Fault
from regard.serving.triton.ports import free_ports

QUICK = Settings(duration=0.2, repeats=2)
LONGER = (QUICK, Settings(duration=2, repeats=2), Settings(duration=20, repeats=2))


def measured(run: Callable[[Settings], Level], enough: Callable[[Level], bool]) -> Level:
    """A short measurement that saw enough; on a busy machine a longer one."""
    level = next((level for level in map(run, LONGER) if enough(level)), None)
    assert level is not None, "too little was measured in 40 s"
    return level


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small images of one size."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for index in range(3):
        Image.fromarray(random.integers(0, 256, (64, 96, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    return folder


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def shared_memory() -> set[str]:
    """The regions of this process."""
    return {path.name for path in Path("/dev/shm").glob(f"regard_bench_{os.getpid()}_*")}


@pytest.mark.parametrize(
    ("protocol", "endpoint", "shared", "batch"),
    [
        ("grpc", "image", False, 1),
        ("grpc", "tensor", True, 2),
        ("http", "image", True, 1),
        ("http", "tensor", False, 2),
    ],
)
def test_every_way_in(served, photos: Path, protocol: str, endpoint: str, shared: bool, batch: int) -> None:
    options = Options(
        served.classifier,
        url=served.grpc_url if protocol == "grpc" else served.http_url,
        protocol=protocol,
        endpoint=endpoint,
        shared_memory=shared,
        batch=batch,
        images=photos,
        concurrency=(2,),
    )
    level = measured(
        lambda settings: bench(replace(options, settings=settings)).levels[0],
        lambda level: level.requests > 0 and level.server is not None,
    )
    assert level.errors == {}
    assert 0 < level.p50.value <= level.p90.value <= level.p99.value
    assert level.server is not None
    names = {f"{served.classifier}_image" if endpoint == "image" else served.classifier}
    assert {model.model for model in level.server.models} == names
    assert all(model.compute_infer > 0 for model in level.server.models)
    assert level.response_bytes < 500
    assert (level.request_bytes < 600) == shared  # the pixels and the photos are larger
    assert not shared_memory()


def test_the_servers_counts_and_times_are_those_of_the_requests(served, photos: Path) -> None:
    """Windows cut requests in two; here all of them lie between two snapshots, and the counts are equal."""
    target = target_of(served, photos, served.segmenter)
    start, before = time.perf_counter(), target.snapshot()
    with workers(target, 2) as prepared, Load(prepared) as load:
        wait_for(lambda: len(load.records()) >= 20)
    sent = len(load.records())
    # a request is counted a moment after it was answered
    wait_for(
        lambda: target.snapshot()[served.segmenter]["requests"] >= before[served.segmenter]["requests"] + sent
    )
    server = between(before, target.snapshot(), served.segmenter)
    assert server is not None
    assert server.requests == sent
    (model,) = server.models
    assert 0 < model.compute_infer < model.total <= server.total < 1e3 * (time.perf_counter() - start)


def test_throughput_is_of_the_windows(served, photos: Path) -> None:
    level = closed_loop(target_of(served, photos, served.classifier), 1, QUICK)
    assert level.throughput.value == pytest.approx(level.requests / 0.4)


def test_an_open_loop_offers_what_was_asked(served, photos: Path) -> None:
    level = open_loop(target_of(served, photos, served.classifier), 30, QUICK)
    assert level.kind == "open"
    assert level.unanswered == 0
    assert level.errors == {}
    assert level.p50.value > 0
    assert level.late >= 0


def test_errors_are_counted_and_shown(served, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = target_of(served, photos, served.classifier)
    sender = target.connection.sender(10.0)
    probes = len(target.images)  # sent before the load, and refused by none

    def run(settings: Settings) -> Level:
        calls = count()

        def flaky(request):
            number = next(calls)
            if number >= probes and number % 2:
                raise Fault("UNAVAILABLE", "planted")
            return sender(request)

        monkeypatch.setattr(target.connection, "sender", lambda timeout: flaky)
        return closed_loop(target, 1, settings)

    level = measured(run, lambda level: 0 < level.p50.n < level.requests)
    assert level.errors["UNAVAILABLE: planted"] >= level.requests - level.p50.n
    assert any("requests failed" in note and "planted" in note for note in notes(report_of(level)))


def test_a_saturated_client_is_said(served, photos: Path) -> None:
    level = closed_loop(target_of(served, photos, served.classifier), 1, QUICK)
    assert not any("may be the limit" in note for note in notes(report_of(replace(level, client_cpu=0.3))))
    assert any("may be the limit" in note for note in notes(report_of(replace(level, client_cpu=0.95))))


def test_a_model_by_its_endpoint_for_images(served, photos: Path) -> None:
    connection = connect(address_of(served.grpc_url), Credentials())
    images = [path.read_bytes() for path in sorted(photos.iterdir())]
    for endpoint, name in (("image", f"{served.classifier}_image"), ("tensor", served.classifier)):
        target = find_target(
            connection,
            f"{served.classifier}_image",
            endpoint=endpoint,
            batch=1,
            images=images,
            shared_memory=False,
        )
        assert target.name == name
    connection.close()


def test_what_is_said_of_a_load() -> None:
    """Figures that cannot be are said to be none, and unsteady ones are marked in the picture."""
    wild = Estimate(2.0, 5.0, 2)
    level = Level(
        kind="closed",
        load=1.0,
        throughput=wild,
        p50=wild,
        p90=wild,
        p99=wild,
        requests=2,
        errors={},
        unanswered=0,
        late=0.0,
        warm_up_windows=12,
        steady=False,
        client_cpu=0.1,
        mean_latency=2.0,
        server=ServerTime(2, 0, 2.5, (ModelTime("m", 0.0, 0.0, 2.6, 0.0, 1.0),)),
        request_bytes=1,
        response_bytes=1,
    )
    report = report_of(level, replace(level, load=2.0, steady=True, server=None))
    told = "\n".join(notes(report))
    assert "1 client: not steady" in told
    assert "1 client: wire and client came out at -0.50 ms, below zero" in told
    assert "1 client: the rest of the server came out at -0.10 ms, below zero" in told
    assert "2 clients" not in told
    console = Console(width=80, force_terminal=True, file=io.StringIO(), record=True)
    console.print(tables(report))
    assert "2 clients" in console.export_text()
    for axes in figure_of(report).axes:
        lowest = min(segment[:, 1].min() for bars in axes.collections for segment in bars.get_segments())
        assert lowest == 0
        legend = axes.get_legend()
        assert legend is not None
        assert [text.get_text() for text in legend.get_texts()].count("not steady") == 1


def test_json_and_picture(served, photos: Path, tmp_path: Path) -> None:
    target = target_of(served, photos, served.classifier)
    report = report_of(closed_loop(target, 1, QUICK), open_loop(target, 20, QUICK))
    fields = json.loads(report.to_json())
    assert [level["kind"] for level in fields["levels"]] == ["closed", "open"]
    assert {"rest", "client_saturated"} <= fields["levels"][0].keys()
    draw(report, tmp_path / "bench.png")
    with Image.open(tmp_path / "bench.png") as picture:
        assert min(picture.size) > 500
    with pytest.raises(InvalidInput, match=r"\.png"):
        draw(report, tmp_path / "bench.xyz")
    with pytest.raises(InvalidInput, match="cannot write"):
        draw(report, tmp_path / "bench.png" / "another.png")


def test_compare_and_the_command(served, photos: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(command)
    arguments = [served.classifier, "--url", served.grpc_url, "--images", str(photos), "--concurrency", "2"]
    arguments += ["--compare", "torch,onnxruntime,triton", "--repository", str(served.repository)]
    arguments += ["--repeats", "2", "--record", str(tmp_path / "b.json")]
    for settings in LONGER:
        result = CliRunner().invoke(
            app, [*arguments, "--duration", str(settings.duration)], catch_exceptions=False
        )
        assert result.exit_code == 0
        compared = json.loads((tmp_path / "b.json").read_text())["compared"]
        if all(runner["throughput"]["value"] > 0 for runner in compared):
            break
    assert "onnxruntime" in result.stdout
    found = {runner["name"]: runner for runner in compared}
    assert found.keys() == {"torch", "onnxruntime", "triton"}
    assert found["onnxruntime"]["ratio"]["value"] == 1.0
    assert all(runner["throughput"]["value"] > 0 and not runner["errors"] for runner in compared)


def test_runners_keep_their_names_in_a_narrow_terminal() -> None:
    wide = Estimate(123_456.0, 12_345.0, 3)
    console = Console(width=72, record=True, file=io.StringIO())
    compared = Compared(
        name="onnxruntime",
        workers=1,
        batch=1,
        throughput=wide,
        ratio=wide,
        p50=wide,
        p99=wide,
        rounds_p50=(1.0,),
        client_cpu=1.0,
        errors=0,
    )
    console.print(compared_table([compared]))
    assert "onnxruntime" in console.export_text()


def test_runners_that_disagree_are_not_compared() -> None:
    one = [np.array([[0.9, 0.1]], np.float32)]
    classes, label_map = Classes(labels=("a", "b")), LabelMap(labels=("a", "b"))
    check_agreement(classes, {"a": one, "b": [one[0] * 0.9]})
    with pytest.raises(InvalidInput, match=r"a and b agree on 0\.0 %"):
        check_agreement(classes, {"a": one, "b": [np.array([[0.1, 0.9]], np.float32)]})
    sizes = {"a": [np.zeros((1, 4, 4), np.uint8)], "b": [np.zeros((1, 4, 5), np.uint8)]}
    with pytest.raises(InvalidInput, match="agree"):
        check_agreement(label_map, sizes)


def test_another_repository_is_refused(served, photos: Path, tmp_path: Path) -> None:
    options = Options(
        served.classifier,
        url=served.grpc_url,
        images=photos,
        concurrency=(),
        compare=("onnxruntime", "triton"),
        repository=tmp_path,
    )
    with pytest.raises(InvalidInput, match="the server's own repository"):
        bench(options)


def test_bad_input(served, photos: Path, tmp_path: Path) -> None:
    good = Options(served.classifier, url=served.grpc_url, images=photos)
    for name in ("nosuch", "nosuch_image"):
        for endpoint in ("image", "tensor"):
            with pytest.raises(UnknownName, match=f"no model named '{name}'"):
                bench(replace(good, model=name, endpoint=endpoint))
    with pytest.raises(ServerUnreachable, match="regard serve"):
        bench(replace(good, url=f"127.0.0.1:{free_ports(1)[0]}"))
    with pytest.raises(InvalidInput, match="holds 1 to .* images, got 99"):
        bench(replace(good, batch=99))
    with pytest.raises(InvalidInput, match="no images"):
        bench(replace(good, images=tmp_path))
    with pytest.raises(InvalidInput, match="host:port"):
        bench(replace(good, url="127.0.0.1"))
    (tmp_path / "broken.png").write_bytes((photos / "0.png").read_bytes()[:60])
    with pytest.raises(InvalidInput, match="image"):
        bench(replace(good, images=tmp_path, concurrency=(1,)))


@pytest.mark.parametrize(
    "changes",
    [
        {"concurrency": (0,)},
        {"rates": (-1.0,)},
        {"concurrency": (), "rates": ()},
        {"compare": ("torch",)},
        {"url": "10.0.0.1:8001", "shared_memory": True},
    ],
)
def test_options_that_make_no_sense(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        Options("m", **changes)


def test_an_unknown_runner_is_named() -> None:
    with pytest.raises(UnknownName, match="onnxruntime"):
        Options("m", compare=("onnxruntim", "torch"))


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(InvalidInput, match="repeats"):
        Settings(repeats=0)


def target_of(served, photos: Path, model: str) -> Target:
    """The tensor endpoint over gRPC."""
    images = [path.read_bytes() for path in sorted(photos.iterdir())]
    return find_target(
        connect(address_of(served.grpc_url, "grpc"), Credentials()),
        model,
        endpoint="tensor",
        batch=1,
        images=images,
        shared_memory=False,
    )


def report_of(*levels) -> Report:
    """A report of these levels."""
    return Report("m", "grpc", "tensor", False, 1, 3, 0.2, 2, levels, (), machine(), versions())
