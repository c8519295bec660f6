"""What a client is asked by the task of its model: each a line on `ask`, with the types of its answers."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Generic, TypeVar, overload

from regard.contract.names import Task
from regard.serving.client.clips import ClipLike
from regard.serving.client.images import ImageLike, Images
from regard.serving.client.questions import Given
from regard.serving.client.texts import Texts
from regard.serving.client.version import Version

# what comes back: a list or a stream
TextList = TypeVar("TextList")
TextStream = TypeVar("TextStream")
PoseList = TypeVar("PoseList")
PoseStream = TypeVar("PoseStream")
AnswerList = TypeVar("AnswerList")


class Fronts(ABC, Generic[TextList, TextStream, PoseList, PoseStream, AnswerList]):
    """See `regard.Client`."""

    def ask(
        self,
        model: str,
        inputs: Any,
        *,
        on_error: str = "raise",
        version: Version = "",
        timeout: float | None = None,
        **options: Any,
    ) -> Any:
        """What a model answers, whatever it takes and answers: its Card says.

        Args:
            model: its name on the server.
            inputs: what its only input takes: an image as of `classify`; a text; or frames, as a folder, a
                sequence of images or an array (T, H, W, 3). Of a model of several inputs a mapping by their
                names, such as {"image": "cat.jpg", "question": "what colour is it"}. Each may be several, in
                a list; beside a list, one stands for all. A list of results comes back (AsyncClient:
                awaited); of an iterator an iterator, as of `classify`.
            on_error: "raise" the first error of a question, or "return" it in the question's place.
            version: of the model; by default the server's choice, the latest.
            timeout: seconds, in place of the client's own.
            options: of the kind of answer: `top_k`, `threshold` and `heat` of classes, as of `classify`;
                `alignment` of words: with what each attended to.

        Raises:
            InvalidInput: an input lacks or is none of the model's; a text without words, too long, or of
                words that it refuses; an option of another kind of answer; a model that wants a `session`.
        """
        return self._ask(Given.of(inputs), None, model, on_error, version, timeout, options)

    @overload
    def caption(
        self,
        model: str,
        images: Images,
        *,
        alignment: bool = False,
        version: Version = "",
        timeout: float | None = None,
    ) -> TextList: ...
    @overload
    def caption(
        self,
        model: str,
        images: Iterator[ImageLike],
        *,
        alignment: bool = False,
        version: Version = "",
        timeout: float | None = None,
    ) -> TextStream: ...
    def caption(
        self,
        model: str,
        images: Images | Iterator[ImageLike],
        *,
        alignment: bool = False,
        version: Version = "",
        timeout: float | None = None,
    ) -> Any:
        """What each image shows, in words; alignment: with where each word looked. As of `ask`."""
        return self._front("captioning", model, Given(images), version, timeout, alignment=alignment)

    @overload
    def translate(
        self,
        model: str,
        texts: Texts,
        *,
        alignment: bool = False,
        version: Version = "",
        timeout: float | None = None,
    ) -> TextList: ...
    @overload
    def translate(
        self,
        model: str,
        texts: Iterator[str],
        *,
        alignment: bool = False,
        version: Version = "",
        timeout: float | None = None,
    ) -> TextStream: ...
    def translate(
        self,
        model: str,
        texts: Texts | Iterator[str],
        *,
        alignment: bool = False,
        version: Version = "",
        timeout: float | None = None,
    ) -> Any:
        """Each text in other words; alignment: with what each word was made of. As of `ask`."""
        return self._front("translation", model, Given(texts), version, timeout, alignment=alignment)

    def answer(
        self,
        model: str,
        about: Images | ClipLike | Texts,
        question: Texts,
        *,
        version: Version = "",
        timeout: float | None = None,
        **options: Any,
    ) -> AnswerList:
        """The answer to each question about an image, frames or a story: of lists of both, to each pair; of
        one of the two, to it with each of the other. As of `ask`.
        """
        return self._front("question_answering", model, Given(about, question), version, timeout, **options)  # type: ignore[no-any-return]

    @overload
    def pose(
        self, model: str, images: Images, *, version: Version = "", timeout: float | None = None
    ) -> PoseList: ...
    @overload
    def pose(
        self, model: str, images: Iterator[ImageLike], *, version: Version = "", timeout: float | None = None
    ) -> PoseStream: ...
    def pose(
        self,
        model: str,
        images: Images | Iterator[ImageLike],
        *,
        version: Version = "",
        timeout: float | None = None,
    ) -> Any:
        """Where the joints of the figure in each image are. As of `ask`."""
        return self._front("pose", model, Given(images), version, timeout)

    def _front(
        self, task: Task, model: str, given: Given, version: Version, timeout: float | None, **options: Any
    ) -> Any:
        return self._ask(given, task, model, "raise", version, timeout, options)

    @abstractmethod
    def _ask(
        self,
        given: Given,
        task: Task | None,
        model: str,
        on_error: str,
        version: Version,
        timeout: float | None,
        options: dict[str, Any],
    ) -> Any:
        """Ask a model that must be for a task, if one is named."""
