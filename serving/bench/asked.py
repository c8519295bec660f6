"""The requests of a benchmark for models that take more than an image: as the client itself makes them."""

from collections.abc import Sequence

from regard.contract.card import Card
from regard.contract.inputs import FramesInput
from regard.errors import InvalidInput
from regard.serving.client.batches import Batch, batches
from regard.serving.client.images import decoded, encoded
from regard.serving.client.items import Clip, Item, Part, Raw, Several, Words
from regard.serving.text_files import Texts


def asked(
    card: Card, images: Sequence[bytes], texts: Sequence[Texts], *, size: int, files: bool
) -> list[Batch]:
    """Batches of `size` questions, one for each question: the n-th begins with the n-th, and goes on around.

    images: encoded; of frames the n-th clip begins with the n-th.
    files: for the endpoint of files and texts.

    Raises:
        InvalidInput: `size` is outside the Card's batch, or images of one batch differ in size.
    """
    if not 1 <= size <= card.max_batch:
        raise InvalidInput(f"a batch of {card.name} holds 1 to {card.max_batch} questions, got {size}.")
    questions = [_question(card, images, texts, place) for place in range(max(len(images), len(texts)))]
    found = []
    for place in range(len(questions)):
        group = [questions[(place + step) % len(questions)] for step in range(size)]
        made = list(batches(group, card, decode=not files, files=files))
        if made[0].refused:
            raise made[0].refused
        if len(made) > 1:
            raise InvalidInput("a batch holds images of one size; send one at a time, or images of one size.")
        found += made
    return found


def _question(card: Card, images: Sequence[bytes], texts: Sequence[Texts], place: int) -> Item:
    parts: list[Part] = []
    if isinstance(card.pixels, FramesInput):
        files = [images[(place + step) % len(images)] for step in range(card.pixels.frames)]
        raws = [decoded(encoded(file, f"frame {step}")) for step, file in enumerate(files)]
        parts.append(Clip("the clip", tuple(raw.pixels for raw in raws if isinstance(raw, Raw))))
    elif card.pixels is not None:
        parts.append(encoded(images[place % len(images)], "the image"))
    for kind in card.texts:
        text = texts[place % len(texts)][kind.name]
        parts.append(Words(kind.name, text, kind.tokenizer.encode(text)))
    return parts[0] if len(parts) == 1 else Several(tuple(parts))
