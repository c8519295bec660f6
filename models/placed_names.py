"""The names in a state dict, brought to those of the network that it is for.

Whatever a network stood in when it was saved put its own name before those of the tensors: `module.`,
`model.`, `_orig_mod.`, `backbone.`, one after another. No list of them is needed where the network is known:
it is where all of its names are.
"""

import re
from collections import Counter, defaultdict

import torch
from torch import Tensor, nn

from regard.errors import InvalidWeights
from regard.models.former_names import former_name, under_present_names
from regard.models.state_dict import State, shown

# what torch.compile, and PyTorch's sharding and checkpointing, put around modules at any depth
AROUND = re.compile(r"\b(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
BEGINNINGS = ("module.", "model.", "net.", "network.")  # that no library gives its own networks' tensors


def placed(network: nn.Module, state: State, *, source: str) -> tuple[State, list[str]]:
    """A state dict under a network's own names, and notes of what became of the others.

    A network that lies whole under one beginning of names is taken from there, and what lies beside it is
    left out. Tensors that are one in the network are filled from each other. What differs beyond that stays,
    for the caller to name as a misfit.

    Args:
        network: whose weights they are.
        state: as found in the file.
        source: the file, for messages.

    Raises:
        InvalidWeights: the network lies whole under several beginnings, or what is one tensor in it differs.
    """
    own = network.state_dict()
    notes: list[str] = []
    if not any(map(AROUND.search, own)):
        state, notes = _without_around(state)
    start = _beginning(network, state, source)
    if start:
        notes.append(f"stripped {start} of the names")
        if beside := [name for name in state if not name.startswith(start)]:
            notes.append(f"left out {len(beside)} beside them ({shown(beside)})")
        state = _below(state, start)
    state = under_present_names(network, state)
    filled = _filled(own, state)
    if new := filled.keys() - state.keys():
        notes.append(f"filled {shown(sorted(new))}, one tensor with another in the network")
    _check_tied(own, filled, source=source, network=type(network).__name__)
    return filled, notes


def unwrapped(state: State) -> tuple[State, list[str]]:
    """A state dict without what wrappers put before all of its names, where its network is not known; and
    notes of it.
    """
    state, notes = _without_around(state)
    while start := next((each for each in BEGINNINGS if all(name.startswith(each) for name in state)), ""):
        notes.append(f"stripped {start} of the names")
        state = _below(state, start)
    return state, notes


def _without_around(state: State) -> tuple[State, list[str]]:
    plain = {AROUND.sub("", name): value for name, value in state.items()}
    if plain.keys() == state.keys() or len(plain) < len(state):
        return state, []
    around = sorted({found for name in state for found in AROUND.findall(name)})
    return plain, [f"stripped {' and '.join(around)} of the names"]


def _below(state: State, start: str) -> State:
    return {name.removeprefix(start): state[name] for name in state if name.startswith(start)}


def _beginning(network: nn.Module, state: State, source: str) -> str:
    """What the names of the network's tensors begin with; where it is nowhere whole, what most begin with."""
    own = network.state_dict()
    names = own.keys() | {former_name(network, name) for name in own}
    counts = Counter({"": 0})  # beginning -> how many of the names follow it
    for name in state:
        ends = [0, *(match.end() for match in re.finditer(r"\.", name))]
        counts.update(name[:end] for end in ends if name[end:] in names)

    def whole(start: str) -> bool:
        return own.keys() <= _filled(own, under_present_names(network, _below(state, start))).keys()

    if whole(""):
        return ""
    starts = [start for start in counts if whole(start)]
    if len(starts) > 1:
        places = ", ".join(start.removesuffix(".") for start in starts)
        raise InvalidWeights(
            f"{source} holds {type(network).__name__} several times, as {places}; name one as the key"
        )
    return starts[0] if starts else max(counts, key=lambda start: counts[start])


def distinct(state: State) -> dict[str, Tensor]:
    """Of tensors that are one, only the first."""
    return {names[0]: state[names[0]] for names in _one_tensor(state)}


def _filled(own: State, state: State) -> dict[str, Tensor]:
    """With all names of tensors that are one in the network: safetensors saves one of each."""
    filled = dict(state)
    for names in _one_tensor(own):
        held = next((state[name] for name in names if name in state), None)
        if held is not None:
            filled |= {name: held for name in names if name not in state}
    return filled


def _check_tied(own: State, state: State, *, source: str, network: str) -> None:
    for first, *others in _one_tensor(own):
        for name in others:
            if first in state and not torch.equal(state[first], state[name]):
                raise InvalidWeights(
                    f"{source} does not fit {network}, whose {first} and {name} are one tensor: they differ"
                )


def _one_tensor(state: State) -> list[list[str]]:
    """The names of each tensor of a network's own state dict."""
    groups: dict[object, list[str]] = defaultdict(list)
    for name, value in state.items():
        # empty tensors, and those of the meta device, are nowhere
        place = (value.data_ptr(), value.shape, value.stride()) if value.data_ptr() else name
        groups[place].append(name)
    return list(groups.values())
