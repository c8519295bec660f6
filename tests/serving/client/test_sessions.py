"""Sessions on a transport without a server: order, state, and every way to lose one."""

import asyncio
import gc
import threading
from pathlib import Path

import pytest
from client_fakes import QUICK, FakeTransport, half, plain, png
from PIL import Image
from speaking_fakes import AsyncServer, Tracker, in_session

from regard.errors import InvalidInput, SessionLost
from regard.serving.client.aio import AsyncClient
from regard.serving.client.sync import Client
from regard.serving.protocol.wire import Fault

both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


class Held(AsyncServer):
    """One that answers once it is told to."""

    def __init__(self, fake):
        super().__init__(fake)
        self.asked, self.answer = asyncio.Event(), asyncio.Event()

    async def infer(self, request, *, timeout):
        self.asked.set()
        await asyncio.wait_for(self.answer.wait(), 60)
        return await super().infer(request, timeout=timeout)


def shades(results):
    return [int(result.label_map[0, 0]) for result in results]


@both
def test_the_model_remembers_across_calls(asynchronous):
    tracker = Tracker()
    used = in_session(
        tracker,
        lambda ask: shades(ask("segment", [plain(3)] * 3)) + shades(ask("ask", [plain(0)])),
        asynchronous,
    )
    assert used == [3, 4, 5, 3]
    said = [dict(request.parameters) for request in tracker.requests]
    (number,) = {each["sequence_id"] for each in said}
    assert 0 < number < 2**63
    flags = [(each["sequence_start"], each["sequence_end"]) for each in said]
    assert flags == [(True, False), (False, False), (False, False), (False, False), (False, True)]
    assert not tracker.seen


def test_each_session_has_its_own_state():
    tracker = Tracker()
    with Client(transport=tracker) as client, client.session("net") as one, client.session("net") as other:
        pairs = zip(one.segment([plain(0)] * 4), other.segment([plain(5)] * 4), strict=True)
        assert [shades(pair) for pair in pairs] == [[0, 5], [1, 6], [2, 7], [3, 8]]


def test_an_empty_session_asks_nothing():
    tracker = Tracker()
    with Client(transport=tracker) as client, client.session("net") as session:
        assert list(session.segment([])) == []
    assert not tracker.requests


@both
def test_a_model_without_state_needs_none(asynchronous):
    with pytest.raises(InvalidInput, match="keeps nothing .* call classify"):
        in_session(FakeTransport(), lambda ask: None, asynchronous)


def test_a_model_with_state_is_asked_in_a_session():
    with Client(transport=Tracker()) as client:
        for ask in (client.segment, client.ask):
            with pytest.raises(InvalidInput, match="remembers .* ask it in a session"):
                ask("net", plain(1))


def test_another_task():
    no_option = pytest.raises(InvalidInput, match="has no option 'top_k'")
    with Client(transport=Tracker()) as client, client.session("net") as session, no_option:
        session.ask([plain(1)], top_k=3)


def test_before_and_behind_a_session():
    with Client(transport=Tracker()) as client:
        session = client.session("net")
        with pytest.raises(RuntimeError, match="begins with `with`"):
            session.segment([plain(1)])
        with session:
            assert shades(session.segment([plain(1)])) == [1]
        with pytest.raises(RuntimeError, match="over"):
            list(session.segment([plain(1)]))


# frames that cannot be taken leave the session as it was


@both
def test_another_size_in_mid_session(asynchronous):
    tracker = Tracker()

    def use(ask):
        first = ask("segment", [plain(1, 12, 8)])
        with pytest.raises(InvalidInput, match="8 x 16 pixels, and this session's frames are 8 x 12"):
            ask("segment", [plain(1, 16, 8)])
        return shades(first + ask("segment", [plain(1, 12, 8)]))

    assert in_session(tracker, use, asynchronous) == [1, 2]
    assert len(tracker.requests) == 3


