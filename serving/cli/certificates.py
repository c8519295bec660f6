"""Certificates on a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from regard.serving.cli.console import out

if TYPE_CHECKING:  # pydantic takes its time
    from regard.models.card import Certificate


def show_certificates(certificates: "Sequence[Certificate]") -> None:
    """A table for each certificate: what was compared, and whether it passed."""
    for certificate in certificates:
        verdict = "[green]proven equal[/green]" if certificate.passed else "[red]NOT equal[/red]"
        bounds = f"at most {certificate.max_error:.2g} error, at least {certificate.min_agreement:.1%} agreement"
        table = Table(
            "batch",
            "size",
            "traced",
            "max error",
            "relative",
            "agreement",
            title=f"{certificate.reference} and {certificate.candidate}: {verdict}",
            caption=f"{certificate.images}; {bounds}",
        )
        for row in certificate.comparisons:
            table.add_row(
                str(row.batch),
                f"{row.height} x {row.width}",
                "yes" if row.traced else "no",
                f"{row.max_error:.2g}",
                f"{row.relative_error:.2g}",
                f"{row.agreement:.2%}",
            )
        out.print(table)
