"""What the verbs share that prove a graph: progress, the images of the proof, and its certificates on a
terminal.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from regard.serving.cli.console import out
from regard.serving.cli.stages import Stages, stages
from regard.serving.cli.tables import Table

if TYPE_CHECKING:  # these take their time
    from regard.contract.card import Card
    from regard.contract.certificate import Certificate
    from regard.contract.preprocess import Pixels

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
    """The images of a proof, from a folder or regard's own, and where they come from."""
    from regard.contract.image_files import images_in, read_pixels
    from regard.models.samples import sample_images

    if folder is None:
        return sample_images(card), "regard's sample images"
    return [read_pixels(path) for path in images_in(folder)[:IMAGES]], str(folder)


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
                str(row.batch),
                f"{row.height} x {row.width}",
                "yes" if row.traced else "no",
                f"{row.max_error:.2g}",
                f"{row.relative_error:.2g}",
                f"{row.agreement:.2%}",
            )
        out.print(table)
