"""What a certificate tries of a Card: rows alone and in batches, at every kind of size and length that it
allows; only the first batch is traced. See `image_trials`, `text_trials`, and for a Card with state
`rollouts`.
"""

from collections.abc import Sequence

from regard.contract.answers.kind import Array
from regard.contract.card import Card
from regard.contract.preprocess import Pixels
from regard.contract.tokens_input import TokensInput
from regard.export.proof.image_trials import BATCHES, pixel_batches, trial_shapes
from regard.export.proof.rollouts import rollouts_of
from regard.export.proof.text_trials import Texts, text_batches, texts_of
from regard.export.proof.trial import TRACED, Trial


def trials_of(
    images: Sequence[Pixels], card: Card, *, texts: Sequence[Texts] = (), traced: int | None = TRACED
) -> tuple[Trial, ...]:
    """The trials of a certificate.

    Args:
        images: real ones, of any size; none for a Card that takes texts alone.
        card: what is taken.
        texts: a row for each of these; drawn from the vocabulary where there are none.
        traced: the batch that the candidate was made with; None where there was none.

    Raises:
        InvalidInput: no images for a Card that takes some, texts that it does not take, or a dynamic size
            that leaves one size only.
    """
    pixels = card.pixels
    if card.state is not None:
        assert pixels is not None  # as the Card has it
        return rollouts_of(images, pixels)
    batches = BATCHES if pixels is None else tuple(shape.batch for shape in trial_shapes(pixels))
    turns: list[dict[str, Array]] = [{} for _ in batches]
    kinds: list[list[str]] = [[] for _ in batches]
    rows = texts_of(card, texts)
    for contract in card.inputs:
        if isinstance(contract, TokensInput):
            written = [row[contract.tensor] for row in rows]
            for turn, values in zip(turns, text_batches(written, contract, batches), strict=True):
                turn[contract.tensor] = values
        else:
            for index, (values, names) in enumerate(pixel_batches(images, contract)):
                turns[index][contract.tensor] = values
                kinds[index] = names
    return tuple(
        Trial(
            {contract.tensor: turn[contract.tensor] for contract in card.inputs},
            tuple(names or (f"text {row}" for row in range(1, batch + 1))),
            traced=batch == traced,
        )
        for turn, names, batch in zip(turns, kinds, batches, strict=True)
    )
