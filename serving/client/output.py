"""Predictions of files and texts, their pictures written to a folder: one that is bad is an entry with its
error and stops nothing.
"""

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from regard.contract.card import Card
from regard.contract.image_files import read_pixels
from regard.contract.preprocess import Pixels
from regard.errors import InvalidInput
from regard.serving.client.entries import Entry
from regard.serving.client.images import files_of
from regard.serving.client.sessions import Session
from regard.serving.client.sync import Client
from regard.serving.client.videos import frame_files, frames_of
from regard.serving.client.writer import Writer, short, unique_names

__all__ = ["Entry", "expand", "predict_files", "unique_names"]


def expand(images: Sequence[Path]) -> list[Path]:
    """The files named, directories and patterns replaced by what they stand for; see `files_of`.

    Raises:
        InvalidInput: a directory without images.
    """
    return [file for image in images for file in files_of(image)]


def predict_files(
    client: Client,
    model: str,
    asked: Sequence[Path | str],
    *,
    top_k: int,
    out: Path | None,
    questions: Sequence[str] = (),
    threshold: float | None = None,
    clear: Collection[str | int] = (),
) -> Iterator[Entry]:
    """Ask about files or texts in their order, one entry each; or one for each with each of the questions.

    asked: what the first of the Card's inputs takes: image files, clips as folders or animated files, texts.
    out: the folder for pictures: masks and overlays of segmentations, heat maps of a classifier that explains
        itself, where words looked, poses, reconstructions.
    threshold: of every label, in place of the Card's, where labels apply together.
    clear: classes that overlays leave as they are (`Segmentation.overlay`).

    Raises:
        RegardError: what concerns every file: no server, no such model, a threshold for one that has none, a
            folder that cannot be made.
    """
    card = client.card(model)
    options = _options(card, top_k, threshold, drawn=out is not None)
    rows = [(about, question) for about in asked for question in questions or (None,)]
    files = [about if isinstance(about, Path) else Path("text") for about, _ in rows]
    writer, names = Writer(card, out, clear), unique_names(files)
    writer.check(names, files)
    first, *others = [kind.tensor for kind in card.inputs]
    inputs: dict[str, Iterator[Any]] = {first: iter([about for about, _ in rows])}
    if questions:
        inputs[others[0] if others else "question"] = iter([question for _, question in rows])
    results = client.ask(model, inputs, on_error="return", **options)
    for (about, question), file, name, result in zip(rows, files, names, results, strict=True):
        yield writer.entry(about, result, name, question=question, pixels=partial(read_pixels, file))


def _options(card: Card, top_k: int, threshold: float | None, *, drawn: bool) -> dict[str, Any]:
    """Those of `ask`, for this kind of answer."""
    if threshold is not None and card.answer.kind != "classes":
        raise InvalidInput(
            f"a threshold is for labels of whole images; {card.name!r} is a model for {card.task}"
            + (
                ", whose threshold is in its graph: export it again with another"
                * (card.task == "segmentation")
            )
        )
    match card.answer.kind:
        case "classes":
            return {"top_k": top_k, "threshold": threshold, "heat": drawn and card.pixels is not None}
        case "sequence":
            return {"alignment": drawn}
        case _:
            return {}


def predict_videos(
    client: Client,
    model: str,
    videos: Sequence[Path | Sequence[Path]],
    *,
    out: Path | None,
    clear: Collection[str | int] = (),
) -> Iterator[Entry]:
    """Ask a model that remembers about each frame of videos, each in a session of its own. A frame that
    cannot be taken is an entry with its error, and the session goes on.

    videos: folders, animated files, or frames' files in their order.

    Raises:
        RegardError: what concerns every frame, such as a session that is lost.
    """
    writer = Writer(client.card(model), out, clear)
    for place, video in enumerate(videos, 1):
        before = f"{place}_" if len(videos) > 1 else ""
        with client.session(model) as session:
            for name, about, frame in _named_frames(video, writer):
                result = _one(session, frame)
                yield writer.entry(about, result, before + name, pixels=partial(_pixels, frame))


def _named_frames(video: Path | Sequence[Path], writer: Writer) -> Iterator[tuple[str, Path, Path | Pixels]]:
    """Each frame of a video, by the name of its pictures and its own."""
    if isinstance(video, Path) and not video.is_dir():
        for number, frame in enumerate(frames_of(video)):
            yield f"{short(video.stem)}_{number:06d}", Path(f"{video}#{number}"), frame
        return
    files = frame_files(video) if isinstance(video, Path) else list(video)
    names = unique_names(files)
    writer.check(names, files)
    yield from zip(names, files, files, strict=True)


def _one(session: Session, frame: Path | Pixels) -> Any:
    """The result of one frame, or the error of that frame alone."""
    try:
        return next(session.ask([frame]))
    except InvalidInput as error:
        return error


def _pixels(frame: Path | Pixels) -> Pixels:
    return read_pixels(frame) if isinstance(frame, Path) else frame