@both
def test_frames_out_of_order(asynchronous):
    tracker = Tracker()

    def use(ask):
        with pytest.raises(InvalidInput, match=r"the frame of 2.0 comes after that of 3.0"):
            ask("segment", [plain(1)] * 3, at=[1.0, 3.0, 2.0])
        with pytest.raises(InvalidInput, match="more frames than entries of at"):
            ask("segment", [plain(1)] * 2, at=[4.0])
        return shades(ask("segment", [plain(1)], at=[5.0]))

    assert in_session(tracker, use, asynchronous) == [4]


@both
def test_a_damaged_frame(asynchronous):
    """Whether the client sees it or the server does."""

    def use(ask):
        first = ask("segment", [png(plain(1))])
        for bad in (b"no image", half()):
            with pytest.raises(InvalidInput, match=r"images\[0\]"):
                ask("segment", [bad])
        return shades(first + ask("segment", [png(plain(1))]))

    assert in_session(Tracker(), use, asynchronous) == [1, 2]


def test_a_session_whose_first_frame_is_damaged_begins_with_the_second():
    tracker = Tracker()
    with Client(transport=tracker) as client, client.session("net") as session:
        with pytest.raises(InvalidInput, match="damaged"):
            list(session.segment([half()]))
        assert shades(session.segment([png(plain(1))] * 2)) == [1, 2]


def test_all_frames_take_the_road_of_the_first():
    for frames, model in (([plain(1), png(plain(1))], "net"), ([png(plain(1)), plain(1)], "net_image")):
        tracker = Tracker()
        with Client(transport=tracker) as client, client.session("net") as session:
            assert shades(session.segment(frames)) == [1, 2]
        assert {request.model for request in tracker.requests} == {model}


def test_a_model_for_image_files_alone():
    tracker = Tracker()
    tracker.endpoints = ("net_image",)
    with Client(transport=tracker) as client, client.session("net") as session:
        assert shades(session.segment([plain(1), plain(1)])) == [1, 2]


# one frame at a time


def test_two_threads_in_one_session():
    tracker = Tracker()
    asked, answer = threading.Event(), threading.Event()
    infer = tracker.infer

    def slow(request, **options):
        asked.set()
        assert answer.wait(60)
        return infer(request, **options)

    tracker.infer = slow
    results = []
    with Client(transport=tracker) as client, client.session("net") as session:
        thread = threading.Thread(target=lambda: results.extend(session.segment([plain(1)])))
        thread.start()
        assert asked.wait(60)
        with pytest.raises(InvalidInput, match="takes one frame at a time"):
            list(session.segment([plain(1)]))
        answer.set()
        thread.join()
        assert shades([*results, *session.segment([plain(1)])]) == [1, 2]


def test_two_tasks_in_one_session():
    async def run():
        server = Held(Tracker())
        async with AsyncClient(transport=server) as client, client.session("net") as session:
            first = asyncio.create_task(anext(session.segment([plain(1)])))
            await server.asked.wait()
            with pytest.raises(InvalidInput, match="takes one frame at a time"):
                await anext(session.segment([plain(1)]))
            server.answer.set()
            return [await first, await anext(session.segment([plain(1)]))]

    assert shades(asyncio.run(run())) == [1, 2]


# lost


def fails(fault):
    return lambda tracker: tracker.faults.append(fault)


LOST = {
    "idle": lambda tracker: tracker.seen.clear(),
    "stub killed": fails(Fault("INTERNAL", "Stub process 'net' is not healthy.")),
    "restart": fails(Fault("UNAVAILABLE", "reset", answered=False)),
    "late": fails(Fault("DEADLINE_EXCEEDED", "late")),
    "stopping": fails(Fault("CANCELLED", "CANCELLED")),
}


@both
@pytest.mark.parametrize("lose", LOST.values(), ids=LOST.keys())
def test_a_lost_session_says_so_with_what_is_done(lose, asynchronous):
    tracker = Tracker()

    def use(ask):
        kept = ask("segment", [plain(1)] * 3)
        lose(tracker)
        sent = len(tracker.requests)
        with pytest.raises(SessionLost, match="lost after 3 frames") as lost:
            ask("segment", [plain(1)])
        assert [*lost.value.done] == kept
        assert len(tracker.requests) == sent + 1  # never again by itself
        with pytest.raises(SessionLost, match="begin another"):
            ask("segment", [plain(1)])
        assert len(tracker.requests) == sent + 1
        return True

    assert in_session(tracker, use, asynchronous, retry=QUICK)
    assert not any(request.parameters["sequence_end"] for request in tracker.requests)


