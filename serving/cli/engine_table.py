"""What an engine is, what its layers are, and those that are not what was asked for, for a terminal."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.filesize import decimal

from regard.export.tensorrt.library import NAMES
from regard.serving.cli.tables import Table

if TYPE_CHECKING:
    from regard.contract.plan import Layer
    from regard.serving.page import EngineFacts


def engine_table(engine: "EngineFacts") -> Table:
    """An engine in a few lines."""
    plan = engine.plan
    table = Table("", "", title=f"engine of {engine.variant}: {plan.precision}, {plan.state}")
    table.add("built by", f"{NAMES[plan.library]} {plan.version}, in {plan.seconds:.1f} s")
    table.add("for", f"{plan.target}: compute capability {', '.join(plan.compute_capabilities)}")
    for profile in plan.profiles:
        shapes = (" x ".join(map(str, shape)) for shape in (profile.least, profile.best, profile.most))
        table.add("shapes", "{}, best {}, most {}".format(*shapes))
    counts = ", ".join(f"{count} in {precision}" for precision, count in plan.layers_by_precision.items())
    table.add("layers", f"{len(plan.layers)}: {counts}")
    table.add("size", decimal(engine.bytes))
    table.add("graph", plan.graph_sha256)
    return table


def layer_types_table(layers: "Sequence[Layer]") -> Table:
    """How many layers of each type compute in each precision, the most first."""
    table = Table("layers", "precision", "how many", figures=("how many",))
    for (type_, precision), count in Counter((layer.type, layer.precision) for layer in layers).most_common():
        table.add(type_, precision, str(count))
    return table


def layers_table(layers: "Sequence[Layer]") -> Table:
    """Each layer, and what it computes in."""
    table = Table("layer", "type", "precision", "nodes", whole=("layer",))
    for layer in layers:
        table.add(layer.name, layer.type, layer.precision, ", ".join(layer.nodes))
    return table
