"""How a variant was judged, for a terminal."""

from typing import TYPE_CHECKING

from regard.serving.cli.evaluate_tables import words
from regard.serving.cli.tables import Table

if TYPE_CHECKING:
    from regard.contract.variant import Variant


def judgement_table(variant: "Variant") -> Table:
    """Its figures beside float32's, and what passes.

    variant: one that was judged.
    """
    judgement = variant.judgement
    assert judgement is not None
    table = Table(
        *("", "float32", variant.name, "passes"),
        figures=("float32", variant.name),
        title=f"{variant.name} ({judgement.candidate}) and float32 on {judgement.data}: "
        f"{'as good' if judgement.passed else 'NOT as good'}",
        caption="\n".join(_notes(variant)),
    )
    if accuracy := judgement.accuracy:
        table.add(
            words(accuracy.metric),
            f"{accuracy.reference:.4f}",
            f"{accuracy.variant:.4f}",
            f"at most {accuracy.max_drop} lower, and so is the interval",
        )
        table.add("difference [95 %]", "", f"[{accuracy.low:+.4f}, {accuracy.high:+.4f}]", "")
    table.add("agreement", "", f"{judgement.agreement:.4f}", f"at least {judgement.min_agreement}")
    if judgement.min_least_agreement:
        table.add(
            *("worst image", "", f"{judgement.least_agreement:.4f}"),
            f"at least {judgement.min_least_agreement}",
        )
    if speed := judgement.speed:
        table.add(
            *("ms an image, one thread", f"{1e3 * speed.reference:.2f}", f"{1e3 * speed.variant:.2f}"),
            f"{speed.ratio:.2f} times as fast, {speed.device}",
        )
    return table


def _notes(variant: "Variant") -> list[str]:
    judgement = variant.judgement
    assert judgement is not None
    notes = []
    if judgement.calibration:
        notes.append(f"calibrated with {judgement.calibration}")
    if variant.float32_blocks and variant.precision == "int8":  # fp16's are nodes, and many
        notes.append(f"in float32: {', '.join(variant.float32_blocks)}")
    if judgement.accuracy is None:
        notes.append("agreement only: without labels nothing is known of its accuracy")
    if judgement.speed is None and judgement.passed and not variant.accuracy_only:
        notes.append("its speed was not measured: what it is for is not here")
    return notes
