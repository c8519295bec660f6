"""How the keys of a checkpoint become those of a network, and the account of it: nothing is dropped in
silence.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from regard.errors import InvalidInput, InvalidWeights

SHOWN = 6  # keys named in an error


@dataclass(frozen=True)
class Rule:
    """Keys that match `pattern` as a whole become `name`, a template of its groups; `change` makes the tensor
    fit.
    """

    pattern: str
    name: str
    change: Callable[[Tensor], Tensor] | None = None
    why: str = ""


@dataclass(frozen=True)
class Fill:
    """A key of the network that the checkpoint's library does not have: `value` of the network's own tensor,
    and why that is right.
    """

    pattern: str
    value: Callable[[Tensor], Tensor]
    why: str


@dataclass(frozen=True)
class Refusal:
    """Keys that show a network regard has no equal of."""

    pattern: str
    why: str


@dataclass(frozen=True)
class Naming:
    """The names that a library gives a network's tensors."""

    rules: Sequence[Rule]
    fills: Sequence[Fill] = ()
    refusals: Sequence[Refusal] = ()


@dataclass(frozen=True)
class Row:
    """What became of one key. `source` is None where the checkpoint has none, `target` where the network gets
    none.
    """

    source: str | None
    target: str | None
    what: str


COUNTERS = Fill(
    r".*\.num_batches_tracked", torch.zeros_like, "counts training steps; older checkpoints lack it"
)


def rename(
    state: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    naming: Naming,
    *,
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
    class_keys: frozenset[str] = frozenset(),
) -> tuple[dict[str, Tensor], list[Row]]:
    """Give a checkpoint the names of a network.

    Args:
        state: the checkpoint.
        expected: the network's own state dict.
        naming: the names used in the checkpoint.
        drop: shell patterns of the checkpoint's keys to leave out.
        keep: shell patterns of the network's keys that the checkpoint does not have, which keep their
            untrained values.
        class_keys: the network's keys whose first dimension is the number of classes.

    Returns:
        The whole state dict of the network, and a row for each key of both sides.

    Raises:
        InvalidWeights: the checkpoint is of another network, classifies in another number of classes, or keys
            are left over or missing.
        InvalidInput: a pattern matches nothing.
    """
    _check_patterns("drop", drop, state)
    renamed: dict[str, Tensor] = {}
    rows: list[Row] = []
    left, misfits, refused = [], [], []
    for key, value in state.items():
        if any(fnmatchcase(key, pattern) for pattern in drop):
            rows.append(Row(key, None, "dropped"))
            continue
        reason = next(
            (refusal.why for refusal in naming.refusals if re.fullmatch(refusal.pattern, key)), None
        )
        if reason is not None and reason not in refused:
            refused.append(reason)
        target, changed, what = _apply(naming.rules, key, value)
        if target is None or target not in expected:
            left.append(key)
        elif target in renamed:
            raise InvalidWeights(
                f"two keys of the checkpoint would both become {target}; the second is {key}"
            )
        elif changed.shape != expected[target].shape:
            misfits.append((key, target, tuple(changed.shape)))
        else:
            renamed[target] = changed
            rows.append(Row(key, target, what))
    if refused:
        raise InvalidWeights(f"the checkpoint cannot be converted: {'; '.join(refused)}")
    _check_shapes(misfits, expected, class_keys)
    if left:
        raise InvalidWeights(
            f"{_some(left)} of the checkpoint have no place in the network; name a pattern of them to drop"
        )
    missing = [key for key in expected if key not in renamed]
    _check_patterns("keep", keep, missing)
    for key in list(missing):
        fill = next((fill for fill in (*naming.fills, COUNTERS) if re.fullmatch(fill.pattern, key)), None)
        if any(fnmatchcase(key, pattern) for pattern in keep):
            renamed[key] = expected[key]
            rows.append(Row(None, key, "kept untrained"))
        elif fill is not None:
            renamed[key] = fill.value(expected[key])
            rows.append(Row(None, key, f"filled: {fill.why}"))
    if absent := [key for key in expected if key not in renamed]:
        raise InvalidWeights(
            f"the checkpoint has nothing for {_some(absent)} of the network; name a pattern of them to keep "
            "untrained"
        )
    return renamed, rows


def _apply(rules: Sequence[Rule], key: str, value: Tensor) -> tuple[str | None, Tensor, str]:
    for rule in rules:
        match = re.fullmatch(rule.pattern, key)
        if match:
            target = match.expand(rule.name)
            if rule.change is not None:
                return target, rule.change(value), f"changed: {rule.why}"
            return target, value, "as it is" if target == key else "renamed"
    return None, value, ""


def _check_shapes(
    misfits: Sequence[tuple[str, str, tuple[int, ...]]],
    expected: Mapping[str, Tensor],
    class_keys: frozenset[str],
) -> None:
    for key, target, shape in misfits:
        wanted = tuple(expected[target].shape)
        if target in class_keys and shape[1:] == wanted[1:]:
            raise InvalidWeights(
                f"the checkpoint's {key} is for {shape[0]} classes, the network was built for {wanted[0]}: "
                f"build it with classes={shape[0]}"
            )
    if misfits:
        shown = [
            f"{key} is {shape}, {target} is {tuple(expected[target].shape)}"
            for key, target, shape in misfits[:SHOWN]
        ]
        more = f" and {len(misfits) - SHOWN} more" if len(misfits) > SHOWN else ""
        raise InvalidWeights(
            f"shapes differ: {'; '.join(shown)}{more}. Build the network with the checkpoint's options, or "
            "name patterns of the checkpoint's keys to drop and of the network's to keep untrained"
        )


def _check_patterns(
    purpose: str, patterns: Sequence[str], keys: Sequence[str] | Mapping[str, Tensor]
) -> None:
    for pattern in patterns:
        if not any(fnmatchcase(key, pattern) for key in keys):
            where = "the checkpoint" if purpose == "drop" else "what the checkpoint lacks"
            raise InvalidInput(
                f"the pattern {pattern!r} of keys to {purpose} matches nothing in {where}; it begins with "
                f"{_some(list(keys))}"
            )


def _some(keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:SHOWN])
    return f"{len(keys)} keys ({shown}{', ...' if len(keys) > SHOWN else ''})"
