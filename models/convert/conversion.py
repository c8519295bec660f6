"""From a checkpoint of another library to weights of the catalog's network, with their Card beside them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from regard.contract.digest import sha256
from regard.contract.whole_file import write_text
from regard.errors import InvalidInput
from regard.models.catalog import build
from regard.models.checkpoint import load_weights, read_state_dict, save_weights
from regard.models.convert.namings import guess_library, naming_of
from regard.models.convert.rules import Row, rename
from regard.models.load.catalog_network import build_seeded, default_card
from regard.models.options import CLASSES, split_options, with_classes
from regard.models.placed_names import unwrapped

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Conversion:
    """What was written, and what became of every key."""

    weights: Path
    card: Path
    library: str
    rows: tuple[Row, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many keys fared how."""
        return dict(Counter(row.what.split(":")[0] for row in self.rows))


def convert_checkpoint(
    checkpoint: Path,
    name: str,
    output: Path,
    *,
    library: str | None = None,
    options: Mapping[str, Any] | None = None,
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
    key: str | None = None,
    report: Callable[[str], None] = lambda note: None,
) -> Conversion:
    """Write a checkpoint under the names of a catalog network.

    Args:
        checkpoint: a file with a state dict, see `read_state_dict`.
        name: of the catalog; options may follow it, `NAME?key=value&key=value`.
        output: the .safetensors file to write; its Card goes beside it as .json.
        library: whose names the checkpoint has, one of `namings.LIBRARIES`; found out where None.
        options: of the network's builder, `classes` among them.
        drop: see `rename`.
        keep: likewise.
        key: which state dict of the checkpoint, where it holds several.
        report: told where in the checkpoint it was, and what was stripped of the names.

    Raises:
        InvalidWeights: the checkpoint cannot be read, or not every key has its place.
        InvalidInput: an option or pattern is wrong, there is no map for the network, or the files cannot be
            written.
        UnknownName: the catalog has no such network, or the network no such option.
    """
    if output.suffix != SUFFIX:
        raise InvalidInput(f"weights are written as {SUFFIX}, not as {output.name!r}")
    name, options = split_options(name, options or {})
    options = with_classes(options)
    network = build_seeded(name, options)  # what is kept untrained is the same every time
    state, notes = unwrapped(read_state_dict(checkpoint, key, report=report))
    for note in notes:
        report(f"{checkpoint}: {note}")
    library = library or guess_library(state)
    expected = network.state_dict()
    renamed, rows = rename(
        state,
        expected,
        naming_of(library, network),
        drop=drop,
        keep=keep,
        class_keys=_class_keys(name, options, expected),
    )
    load_weights(network, renamed, source=str(checkpoint))
    card = default_card(name, network, options)
    digest = save_weights(network, output)
    data = f"unknown to regard: {checkpoint.name}, SHA-256 {sha256(checkpoint)}, with the names of {library}"
    card = card.updated(
        name=output.stem, origin=card.origin.model_dump() | {"weights_sha256": digest, "data": data}
    )
    beside = output.with_suffix(".json")
    write_text(beside, card.to_json())
    return Conversion(output, beside, library, tuple(rows))


def _class_keys(
    name: str, options: Mapping[str, Any], expected: Mapping[str, torch.Tensor]
) -> frozenset[str]:
    """The keys whose shape follows the number of classes."""
    with torch.device("meta"):
        one, two = (build(name, **{**options, CLASSES: count}).state_dict() for count in (2, 3))
    return frozenset(key for key in expected if key in one and one[key].shape != two[key].shape)
