"""The proof of a variant, for a terminal: its certificates, its judgement, or both."""

from typing import TYPE_CHECKING

from regard.serving.cli.console import out
from regard.serving.cli.judgement_table import judgement_table
from regard.serving.cli.proof import show_certificates

if TYPE_CHECKING:
    from regard.contract.variant import Variant


def show_proof(variant: "Variant") -> None:
    """A table for each part of it."""
    words = "proven equal" if variant.precision == "float32" else f"within the bounds of {variant.precision}"
    show_certificates(variant.certificates, passed=words)
    if variant.judgement is not None:
        out.print(judgement_table(variant))
    if variant.precision == "fp16" and variant.float32_blocks:
        out.print(f"in float32: {len(variant.float32_blocks)} nodes")
    if variant.accuracy_only:
        out.print("accuracy only: fp16 is for GPUs, and its speed is measured there")
