"""What the verbs share that prove a graph: progress, the images and texts of the proof, and its certificates
on a terminal.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from regard.errors import InvalidInput
from regard.serving.cli.console import out
from regard.serving.cli.stages import Stages, stages
from regard.serving.cli.tables import Table
from regard.serving.text_files import read_texts

if TYPE_CHECKING:  # these take their time
    from regard.contract.card import Card
    from regard.contract.certificate import Certificate, Comparison
    from regard.contract.preprocess import Pixels
    from regard.export.proof.text_trials import Texts

IMAGES = 6  # as many as the largest batches of a certificate need together


@contextmanager
def proving(first_stage: str, *, quietly: bool) -> Iterator[Stages]:
    """Show the stages inside, and, unless `quietly`, the certificates of a proof that failed."""
    with stages(first_stage) as shown:
        from regard.export.proof.comparison import ParityError

        failed: ParityError | None = None
        try:
            yield shown
        except ParityError as error:
            failed = error
    if failed is not None:
        if not quietly:
            show_certificates(failed.certificates)
        raise failed


def proof_images(folder: Path | None, card: "Card") -> "tuple[list[Pixels], str]":
    """The images of a proof, from a folder or regard's own, and where they come from; none for a Card that
    takes texts alone.
    """
    from regard.contract.image_files import images_in, read_pixels
    from regard.models.samples import sample_images

    if card.pixels is None:
        if folder is not None:
            raise InvalidInput(f"{card.name} takes no images; leave --images out")
        return [], "no images"
    if folder is None:
        return sample_images(card), "regard's sample images"
    return [read_pixels(path) for path in images_in(folder)[:IMAGES]], str(folder)


def proof_texts(file: Path | None, card: "Card") -> "tuple[list[Texts], str]":
    """The texts of a proof, from a file of a line for each, and where they come from; none where they are to
    be drawn, or the Card takes none; see `read_texts`.
    """
    names = [each.tensor for each in card.texts]
    if file is None:
        return [], f"{' and '.join(names)} drawn from the vocabulary" if names else ""
    if not names:
        raise InvalidInput(f"{card.name} takes no texts; leave --texts out")
    return [*read_texts(file, card)], str(file)


def sources(*each: str) -> str:
    """Where the inputs of a proof come from, for the record."""
    return " and ".join(source for source in each if source and source != "no images")


def size_of(row: "Comparison") -> str:
    """What was compared, beside the batch."""
    sides = None if row.height is None else f"{row.height} x {row.width}"
    words = None if row.words is None else f"{row.words} words"
    return ", ".join(filter(None, (sides, words)))


def show_certificates(certificates: "Sequence[Certificate]", *, passed: str = "proven equal") -> None:
    """A table for each certificate: what was compared, and whether it passed, in words."""
    for certificate in certificates:
        verdict = passed if certificate.passed else "NOT equal"
        bounds = (
            f"at most {certificate.max_error:.2g} error, at least {certificate.min_agreement:.1%} agreement"
        )
        table = Table(
            "batch",
            "size",
            "traced",
            "max error",
            "relative",
            "agreement",
            title=f"{certificate.reference} and {certificate.candidate}: {verdict}",
            caption=f"{certificate.images}; {bounds}",
            figures=("batch", "size", "max error", "relative", "agreement"),
        )
        for row in certificate.comparisons:
            table.add(
                f"{row.batch} steps" if row.rollout else str(row.batch),
                size_of(row),
                "yes" if row.traced else "no",
                f"{row.max_error:.2g}",
                f"{row.relative_error:.2g}",
                f"{row.agreement:.2%}",
            )
        out.print(table)