def test_a_list_that_is_being_made_is_among_what_is_done():
    tracker = Tracker()

    def frames():
        for _ in range(4):
            yield plain(1)
        tracker.seen.clear()
        yield plain(1)

    with Client(transport=tracker) as client, client.session("net") as session:
        answers = session.segment(frames())
        with pytest.raises(SessionLost) as lost:
            list(answers)
    assert shades(lost.value.done) == [1, 2, 3, 4]


def test_a_session_without_end_keeps_no_results():
    tracker = Tracker()
    with Client(transport=tracker) as client, client.session("net") as session:
        for _ in session.segment(iter([plain(1)] * 50)):
            pass
        del _
        gc.collect()
        assert session.answered == 50
        assert len(session._core._done) == 0


@both
def test_another_model_in_its_place(asynchronous):
    """An answer that the Card does not know is no result, and its state is not gone on with."""
    tracker = Tracker()
    answer = tracker.answer

    def use(ask):
        ask("segment", [plain(1)])
        tracker.answer = lambda request: {"label_map": answer(request)["label_map"] + 100}
        with pytest.raises(SessionLost, match="lost after 1 frame .*export it again"):
            ask("segment", [plain(1)])
        sent = len(tracker.requests)
        with pytest.raises(SessionLost):
            ask("segment", [plain(1)])
        return len(tracker.requests) - sent

    assert in_session(tracker, use, asynchronous) == 0


def test_other_sessions_are_untouched():
    tracker = Tracker()
    with Client(transport=tracker) as client, client.session("net") as one, client.session("net") as other:
        assert shades(one.segment([plain(1)])) == shades(other.segment([plain(1)])) == [1]
        del tracker.seen[next(iter(tracker.seen))]
        with pytest.raises(SessionLost):
            list(one.segment([plain(1)]))
        assert shades(other.segment([plain(1)])) == [2]


def test_a_cancelled_step_loses_the_session():
    async def run():
        server = Held(Tracker())
        async with AsyncClient(transport=server) as client, client.session("net") as session:
            step = asyncio.create_task(anext(session.segment([plain(1)])))
            await server.asked.wait()
            step.cancel()
            with pytest.raises(asyncio.CancelledError):
                await step
            server.answer.set()
            with pytest.raises(SessionLost, match="given up"):
                await anext(session.segment([plain(1)]))

    asyncio.run(run())


def test_leaving_early_ends_the_session():
    tracker = Tracker()
    with Client(transport=tracker) as client, client.session("net") as session:
        next(session.segment([plain(1)] * 9))
    assert tracker.requests[-1].parameters["sequence_end"]


# videos


def test_a_folder_is_in_the_order_of_its_numbers(tmp_path: Path):
    for number in (10, 9, 1):
        (tmp_path / f"frame_{number}.png").write_bytes(png(plain(number)))
    with Client(transport=Tracker()) as client, client.session("net") as session:
        assert shades(session.segment(tmp_path)) == [1, 0, 2]


def test_an_animated_file(tmp_path: Path):
    frames = [Image.fromarray(plain(shade)) for shade in (1, 2, 3)]
    for name in ("a.webp", "a.gif", "a.png"):
        lossless = {"lossless": True} if name == "a.webp" else {}
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **lossless)
        with Client(transport=Tracker()) as client, client.session("net") as session:
            assert shades(session.segment(tmp_path / name)) == [1, 3, 5]


def test_encoded_video_is_refused_with_the_way(tmp_path: Path):
    with Client(transport=Tracker()) as client, client.session("net") as session:
        frames = session.segment(tmp_path / "street.mp4")
        with pytest.raises(InvalidInput, match="ffmpeg -i street.mp4"):
            next(frames)
