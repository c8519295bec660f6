"""Shared memory regions between this process and a server on the same machine: made, lent out, and always
unlinked.

A region is only lent again after the server has answered. Where it may still be writing
(timeout, cancellation, a lost connection) the region is unlinked at once and forgotten by the server when the
client closes.
"""

import os
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tritonclient.utils import shared_memory as shm

from regard.serving.protocol.tensors import payload
from regard.serving.protocol.wire import Array, Span

FOLDER = Path("/dev/shm")  # noqa: S108 - where a region is a file
SMALLEST_REGION = 1 << 20
# bytes; below this a copy through the socket costs less than two spans in the request
WORTH_SHARING = 1 << 15
KEPT = 8  # idle regions
_library = threading.Lock()  # the library counts its handles in a plain dict


@dataclass(eq=False)
class Region:
    """A region under its name, which is also its key in /dev/shm."""

    name: str
    size: int
    handle: Any
    registered: bool = False

    @property
    def key(self) -> str:
        """Its key as the server opens it."""
        return f"/{self.name}"

    def place(self, inputs: Mapping[str, Array], outputs: Mapping[str, int]) -> dict[str, Span]:
        """Copy the inputs in, one after the other, and leave room for the outputs (bytes each)."""
        spans: dict[str, Span] = {}
        offset = 0
        for name, array in inputs.items():
            content = payload(array)
            shm.set_shared_memory_region(self.handle, [content], offset=offset)
            spans[name] = Span(self.name, offset, content.nbytes)
            offset = _aligned(offset + content.nbytes)
        for name, size in outputs.items():
            spans[name] = Span(self.name, offset, size)
            offset = _aligned(offset + size)
        return spans

    def read(self, span: Span, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
        """A copy of what the server wrote."""
        view: Array = shm.get_contents_as_numpy(self.handle, dtype, shape, offset=span.offset)
        return view.copy()


def _reserve(region: Region) -> None:
    """Take the region's pages now: where there are none left, a later write would end the process (SIGBUS).

    Raises:
        OSError: there are none left.
    """
    descriptor = os.open(FOLDER / region.name, os.O_RDWR)
    try:
        os.posix_fallocate(descriptor, 0, region.size)
    finally:
        os.close(descriptor)


def room_for(inputs: Mapping[str, Array], outputs: Mapping[str, int]) -> int:
    """Bytes that `place` needs."""
    return sum(_aligned(payload(array).nbytes) for array in inputs.values()) + sum(
        map(_aligned, outputs.values())
    )


def _aligned(size: int) -> int:
    return (size + 63) // 64 * 64


@dataclass
class Regions:
    """Every region of one client. Safe to use from several threads."""

    enabled: bool
    _idle: list[Region] = field(default_factory=list)
    _lent: set[Region] = field(default_factory=set)
    _stale: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def lend(self, size: int) -> Region | None:
        """A region of at least so many bytes, a new one if need be; None where this machine cannot make
        one, or is short of shared memory.
        """
        with self._lock:
            fitting = sorted(
                (region for region in self._idle if region.size >= size), key=lambda region: region.size
            )
            if fitting:
                self._idle.remove(fitting[0])
                self._lent.add(fitting[0])
                return fitting[0]
        capacity = max(SMALLEST_REGION, 1 << (size - 1).bit_length())
        name = f"regard_client_{os.getpid()}_{uuid.uuid4().hex}"  # see serving/triton/orphans.py
        try:
            with _library:
                handle = shm.create_shared_memory_region(name, name, capacity, create_only=True)
        except shm.SharedMemoryException:
            return None
        region = Region(name, capacity, handle)
        try:
            _reserve(region)
        except OSError:
            self.destroy(region)
            return None
        with self._lock:
            self._lent.add(region)
        return region

    def give_back(self, region: Region) -> None:
        """Keep a region for the next request: the server has answered and will not touch it again."""
        with self._lock:
            self._lent.discard(region)
            self._idle.append(region)
            surplus = self._idle.pop(0) if len(self._idle) > KEPT else None
        if surplus:
            self.destroy(surplus)

    def destroy(self, region: Region) -> None:
        """Unlink a region; twice does no harm."""
        with self._lock:
            known = region in self._lent or region in self._idle or region.handle is not None
            self._lent.discard(region)
            handle, region.handle = region.handle, None
            if known and region.registered:
                self._stale.append(region.name)
                region.registered = False
        if handle is not None:
            with _library:
                shm.destroy_shared_memory_region(handle)

    def names(self) -> list[str]:
        """The regions there are now."""
        with self._lock:
            return [region.name for region in (*self._idle, *self._lent)]

    def close(self) -> list[str]:
        """Unlink everything; returns the names that the server still knows."""
        self.enabled = False
        with self._lock:
            regions = [*self._idle, *self._lent]
            self._idle.clear()
        for region in regions:
            self.destroy(region)
        with self._lock:
            stale, self._stale = self._stale, []
        return stale
