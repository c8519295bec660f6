"""The reason in a server's log, which is seldom at its end. The lines are Triton's own."""

import signal
from pathlib import Path

import pytest

from regard.serving.triton.log import ServerLog

WITHOUT_GPU = """\
W1129 04:47:03.211135 5998 pinned_memory_manager.cc:273] "Unable to allocate pinned system memory, pinned \
memory pool will not be available: CUDA driver version is insufficient for CUDA runtime version"
I1129 04:47:03.211254 5998 cuda_memory_manager.cc:117] "CUDA memory pool disabled"
E1129 04:47:03.211477 5998 server.cc:241] "CudaDriverHelper has not been initialized."
Error: Failed to initialize NVML
W1129 04:47:03.213182 5998 metrics.cc:798] "DCGM unable to start: DCGM initialization error"
"""
PORT = """\
E1129 04:57:08.233315282   24384 chttp2_server.cc:1060]                UNKNOWN:No address added
E1129 04:57:08.254965 24384 main.cc:245] "failed to start GRPC service: Unavailable - Socket '0.0.0.0:18801' \
already in use "
"""
ABORTED = """\
E1129 04:48:20.458141 6862 model_lifecycle.cc:642] "failed to load 'other' version 2: Internal: no graph"
terminate called after throwing an instance of 'std::length_error'
  what():  vector::_M_default_append
Signal (6) received.
I1129 04:49:04.201902 10297 model_lifecycle.cc:839] "successfully loaded 'hand'"
 0# 0x00005626A7E3052D in /opt/tritonserver/bin/tritonserver
 1# 0x00007F8AAE65A050 in /lib/x86_64-linux-gnu/libc.so.6
"""


@pytest.mark.parametrize(
    ("text", "code", "ending"),
    [
        (
            PORT,
            1,
            "with code 1: failed to start GRPC service: Unavailable - Socket '0.0.0.0:18801' already in use",
        ),
        ("", 1, "with code 1: its log does not say why"),
        (
            ABORTED,
            -signal.SIGABRT,
            "with signal 6 (Aborted): terminate called after throwing an instance of 'std::length_error'; "
            "what():  vector::_M_default_append",
        ),
        ("", -signal.SIGSEGV, "with signal 11 (Segmentation fault)"),
    ],
)
def test_how_a_server_ended(tmp_path: Path, text: str, code: int, ending: str) -> None:
    before = 'E1129 04:40:00.000000 1 main.cc:245] "of an earlier run"\n'
    log = ServerLog(tmp_path / "triton.log", len(before))
    log.path.write_text(before + WITHOUT_GPU + text)
    assert log.ending(code) == f"ended {ending}"
    assert log.ending(-signal.SIGKILL) == "was killed, by somebody or by the kernel for want of memory"


def test_what_every_machine_without_a_gpu_is_told_is_not_told_on(tmp_path: Path) -> None:
    log = ServerLog(tmp_path / "triton.log", 0)
    log.path.write_text(WITHOUT_GPU)
    assert log.lines(0) == []


def test_what_our_backends_tell_of_a_model(tmp_path: Path) -> None:
    """Of that model alone, after its load began, each once; whatever libraries it names."""
    path = tmp_path / "server.log"
    path.write_text("regard: model 'colour' version 1 computes as it did before\n")
    start = path.stat().st_size
    told = "version 2 computes by CUDA, not by TensorRT, which failed: libcudart.so.12: no such file"
    with path.open("a") as stream:
        stream.write(f"{WITHOUT_GPU}regard: model 'colour' {told}\nregard: model 'colour' {told}\n")
        stream.write("regard: model 'colour_image' version 2 computes on the CPU\n")
    log = ServerLog(path, 0)
    assert log.notices("colour", start) == (told,)
    assert log.notices("other", start) == ()


def test_a_log_that_would_fill_the_disk_begins_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regard.serving.triton.log.BOUND", 100)
    log = ServerLog(tmp_path / "server.log", 0)
    with log.path.open("ab") as stream:  # as the server holds it
        stream.write(b"x" * 100)
        stream.flush()
        log.bound()
        start = log.end()
        assert start == 100
        stream.write(b"x")
        stream.flush()
        log.bound()
        stream.write(b"error: and so on\n")
    assert log.path.read_bytes() == b"error: and so on\n"
    assert log.lines(start) == ["error: and so on"]  # what began before is in it whole
