"""Signals that come while a server is begun."""

import signal
import threading

import pytest

from regard.serving.triton.interrupts import interrupted_afterwards


def test_a_ctrl_c_comes_after_the_block() -> None:
    done = []

    def begin() -> None:
        with interrupted_afterwards():
            signal.raise_signal(signal.SIGINT)
            done.append("the rest of it")

    with pytest.raises(KeyboardInterrupt):
        begin()
    assert done
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)  # as ever


def test_an_error_of_the_block_is_what_is_told() -> None:
    def begin() -> None:
        with interrupted_afterwards():
            signal.raise_signal(signal.SIGINT)
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        begin()


def test_another_thread_changes_no_handler() -> None:
    found = []

    def block() -> None:
        with interrupted_afterwards():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=block)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]
