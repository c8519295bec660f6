"""Both clients on a transport without a server: order, batches, errors, retries, deadlines, cancellation."""

import asyncio
import errno
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from client_fakes import QUICK, FakeAsyncTransport, FakeTransport, half, make_card, plain, png
from PIL import Image
from tests.documented import placed

import regard
from regard.contract.results import Classification, Segmentation
from regard.errors import InferenceError, InvalidInput, RegardError, ServerUnreachable, UnknownName
from regard.serving.client.aio import AsyncClient
from regard.serving.client.base import IN_FLIGHT
from regard.serving.client.regions import Regions
from regard.serving.client.retry import Retry, passing
from regard.serving.client.sync import Client
from regard.serving.protocol.wire import Fault

LOST = Fault("UNAVAILABLE", "Connection refused", answered=False)
BUSY = Fault("UNAVAILABLE", "Exceeds maximum queue size")
STOPPING = Fault("CANCELLED", "CANCELLED")
RESTRICTED = Fault("UNAVAILABLE", "This protocol is restricted, expecting header 'triton-grpc-protocol-key'")


def mixed(count):
    """Images of the classes 0, 1, ..., by both endpoints in turn."""
    return [plain(index % 10) if index % 3 else png(plain(index % 10)) for index in range(count)]


def classes(results):
    return [result.label for result in results]


def expected(count):
    return [f"class {index % 10}" for index in range(count)]


def test_the_package_offers_both_clients():
    assert regard.Client is Client
    assert regard.AsyncClient is AsyncClient
    with pytest.raises(AttributeError, match="no attribute 'Clinet'"):
        regard.Clinet  # noqa: B018


def test_lists_come_back_in_order(ask):
    assert classes(ask(FakeTransport(), "classify", "net", mixed(50))) == expected(50)


def test_streams_come_back_in_order(ask):
    assert classes(ask(FakeTransport(), "classify", "net", iter(mixed(50)))) == expected(50)


def test_one_image_is_a_list_of_one(ask, tmp_path):
    (tmp_path / "a.png").write_bytes(png(plain(4)))
    for image in (plain(4), png(plain(4)), tmp_path / "a.png", tmp_path):
        assert classes(ask(FakeTransport(), "classify", "net", image)) == ["class 4"]
    assert ask(FakeTransport(), "classify", "net", []) == []


def test_a_classification_has_its_runners_up(ask):
    (result,) = ask(FakeTransport(), "classify", "net", plain(4), top_k=3)
    assert result == Classification(
        "class 4", 1.0, (("class 4", 1.0), ("class 0", 0.0), ("class 1", 0.0)), ("class 4",)
    )
    (result,) = ask(FakeTransport(), "classify", "net", plain(4), top_k=99)
    assert len(result.top) == 10


def test_heat_maps_where_the_model_has_them(ask):
    fake = FakeTransport()
    images = [plain(4, 20, 10), png(plain(5))]
    assert [result.heat for result in ask(fake, "classify", "net", images, heat=True)] == [None, None]
    fake.outputs = ("probabilities", "class_activation_map")
    cold = ask(fake, "classify", "net", images)
    assert [result.heat for result in cold] == [None, None]
    warm = ask(fake, "classify", "net", images, heat=True)
    assert warm == cold
    assert [float(result.heat.values.mean()) for result in warm] == [4, 5]
    assert warm[0].heat.overlay(images[0]).size == (10, 20)


def test_a_threshold_for_classes_that_exclude_each_other(ask):
    with pytest.raises(InvalidInput, match="exactly one applies"):
        ask(FakeTransport(), "classify", "net", plain(4), threshold=0.9)


def test_segmentations_have_the_images_size(ask):
    images = [plain(1, 8, 8), plain(2, 12, 8), png(plain(3, 8, 20))]
    results = ask(FakeTransport(make_card("segmentation")), "segment", "net", images)
    assert [result.label_map.shape for result in results] == [(8, 8), (12, 8), (8, 20)]
    assert [next(label for label, area in result.area.items() if area) for result in results] == [
        "class 1",
        "class 2",
        "class 3",
    ]
    assert all(isinstance(result, Segmentation) for result in results)


