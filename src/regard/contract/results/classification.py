"""The classes of an image."""

from dataclasses import dataclass, field

from regard.contract.heat_map import HeatMap


@dataclass(frozen=True)
class Classification:
    """The likeliest class of an image, and the runners-up.

    top: (label, probability) pairs, likeliest first; its first is `label` and `probability`.
    labels: those that apply: the likeliest where labels exclude each other; else all that reach their
        threshold, likeliest first, which may be none.
    heat: where the likeliest is seen, if that was asked for and the model explains itself.
    """

    label: str
    probability: float
    top: tuple[tuple[str, float], ...]
    labels: tuple[str, ...]
    heat: HeatMap | None = field(default=None, compare=False, repr=False)
