"""Which words of a date a translator reads as it writes each character: docs/images/alignment.png.

python examples/alignment.py
"""

from pathlib import Path

import torch
from PIL import Image

from regard.contract.answers.sequence import Sequence
from regard.models.load import resolve

OUT = Path(__file__).parents[1] / "docs" / "images" / "alignment.png"
DATE = "the twenty-first of March, nineteen ninety-four"


def draw(text: str) -> Image.Image:
    """The alignment of a date's ISO form, a row for each character of it."""
    network, card = resolve("rnnsearch", weights="dates")
    (taken,), answer = card.texts, card.answer
    assert isinstance(answer, Sequence)
    with torch.inference_mode():
        found = network(torch.from_numpy(taken.tokenizer.batch([text])))
    rows = {name: value[0].numpy() for name, value in answer.outputs(found).items()}
    said = answer.result(*rows.values())
    print(said.text)
    return said.matrix(taken.tokenizer.words(text))


if __name__ == "__main__":
    draw(DATE).save(OUT)