def fixed_segmenter(resize, **answer):
    card = make_card("segmentation")
    contract = {"kind": "image", "height": 8, "width": 8, "resize": resize, "max_batch": 4}
    answer = {"kind": "label_map", "labels": [f"class {index}" for index in range(10)]} | answer
    return card.updated(inputs=[contract], answer=answer)


def halves(height, width):
    """A picture whose upper half is of class 1 and whose lower half is of class 2."""
    pixels = plain(1, height, width)
    pixels[height // 2 :] = 2
    return pixels


def turned(pixels):
    """The file of a camera held sideways: its pixels lie on their side, and EXIF says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return png(np.rot90(pixels), exif=exif)


@pytest.mark.parametrize("given", [np.asarray, png, turned, Image.fromarray], ids=lambda way: way.__name__)
@pytest.mark.parametrize("size", [(32, 24), (6, 4), (8, 8)])
def test_a_fixed_size_segmenter_answers_for_the_image_that_was_sent(ask, given, size):
    fake = FakeTransport(fixed_segmenter("stretch"))
    (result,) = ask(fake, "segment", "net", [given(halves(*size))])
    np.testing.assert_array_equal(result.label_map, halves(*size)[..., 0])
    assert result.area["class 1"] == result.area["class 2"] == 0.5
    assert result.to_rle()["class 2"]["size"] == size
    assert result.mask().size == size[::-1]


@pytest.mark.parametrize("given", [np.asarray, png, turned, Image.fromarray], ids=lambda way: way.__name__)
@pytest.mark.parametrize(("ignore_index", "unseen"), [(None, 255), (77, 77), (-100, 255)])
def test_what_a_crop_leaves_out_has_no_label(ask, given, ignore_index, unseen):
    fake = FakeTransport(fixed_segmenter("center_crop", ignore_index=ignore_index))
    (result,) = ask(fake, "segment", "net", [given(halves(16, 32))])
    expected = halves(16, 32)[..., 0]
    expected[:, :8] = expected[:, 24:] = unseen
    np.testing.assert_array_equal(result.label_map, expected)
    assert result.area["class 1"] == result.area["class 2"] == 0.25


@pytest.mark.parametrize("resize", ["stretch", "center_crop"])
def test_the_documented_formula_makes_the_same_of_the_raw_answer(ask, resize):
    image = np.random.default_rng(0).integers(0, 10, (30, 50, 3), np.uint8)
    fake = FakeTransport(fixed_segmenter(resize))
    raw = ask(fake, "infer", "net", {"image": fake.card.input.fit(image)[None]})["label_map"][0]
    assert raw.shape == (8, 8)
    (result,) = ask(fake, "segment", "net", [image])
    np.testing.assert_array_equal(placed()(raw, 30, 50, resize, 1.0, 255), result.label_map)


def test_raw_inference_goes_through(ask):
    fake = FakeTransport()
    answer = ask(fake, "infer", "net", {"image": plain(2)[None]}, ["probabilities"], version="1")
    assert answer["probabilities"].argmax() == 2
    assert (fake.requests[0].version, fake.requests[0].outputs) == ("1", ("probabilities",))


@pytest.mark.parametrize(
    "inputs", [{}, {"image": [1, 2]}, {"image": np.zeros(2, "datetime64[s]")}], ids=["none", "list", "dtype"]
)
def test_raw_inference_takes_arrays(ask, inputs):
    with pytest.raises(InvalidInput, match="infer needs|NumPy array"):
        ask(FakeTransport(), "infer", "net", inputs)


def test_the_card_is_read_once():
    fake = FakeTransport()
    with Client(transport=fake) as client:
        client.classify("net", plain(1))
        client.classify("net", plain(1))
        assert client.card("net").answer == fake.card.answer
    assert fake.configs == 1


def test_several_requests_are_in_flight_but_not_more():
    fake = FakeTransport()
    fake.delay = 0.02
    with Client(transport=fake) as client:
        client.classify("net", mixed(60))
    assert 2 <= fake.most_running <= IN_FLIGHT


@pytest.mark.parametrize("version", [0, -1, "0", "01", "one", "1.0", 1.5, True, None, "1 ", "١"], ids=repr)
def test_a_version_is_a_number_from_one_on(ask, version):
    fake = FakeTransport()
    for method, given in (("classify", [plain(1)]), ("infer", [{"image": plain(1)[None]}]), ("card", [])):
        with pytest.raises(InvalidInput, match="version must be a whole number from 1 on"):
            ask(fake, method, "net", *given, version=version)
    assert not fake.requests


def test_a_version_is_reached_by_the_tensor_endpoint(ask):
    fake = FakeTransport()
    assert classes(ask(fake, "classify", "net", [png(plain(3))], version="1")) == ["class 3"]
    assert [(request.model, request.version) for request in fake.requests] == [("net", "1")]


def test_a_model_for_image_files_alone(ask):
    """Its Card is that of the endpoint for images, which versions are asked of too."""
    fake = FakeTransport()
    fake.endpoints = ("net_image",)
    for version in ("", "1"):
        answers = ask(fake, "classify", "net", [png(plain(3)), plain(4)], version=version, on_error="return")
        assert answers[0].label == "class 3"
        assert isinstance(answers[1], InvalidInput)
        assert str(answers[1]).startswith("images[1]: model 'net' is served for image files alone: give the")
    sent = [(request.model, request.version) for request in fake.requests]
    assert sent == [("net_image", ""), ("net_image", "1")]
    with pytest.raises(InvalidInput, match="no version 7 .* Served: 1"):
        ask(fake, "classify", "net", png(plain(1)), version="7")
    with pytest.raises(UnknownName, match="Did you mean 'net'"):
        ask(fake, "classify", "nett", png(plain(1)))
    with Client(transport=fake) as client:
        with pytest.raises(InvalidInput, match="image files alone"):
            client.classify("net", plain(4))
        fake.endpoints = ("net", "net_image")
        assert client.classify("net", plain(4)).pop().label == "class 4"


def test_a_model_for_tensors_alone(ask):
    fake = FakeTransport()
    fake.endpoints = ("net",)
    assert classes(ask(fake, "classify", "net", [plain(3)])) == ["class 3"]
    with pytest.raises(InvalidInput, match="'net' is served for tensors alone, and image files were sent"):
        ask(fake, "classify", "net", [png(plain(3))])
    assert classes(ask(fake, "classify", "net", [png(plain(3))], version="1")) == ["class 3"]  # decoded here


# what is wrong with the call


def test_unknown_models_are_named_with_their_neighbours(ask):
    with pytest.raises(UnknownName, match="no model named 'nett'. Did you mean 'net'") as caught:
        ask(FakeTransport(), "classify", "nett", plain(1))
    assert "_preprocess" not in str(caught.value)


def test_unknown_versions_are_named_with_those_served(ask):
    with pytest.raises(InvalidInput, match="no version 7 .* Served: 1"):
        ask(FakeTransport(), "classify", "net", plain(1), version="7")


def test_a_model_that_is_not_loaded_is_named_with_its_state(ask):
    fake = FakeTransport()
    with pytest.raises(InferenceError, match=r"not ready \(LOADING\)") as caught:
        ask(fake, "classify", "slow", plain(1))
    assert caught.value.code == "UNAVAILABLE"


def test_the_other_task_is_refused(ask):
    with pytest.raises(InvalidInput, match="call segment"):
        ask(FakeTransport(make_card("segmentation")), "classify", "net", plain(1))
    with pytest.raises(InvalidInput, match="call classify"):
        ask(FakeTransport(), "segment", "net", plain(1))


@pytest.mark.parametrize(
    "options", [{"top_k": 0}, {"on_error": "ignore"}, {"timeout": 0}, {"timeout": float("nan")}]
)
def test_bad_options_are_refused(ask, options):
    with pytest.raises(InvalidInput, match=next(iter(options))):
        ask(FakeTransport(), "classify", "net", plain(1), **options)


@pytest.mark.parametrize(
    "options",
    [
        {"url": "ftp://127.0.0.1:8000"},
        {"url": "http://127.0.0.1:8000", "protocol": "grpc"},
        {"url": "host"},
        {"url": "host:99999"},
        {"protocol": "smtp"},
        {"timeout": -1},
    ],
)
def test_bad_clients_are_refused(options):
    for kind in (Client, AsyncClient):
        with pytest.raises(InvalidInput, match="host:port|protocol|timeout"):
            kind(**options)


def test_labels_that_do_not_match_the_classes(ask):
    fake = FakeTransport()
    fake.classes = 12
    with pytest.raises(InvalidInput, match=r"10 labels, but the model answers with shape \(1, 12\)"):
        ask(fake, "classify", "net", plain(1))
    fake = FakeTransport(make_card("segmentation"))
    fake.classes = 256
    with pytest.raises(InvalidInput, match="10 labels.*classes up to 200"):
        ask(fake, "segment", "net", plain(200))


def test_a_model_without_a_card(ask):
    fake = FakeTransport()
    fake.config_text = ""
    with pytest.raises(InvalidInput, match="has no Card"):
        ask(fake, "classify", "net", plain(1))


def test_a_closed_client_says_so():
    client = Client(transport=FakeTransport())
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.classify("net", plain(1))


# one bad image among many

BAD = [plain(0), b"no image", png(plain(2)), half(), png(plain(4))]


def test_bad_images_are_returned_in_their_place(ask):
    results = ask(FakeTransport(), "classify", "net", BAD, on_error="return")
    assert [type(result) for result in results] == [
        Classification,
        InvalidInput,
        Classification,
        InvalidInput,
        Classification,
    ]
    assert "images[1]" in str(results[1])
    assert "images[3]" in str(results[3])
    assert [result.label for result in results[::2]] == ["class 0", "class 2", "class 4"]


def test_the_first_bad_image_is_raised(ask):
    with pytest.raises(InvalidInput, match=r"images\[3\]"):
        ask(FakeTransport(), "classify", "net", [BAD[0], BAD[2], BAD[4], BAD[3], BAD[1]])


def test_what_concerns_every_image_is_raised_even_so(ask):
    fake = FakeTransport()
    fake.faults = [Fault("UNAUTHENTICATED", "who are you")]
    with pytest.raises(InferenceError) as caught:
        ask(fake, "classify", "net", [plain(1)], on_error="return")
    assert (caught.value.code, caught.value.message, caught.value.model) == (
        "UNAUTHENTICATED",
        "who are you",
        "net",
    )


def test_a_fault_of_the_server_is_an_inference_error(ask):
    fake = FakeTransport()
    fake.faults = [Fault("INTERNAL", "boom")]
    with pytest.raises(InferenceError, match="model 'net': INTERNAL: boom"):
        ask(fake, "classify", "net", [plain(1)])
    fake.faults = [Fault("INTERNAL", "boom")]
    results = ask(fake, "classify", "net", [plain(1)] * 5, on_error="return")
    assert [isinstance(result, InferenceError) for result in results].count(True) in (1, 4)


# retries


GONE = Fault("NOT_FOUND", "Request for unknown model: 'net' has no available versions")
STUB = Fault("INTERNAL", "Stub process 'net_0_0' is not healthy.")


@pytest.mark.parametrize(
    "fault", [LOST, BUSY, GONE, STUB, STOPPING], ids=["lost", "busy", "gone", "stub", "stopping"]
)
def test_a_restart_is_ridden_out(ask, fault):
    """For longer than a server that was never met is waited for."""
    fake = FakeTransport()
    fake.faults = [fault] * 99
    assert classes(ask(fake, "classify", "net", plain(7))) == ["class 7"]
    assert len(fake.requests) == 100


def test_a_restart_is_ridden_out_by_every_call(ask):
    fake = FakeTransport()
    fake.faults = [None] * 8 + [LOST, GONE, STUB, BUSY] * 25
    assert classes(ask(fake, "classify", "net", iter(mixed(50)))) == expected(50)


def test_the_first_image_file_may_meet_a_restart(ask):
    """Its endpoint has not answered yet, and is not found, but neither is the model that did."""
    fake = FakeTransport()
    away = [GONE] * 9

    def config(model, version, *, timeout):
        if fake.requests and away:
            raise away.pop()
        return FakeTransport.config(fake, model, version, timeout=timeout)

    fake.config = config
    fake.faults = [GONE]
    assert classes(ask(fake, "classify", "net", png(plain(7)))) == ["class 7"]
    assert not away


def test_a_model_that_went_for_good_is_named_at_the_deadline(ask):
    fake = FakeTransport()
    fake.faults = [GONE] * 999
    fake.index = lambda timeout: []
    with pytest.raises(UnknownName, match="no model named 'net'"):
        ask(fake, "classify", "net", plain(7), client={"retry": Retry(first=0.05), "timeout": 0.5})
    assert 1 < len(fake.requests) < 999


def test_a_server_that_was_never_met_is_not_waited_for(ask):
    fake = FakeTransport()

    def config(model, version, *, timeout):
        fake.configs += 1
        raise LOST

    fake.config = config
    start = time.monotonic()
    with pytest.raises(
        ServerUnreachable, match=r"127.0.0.1:8001 \(Connection refused\). Start one with `regard serve`"
    ):
        ask(fake, "classify", "net", plain(7), timeout=600)
    assert fake.configs > 1
    assert time.monotonic() - start < 60


@pytest.mark.parametrize(("fault", "kind"), [(LOST, ServerUnreachable), (BUSY, InferenceError)])
def test_the_deadline_ends_the_waiting(ask, fault, kind):
    fake = FakeTransport()
    fake.faults = [fault] * 999
    with pytest.raises(kind, match=fault.message):
        ask(fake, "classify", "net", plain(7), client={"retry": Retry(first=0.05), "timeout": 0.5})
    assert 1 < len(fake.requests) < 999


@pytest.mark.parametrize(
    "fault",
    [
        Fault("INVALID_ARGUMENT", "wrong shape"),
        Fault("UNAUTHENTICATED", "no"),
        Fault("PERMISSION_DENIED", "no"),
        Fault("INTERNAL", "boom"),
        Fault("DEADLINE_EXCEEDED", "late"),
        RESTRICTED,
        Fault("FAILED_PRECONDITION", "its certificate is not trusted", answered=False),
    ],
    ids=lambda fault: fault.code,
)
def test_what_would_fail_again_is_not_tried_again(ask, fault):
    fake = FakeTransport()
    fake.faults = [fault] * 3
    with pytest.raises(RegardError):
        ask(fake, "infer", "net", {"image": plain(7)[None]})
    assert len(fake.requests) == 1
    assert not passing(fault, met=True)


def test_pauses_grow_and_are_jittered():
    longest, shortest = Retry(first=0.1, longest=0.5, jitter=lambda: 1.0), Retry(jitter=lambda: 0.0)
    assert list(islice(longest.pauses(), 5)) == pytest.approx([0.1, 0.2, 0.4, 0.5, 0.5])
    assert list(islice(shortest.pauses(), 2)) == pytest.approx([0.05, 0.1])
    for wrong in ({"first": 0}, {"first": 2, "longest": 1}, {"unmet": -1}):
        with pytest.raises(InvalidInput, match="a retry takes"):
            Retry(**wrong)


def test_a_slow_server_meets_the_deadline(ask):
    fake = FakeTransport()
    fake.delay = 30
    start = time.monotonic()
    with pytest.raises(InferenceError, match="no answer from 127.0.0.1:8001 within 0.1 s") as caught:
        ask(fake, "classify", "net", plain(7), timeout=0.1)
    assert caught.value.code == "DEADLINE_EXCEEDED"
    assert time.monotonic() - start < 30


# cancellation and threads


def test_closing_a_stream_cancels_what_is_under_way(eventually):
    fake = FakeTransport()
    drawn = []

    def endless():
        while True:
            drawn.append(1)
            yield plain(len(drawn) % 10)

    with Client(transport=fake, retry=QUICK) as client:
        results = client.classify("net", endless())
        assert next(results).label == "class 1"
        fake.delay = 30
        for _ in range(len(drawn) - 1 - 4 * (IN_FLIGHT - 1)):
            next(results)
        results.close()
        assert eventually(lambda: fake.running == 0)
    assert len(drawn) <= 4 * (2 * IN_FLIGHT + 1)


def test_cancelling_a_task_cancels_what_is_under_way():
    fake = FakeTransport()
    fake.delay = 30

    async def main():
        async with AsyncClient(transport=FakeAsyncTransport(fake)) as client:
            task = asyncio.create_task(_awaited(client.classify("net", [plain(1)] * 12)))
            while not fake.requests:
                await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    start = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - start < 30


async def _awaited(results):
    return await results


def test_one_client_serves_many_threads():
    with Client(transport=FakeTransport()) as client, ThreadPoolExecutor(8) as threads:
        answers = list(
            threads.map(
                lambda shade: client.classify("net", [plain(shade)] * 5)[4].label,
                [index % 10 for index in range(64)],
            )
        )
    assert answers == expected(64)


# shared memory


def big(fake, **options):
    """One request large enough for shared memory."""
    with Client(transport=fake, retry=QUICK, **options) as client:
        return client.infer("net", {"image": np.repeat(plain(3, 64, 64)[None], 4, 0)}), list(
            client._core.regions.names()
        )


@pytest.mark.parametrize(
    "fault", [Fault("INTERNAL", "cannot open the region"), RESTRICTED], ids=["no", "key"]
)
def test_a_refusal_of_shared_memory_is_no_error_and_final(fault):
    fake = FakeTransport()
    fake.register_fault = fault
    with Client(transport=fake, retry=QUICK) as client:
        answer = client.infer("net", {"image": np.repeat(plain(3, 64, 64)[None], 4, 0)})
        assert not client._core.regions.names()
        assert not client._core.regions.enabled
    assert answer["probabilities"].argmax() == 3
    assert not fake.requests[0].spans


def test_a_refusal_is_an_error_where_shared_memory_was_asked_for():
    with pytest.raises(InvalidInput, match="refuses shared memory"):
        big(FakeTransport(), shared_memory=True)


def test_large_tensors_are_shared_and_regions_unlinked():
    fake = FakeTransport()
    fake.register_fault = None
    answer, during = big(fake)
    assert answer["probabilities"].argmax() == 3
    assert fake.requests[0].spans["image"].size == 4 * 64 * 64 * 3
    assert len(during) == 1
    assert not Path("/dev/shm", during[0]).exists()
    assert not fake.registered


def test_small_tensors_and_distant_servers_do_without():
    fake = FakeTransport()
    fake.register_fault = None
    with Client(transport=fake) as client:
        client.classify("net", plain(1))
    big(fake, url="192.0.2.1:8001")
    assert not any(request.spans for request in fake.requests)


def test_a_server_that_forgot_a_region_gets_the_tensor_instead():
    fake = FakeTransport()
    fake.register_fault = None
    fake.faults = [Fault("INVALID_ARGUMENT", "Unable to find shared memory region: 'regard_x'")]
    answer, left = big(fake)
    assert answer["probabilities"].argmax() == 3
    assert [bool(request.spans) for request in fake.requests] == [True, False]
    assert not left


@pytest.mark.parametrize(
    "fault",
    [LOST, Fault("DEADLINE_EXCEEDED", "late"), Fault("INTERNAL", "boom")],
    ids=lambda fault: fault.code,
)
def test_regions_are_unlinked_after_faults(fault):
    fake = FakeTransport()
    fake.register_fault = None
    fake.faults = [fault]
    with suppress(RegardError):
        big(fake)
    assert not Path("/dev/shm", fake.requests[0].spans["image"].region).exists()
    assert not fake.registered


@pytest.mark.parametrize(("fault", "kept"), [(LOST, 0), (BUSY, 0), (STUB, 1)], ids=["lost", "busy", "stub"])
def test_a_second_attempt_does_without_shared_memory(fault, kept):
    """The server may have been started again meanwhile, or still write what it was asked for before."""
    fake = FakeTransport()
    fake.register_fault = None
    fake.faults = [fault]
    answer, left = big(fake)
    assert answer["probabilities"].argmax() == 3
    assert [bool(request.spans) for request in fake.requests] == [True, False]
    assert len(left) == kept


class InUse(FakeTransport):
    """Computes on for a while with the region of a request that was given up."""

    def __init__(
        self, refusals, message="Cannot unregister shared memory region 'x', it is currently in use."
    ):
        super().__init__()
        self.register_fault = None
        self.faults = [Fault("DEADLINE_EXCEEDED", "late")]
        self.refusals, self.message = refusals, message

    def unregister(self, region, *, timeout):
        if self.refusals:
            self.refusals -= 1
            raise Fault("INTERNAL", self.message)
        super().unregister(region, timeout=timeout)


def give_up_and_close(fake, kind):
    tensor = {"image": np.repeat(plain(3, 64, 64)[None], 4, 0)}
    if kind == "sync":
        with Client(transport=fake) as client, suppress(InferenceError):
            client.infer("net", tensor)
        return

    async def main():
        async with AsyncClient(transport=FakeAsyncTransport(fake)) as client:
            with suppress(InferenceError):
                await client.infer("net", tensor)

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_server_forgets_a_region_in_use_once_that_ends(kind):
    fake = InUse(3)
    give_up_and_close(fake, kind)
    assert fake.refusals == 0
    assert not fake.registered
    assert fake.closed


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_region_that_stays_in_use_does_not_hold_a_close_up(kind, monkeypatch):
    monkeypatch.setattr("regard.serving.client.core.FAREWELL", 0.1)
    fake = InUse(10**9)
    give_up_and_close(fake, kind)
    assert fake.closed


def test_another_refusal_to_forget_a_region_is_final():
    fake = InUse(10**9, message="unknown region")
    give_up_and_close(fake, "sync")
    assert fake.refusals == 10**9 - 1
    assert fake.closed


def test_a_region_has_its_pages_from_the_beginning():
    """A write to a page that cannot be had any more would end the process."""
    regions = Regions(enabled=True)
    region = regions.lend(3 << 20)
    assert Path("/dev/shm", region.name).stat().st_blocks * 512 >= region.size >= 3 << 20
    regions.close()


def test_without_room_for_a_region_tensors_go_over_the_connection(monkeypatch):
    made = []

    def full(descriptor, *_):
        made.append(Path("/proc/self/fd", str(descriptor)).readlink())
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    fake = FakeTransport()
    fake.register_fault = None
    answer, left = big(fake, shared_memory=True)
    assert answer["probabilities"].argmax() == 3
    assert not fake.requests[0].spans
    assert not left
    assert made
    assert not any(region.exists() for region in made)


SMALL = """
import os
import numpy as np
from regard.serving.client.regions import Regions

regions = Regions(enabled=True)
lent = [regions.lend(1 << 20) for _ in range(4)]
assert [region is None for region in lent] == [False, False, True, True], lent
for region in lent[:2]:
    region.place({"x": np.ones(1 << 20, np.uint8)}, {})
regions.close()
assert os.listdir("/dev/shm") == []
"""


def test_a_small_dev_shm_does_not_end_the_process():
    enter = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=2560k none /dev/shm && exec "$@"', "-"]
    if subprocess.run([*enter, "true"], capture_output=True).returncode:
        pytest.skip("this user may not mount a small /dev/shm")
    done = subprocess.run([*enter, sys.executable, "-c", SMALL], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
