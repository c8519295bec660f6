"""`regard predict`, against the real server."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import typer
from client_fakes import half, png
from PIL import Image
from typer.testing import CliRunner

from regard.errors import InferenceError, InvalidInput, RegardError, ServerUnreachable, UnknownName
from regard.serving.cli.predict import predict
from regard.serving.client.output import predict_files, unique_names
from regard.serving.client.sync import Client
from regard.serving.triton.ports import free_ports
from regard.serving.triton.server import EmbeddedTriton


@pytest.fixture
def run(served):
    """Run the verb; returns its result, or raises what it raised."""
    app = typer.Typer()
    app.command()(predict)

    def command(*arguments, url=served.grpc_url):
        result = CliRunner().invoke(app, [*map(str, arguments), "--url", url], env={"COLUMNS": "200"})
        if isinstance(result.exception, RegardError):
            raise result.exception
        return result

    return command


@pytest.fixture
def folder(tmp_path):
    """Four images of which the third is broken."""
    path = tmp_path / "images"
    path.mkdir()
    for seed, name in enumerate(("a.png", "b.png", "c.png", "d.png")):
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 64, 3), dtype=np.uint8)
        (path / name).write_bytes(half() if name == "c.png" else png(pixels))
    return path


def test_classes_in_a_table(served, run, folder):
    result = run(served.classifier, folder / "b.png", folder / "a.png", "--top", 2)
    assert result.exit_code == 0
    assert result.stdout.index("b.png") < result.stdout.index("a.png")
    assert result.stdout.count("label ") == 4


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_json_keeps_order_and_names_the_bad_image(served, run, folder, protocol):
    url = served.grpc_url if protocol == "grpc" else served.http_url
    result = run(served.classifier, folder, "--json", "--protocol", protocol, url=url)
    assert result.exit_code == 1
    entries = json.loads(result.stdout)
    assert [entry["image"] for entry in entries] == [str(folder / f"{name}.png") for name in "abcd"]
    assert ["error" in entry for entry in entries] == [False, False, True, False]
    assert entries[0]["top"][0] == {"label": entries[0]["label"], "probability": entries[0]["probability"]}
    assert "c.png" in result.stderr
    assert "1 of 4 images failed" in result.stderr


def test_masks_and_overlays_of_all_but_the_bad_image(served, run, folder, tmp_path):
    out = tmp_path / "out"
    result = run(served.segmenter, folder, "--out", out)
    assert result.exit_code == 1
    assert sorted(file.name for file in out.iterdir()) == sorted(
        f"{name}_{kind}.png" for name in "abd" for kind in ("mask", "overlay")
    )
    with Client(served.grpc_url) as client:
        (expected,) = client.segment(served.segmenter, folder / "a.png")
    with Image.open(out / "a_mask.png") as mask, Image.open(out / "a_overlay.png") as overlay:
        np.testing.assert_array_equal(np.asarray(mask), expected.label_map)
        assert (overlay.size, overlay.mode) == ((64, 40), "RGB")


def test_files_that_no_server_takes(served, run, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)
    for name in ("a.png", "b.tif", "c.bmp"):
        Image.fromarray(pixels).save(tmp_path / name)
    out = tmp_path / "out"
    assert run(served.segmenter, tmp_path, "--out", out).exit_code == 0
    for kind in ("mask", "overlay"):
        assert len({(out / f"{name}_{kind}.png").read_bytes() for name in "abc"}) == 1


def test_an_overlay_without_some_classes(served, run, folder, tmp_path):
    labels = served.cards[served.segmenter].answer.labels
    every = [word for label in labels[1:] for word in ("--clear", label)]
    assert run(served.segmenter, folder / "a.png", "--out", tmp_path, "--clear", 0, *every).exit_code == 0
    with Image.open(tmp_path / "a_overlay.png") as overlay, Image.open(folder / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(overlay), np.asarray(image.convert("RGB")))


def test_same_stems_do_not_overwrite_one_another(served, run, folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.png").write_bytes((folder / "b.png").read_bytes())
    out = tmp_path / "out"
    assert run(served.segmenter, folder / "a.png", other, "--out", out).exit_code == 0
    assert len(list(out.iterdir())) == 4
    assert (out / "a_overlay.png").read_bytes() != (out / "a_2_overlay.png").read_bytes()


LONG = "x" * 246  # and _mask.png, _overlay.png would be more than a file's name may have


def test_a_long_name_is_shortened_and_stays_its_own(served, run, folder, tmp_path):
    """The longest that a file may have, and two that differ at their end alone."""
    files = [folder / f"{LONG}{end}.png" for end in ("abcde", "abcdf")] + [folder / "b.png"]
    for file in files[:2]:
        file.write_bytes((folder / "a.png").read_bytes())
    out = tmp_path / "out"
    result = run(served.segmenter, *files, "--out", out, "--json")
    assert result.exit_code == 0
    written = [entry["mask"] for entry in json.loads(result.stdout)]
    assert len(set(written)) == 3
    assert sorted(map(str, out.glob("*_mask.png"))) == sorted(written)


def test_long_names_of_any_letters():
    names = unique_names([Path(f"{'ü' * 127}.png"), Path(f"{'ü' * 126}é.png"), Path("b\udcff.png")])
    assert len(set(names)) == 3
    assert all(len(os.fsencode(f"._{name}_overlay.png.draft")) <= 255 for name in names)


def test_what_cannot_be_written_does_not_stop_the_others(served, run, folder, tmp_path):
    out = tmp_path / "out"
    (out / "b_overlay.png").mkdir(parents=True)
    result = run(served.segmenter, *(folder / f"{name}.png" for name in "abd"), "--out", out, "--json")
    assert result.exit_code == 1
    entries = json.loads(result.stdout)
    assert ["error" in entry for entry in entries] == [False, True, False]
    assert "cannot write" in entries[1]["error"]


def test_what_is_no_name_of_a_file_does_not_stop_the_others(served, run, folder):
    result = run(served.classifier, folder / "a.png", "x" * 300, folder / "b.png", "--json")
    assert result.exit_code == 1
    assert ["error" in entry for entry in json.loads(result.stdout)] == [False, True, False]


def test_a_pattern(served, run, folder):
    result = run(served.classifier, f"{folder}/[ab].*", "--json")
    assert [Path(entry["image"]).name for entry in json.loads(result.stdout)] == ["a.png", "b.png"]


def test_the_endpoint_for_images_by_its_own_name(served, run, folder):
    by_endpoint = run(f"{served.classifier}_image", folder / "a.png", "--json")
    assert by_endpoint.exit_code == 0
    assert by_endpoint.stdout == run(served.classifier, folder / "a.png", "--json").stdout


def test_names_are_unique_in_any_case(tmp_path):
    files = [tmp_path / name for name in ("x/a.png", "y/a.jpg", "a_2.png", "A.png")]
    assert unique_names(files) == ["a", "a_3", "a_2", "A_4"]


def test_an_image_is_never_overwritten(served, folder):
    (folder / "a_mask.png").write_bytes((folder / "b.png").read_bytes())
    files = sorted(folder.glob("a*.png"))
    with (
        Client(served.grpc_url) as client,
        pytest.raises(InvalidInput, match=r"a_mask.png is one of the images"),
    ):
        list(predict_files(client, served.segmenter, files, top_k=1, out=folder))


def test_an_empty_folder(served, run, tmp_path):
    with pytest.raises(InvalidInput, match="no images"):
        run(served.classifier, tmp_path)


def test_a_folder_that_cannot_be_made(served, run, folder):
    with pytest.raises(InvalidInput, match="cannot make the folder"):
        run(served.segmenter, folder / "a.png", "--out", folder / "a.png" / "out")


def test_an_unknown_model(served, run, folder):
    with pytest.raises(UnknownName, match="Did you mean"):
        run(served.classifier[:-1], folder)


def test_no_server(run, folder):
    (port,) = free_ports(1)
    with pytest.raises(ServerUnreachable, match="Start one with `regard serve`"):
        run("any", folder / "a.png", url=f"127.0.0.1:{port}")


def test_what_is_done_survives_the_servers_death(served, folder, tmp_path):
    http, grpc, metrics = free_ports(3)
    out = tmp_path / "out"
    with EmbeddedTriton(served.repository, http_port=http, grpc_port=grpc, metrics_port=metrics) as server:
        with Client(server.grpc_url, timeout=3) as client:
            entries = predict_files(client, served.segmenter, [folder / "a.png"] * 200, top_k=1, out=out)
            assert not next(entries).failed
            os.kill(server.pid, signal.SIGKILL)
            with pytest.raises((ServerUnreachable, InferenceError)):  # as its last attempt ended
                list(entries)
        assert (out / "a_mask.png").exists()
        assert not [file for file in out.iterdir() if file.name.startswith(".")]
