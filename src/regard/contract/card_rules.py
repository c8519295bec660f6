"""Rules that hold between the parts of a Card, each broken with a ValueError."""

from typing import TYPE_CHECKING

from regard.contract.answers.label_map import MOST_LABELS
from regard.contract.names import ENCODED_IMAGE, FRAMES, IMAGE, MORE, POSITION, START
from regard.contract.pixels_input import PixelsInput
from regard.contract.state import State

if TYPE_CHECKING:
    from regard.contract.card import Card

IN_WORDS = ("classes", "sequence")  # answers to a text


def check_inputs(card: "Card") -> None:
    """One image or frames at most, and a name of its own for every tensor."""
    if not card.inputs:
        raise ValueError("a network takes one input at least: an image, frames or tokens")
    pictures = [each for each in card.inputs if isinstance(each, PixelsInput)]
    if len(pictures) > 1:
        raise ValueError(
            f"a network takes one image or one row of frames, got {len(pictures)} such inputs: join them in "
            "your own module"
        )
    taken = {IMAGE, FRAMES, START, ENCODED_IMAGE, POSITION, MORE, *card.answer.tensors()}
    for text in card.texts:
        if text.name in taken:
            raise ValueError(f"the name {text.name!r} of an input is taken: give each input its own")
        taken.add(text.name)


def check_answer(card: "Card") -> None:
    """The answer suits what goes in."""
    answer, pixels = card.answer, card.pixels
    if card.texts and answer.kind not in IN_WORDS:
        raise ValueError(
            f"an answer of kind {answer.kind!r} is to an image alone, to a text it is one of kind "
            f"{' or '.join(map(repr, IN_WORDS))}: leave the text out, or set the answer's kind"
        )
    if pixels is None:
        return
    if answer.kind != "label_map" and pixels.pad_to > 1:
        raise ValueError("pad_to is for segmentation: only an answer for every pixel can be cut back")
    full = answer.kind == "label_map" and len(answer.labels) == MOST_LABELS
    if full and pixels.resize == "center_crop":
        raise ValueError(
            f"with {MOST_LABELS} labels no value of a label map is left for what center_crop leaves out: "
            "set resize to 'stretch', or merge two labels"
        )


def check_state(card: "Card", state: State) -> None:
    """A session is one of images, whose state has names of its own."""
    kinds = [each.kind for each in card.inputs]
    if kinds != ["image"]:
        raise ValueError(f"a network with state takes one image at a time, got {' and '.join(kinds)}")
    taken = {IMAGE, START, *card.answer.tensors()}
    for name in (name for each in state.tensors for name in (each.name, each.next)):
        if name in taken:
            raise ValueError(f"the state's name {name!r} is taken: give it another")
