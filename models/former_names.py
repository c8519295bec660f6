"""Weights under names that their network had once, or has in torchvision: recognised as a whole, and renamed.

A module states in `former_names` which of its children's prefixes were others: {present: former}. Classifiers
hold a backbone since they no longer inherit from one, so that what was `layer1.0.conv1.weight`, and is in
torchvision, is now `backbone.layer1.0.conv1.weight`.
"""

from collections.abc import Mapping

from torch import Tensor, nn


def under_present_names(network: nn.Module, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The state dict with the network's own names, if it has former ones and none of those that took their
    place; else as it is. A mixture is not guessed at.
    """
    present = {former_name(network, key): key for key in network.state_dict()}
    moved = {former: key for former, key in present.items() if former != key}
    if state.keys() & moved.values() or not state.keys() & moved.keys():
        return state
    return {moved.get(key, key): value for key, value in state.items()}


def former_name(module: nn.Module, key: str) -> str:
    """The name that a tensor of a module's state dict had."""
    child, dot, rest = key.partition(".")
    if dot:
        key = f"{child}.{former_name(module.get_submodule(child), rest)}"
    names: Mapping[str, str] = getattr(module, "former_names", {})
    for present, former in names.items():
        if key.startswith(present):
            return former + key.removeprefix(present)
    return key
