"""What both clients share: how they are made, and what they can be asked, with the types of the answers.

A client is this, with one way to wait: `sync.py` and `aio.py`.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, overload

from regard.contract.card import Card
from regard.contract.names import Task as Name
from regard.errors import InvalidInput, RegardError
from regard.serving.client.core import Core
from regard.serving.client.fronts import AnswerList, Fronts, PoseList, PoseStream, TextList, TextStream
from regard.serving.client.images import ImageLike, Images
from regard.serving.client.persistence import Persistence
from regard.serving.client.questions import Given
from regard.serving.client.regions import Regions
from regard.serving.client.retry import Retry
from regard.serving.client.session_core import SessionCore
from regard.serving.client.tasks import Task, task_for
from regard.serving.client.version import Version, written
from regard.serving.protocol.address import Address, address_of
from regard.serving.protocol.credentials import Credentials
from regard.serving.protocol.deadline import Deadline, checked_timeout

IN_FLIGHT = 4  # requests of one call under way at the same time

T = TypeVar("T")
AnyTransport = TypeVar("AnyTransport")
# what comes back: a list or a stream, of results, or of results and errors
ClassList = TypeVar("ClassList")
ClassErrorList = TypeVar("ClassErrorList")
ClassStream = TypeVar("ClassStream")
ClassErrorStream = TypeVar("ClassErrorStream")
MapList = TypeVar("MapList")
MapErrorList = TypeVar("MapErrorList")
MapStream = TypeVar("MapStream")
MapErrorStream = TypeVar("MapErrorStream")


class BaseClient(
    Fronts[TextList, TextStream, PoseList, PoseStream, AnswerList],
    Generic[
        AnyTransport,
        ClassList,
        ClassErrorList,
        ClassStream,
        ClassErrorStream,
        MapList,
        MapErrorList,
        MapStream,
        MapErrorStream,
        TextList,
        TextStream,
        PoseList,
        PoseStream,
        AnswerList,
    ],
):
    """See `regard.Client`."""

    def __init__(
        self,
        url: str | None = None,
        *,
        protocol: Literal["grpc", "http"] | None = None,
        ca: str | Path | None = None,
        certificate: str | Path | None = None,
        key: str | Path | None = None,
        api_key: str | None = None,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        shared_memory: bool | None = None,
        retry: Retry | None = None,
        transport: AnyTransport | None = None,
    ) -> None:
        self._timeout = checked_timeout(timeout)
        address = address_of(url, protocol)
        credentials = Credentials(
            ca=ca, certificate=certificate, key=key, api_key=api_key, token=token, headers=headers or {}
        )
        share = address.is_loopback if shared_memory is None else shared_memory
        self._core = Core(
            address, Persistence(retry or Retry()), Regions(share), insist=shared_memory is True
        )
        self._transport = self._connect(address, credentials) if transport is None else transport
        self._closed = False

    @overload
    def classify(
        self,
        model: str,
        images: Images,
        *,
        top_k: int = 5,
        threshold: float | None = None,
        heat: bool = False,
        on_error: Literal["raise"] = "raise",
        version: Version = "",
        timeout: float | None = None,
    ) -> ClassList: ...
    @overload
    def classify(
        self,
        model: str,
        images: Images,
        *,
        top_k: int = 5,
        threshold: float | None = None,
        heat: bool = False,
        on_error: Literal["return"],
        version: Version = "",
        timeout: float | None = None,
    ) -> ClassErrorList: ...
    @overload
    def classify(
        self,
        model: str,
        images: Iterator[ImageLike],
        *,
        top_k: int = 5,
        threshold: float | None = None,
        heat: bool = False,
        on_error: Literal["raise"] = "raise",
        version: Version = "",
        timeout: float | None = None,
    ) -> ClassStream: ...
    @overload
    def classify(
        self,
        model: str,
        images: Iterator[ImageLike],
        *,
        top_k: int = 5,
        threshold: float | None = None,
        heat: bool = False,
        on_error: Literal["return"],
        version: Version = "",
        timeout: float | None = None,
    ) -> ClassErrorStream: ...
    def classify(
        self,
        model: str,
        images: Images | Iterator[ImageLike],
        *,
        top_k: int = 5,
        threshold: float | None = None,
        heat: bool = False,
        on_error: str = "raise",
        version: Version = "",
        timeout: float | None = None,
    ) -> Any:
        """The class of each image, in the images' order.

        Args:
            model: its name on the server; that of its endpoint for images, <name>_image, takes image files
                alone.
            images: a path, the bytes of an image file, a file opened in binary mode, a PIL image, a uint8
                array (H, W, 3) RGB or (H, W) grey; a directory; a pattern such as "images/*.jpg"; or a
                sequence of these: a list comes back (AsyncClient: awaited). An iterator, such as a generator,
                is read as the results are asked for, and an iterator comes back (AsyncClient: for
                `async for`); closing that one ends the waiting for what is under way.
            top_k: how many runners-up, the likeliest included.
            threshold: of every label, in place of the Card's, where labels apply together.
            heat: ask as well where the likeliest class is seen, of a model that was exported with an
                explanation by `cam` or `gradcam`; the results of others have none.
            on_error: "raise" the first bad image's error, or "return" it in the image's place.
            version: of the model; by default the server's choice, the latest.
            timeout: seconds, in place of the client's own.
        """
        options = {"top_k": top_k, "threshold": threshold, "heat": heat}
        return self._ask(Given(images), "classification", model, on_error, version, timeout, options)

    @overload
    def segment(
        self,
        model: str,
        images: Images,
        *,
        on_error: Literal["raise"] = "raise",
        version: Version = "",
        timeout: float | None = None,
    ) -> MapList: ...
    @overload
    def segment(
        self,
        model: str,
        images: Images,
        *,
        on_error: Literal["return"],
        version: Version = "",
        timeout: float | None = None,
    ) -> MapErrorList: ...
    @overload
    def segment(
        self,
        model: str,
        images: Iterator[ImageLike],
        *,
        on_error: Literal["raise"] = "raise",
        version: Version = "",
        timeout: float | None = None,
    ) -> MapStream: ...
    @overload
    def segment(
        self,
        model: str,
        images: Iterator[ImageLike],
        *,
        on_error: Literal["return"],
        version: Version = "",
        timeout: float | None = None,
    ) -> MapErrorStream: ...
    def segment(
        self,
        model: str,
        images: Images | Iterator[ImageLike],
        *,
        on_error: str = "raise",
        version: Version = "",
        timeout: float | None = None,
    ) -> Any:
        """The class of each pixel of each image as it was sent, upright and of its size; images, order and
        errors as in `classify`.
        """
        return self._ask(Given(images), "segmentation", model, on_error, version, timeout, {})

    @staticmethod
    @abstractmethod
    def _connect(address: Address, credentials: Credentials) -> AnyTransport: ...

    @abstractmethod
    def _answers(
        self,
        make: Callable[[Card], Task[T]],
        model: str,
        given: Given,
        on_error: str,
        version: str,
        timeout: float | None,
    ) -> Any:
        """What `ask` returns."""

    def _ask(
        self,
        given: Given,
        task: Name | None,
        model: str,
        on_error: str,
        version: Version,
        timeout: float | None,
        options: dict[str, Any],
    ) -> Any:
        if on_error not in ("raise", "return"):
            raise InvalidInput(f"on_error must be 'raise' or 'return', got {on_error!r}")
        make = partial(task_for, only=task, **options)
        return self._answers(make, model, given, on_error, written(version), timeout)

    def _session(self, model: str, version: Version) -> SessionCore:
        return SessionCore(self._core, model, written(version))

    def _deadline(self, timeout: float | None) -> Deadline:
        return Deadline.after(self._timeout if timeout is None else timeout)

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError(f"this {type(self).__name__} is closed; make a new one")


def raised(results: list[T | RegardError], on_error: str) -> list[T | RegardError]:
    """The results; or the first error among them, raised."""
    for result in results:
        if on_error == "raise" and isinstance(result, RegardError):
            raise result
    return results
