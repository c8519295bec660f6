"""The layers of an engine, as the library lists them.

TensorRT-RTX logs them while it builds, at its VERBOSE level, in a message that no documentation promises;
TensorRT's engine inspector gives them as JSON, of an engine that is loaded on a GPU. Where a list is missing
or reads otherwise than it did there is no proof of what an engine computes in, which is an error.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from regard.contract.plan import Layer
from regard.errors import ExportError

# the libraries' names of types, as regard calls them
TYPES = {
    **dict.fromkeys(("Float", "FP32"), "float32"),
    **dict.fromkeys(("Half", "FP16"), "fp16"),
    **dict.fromkeys(("BFloat16", "BF16"), "bf16"),
    **{name: name.lower() for name in ("FP8", "Int8", "INT8", "UInt8", "UINT8", "Bool", "BOOL")},
    **{name: name.lower() for name in ("Int32", "INT32", "Int64", "INT64")},
}
TENSORS = r"\[(?P<{}>( {{.*?}})?)\]"
LINE = re.compile(
    rf"Name: (?P<name>.*?), LayerType: (?P<type>.*?), Inputs: {TENSORS.format('inputs')}"
    rf"(, Constants: {TENSORS.format('constants')})?, Outputs: {TENSORS.format('outputs')}"
    r", .*?Metadata: ?(?P<metadata>.*)"
)
NODE = re.compile(r"\[ONNX Layer: (.*?)\]")
DATATYPE = re.compile(r"Datatype: (\w+)")
MISSING = "so that nothing shows what the engine computes in"


def layers_logged(messages: Sequence[str]) -> tuple[Layer, ...]:
    """The layers of the messages that begin with `Layers:`.

    Raises:
        ExportError: there are none, or they read otherwise than expected.
    """
    lines = [line for message in messages for line in message.splitlines() if line.startswith("Name: ")]
    layers = tuple(layer for line in lines if (layer := _logged(line)))
    if not layers:
        raise ExportError(f"the builder lists no layers, {MISSING}; take the version that regard asks for")
    return layers


def _logged(line: str) -> Layer | None:
    found = LINE.fullmatch(line)
    if found is None:
        raise ExportError(f"the builder lists a layer in a way that is not known, {MISSING}: {line[:200]}")
    takes, holds, gives = (DATATYPE.findall(found[part] or "") for part in ("inputs", "constants", "outputs"))
    return _layer(found["name"], found["type"], takes, holds, gives, NODE.findall(found["metadata"]))


def layers_inspected(text: str) -> tuple[Layer, ...]:
    """The layers of the engine inspector's JSON.

    Raises:
        ExportError: there are none, or no details, or they read otherwise than expected.
    """
    try:
        entries = json.loads(text)["Layers"]
        layers = tuple(layer for entry in entries if (layer := _inspected(entry)))
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(
            f"the engine inspector lists layers in a way that is not known, {MISSING} "
            f"({type(error).__name__}: {error})"
        ) from None
    if not layers:
        raise ExportError(f"the engine inspector lists no layers, {MISSING}")
    return layers


def _inspected(entry: dict[str, Any]) -> Layer | None:
    """Of one layer; without details an entry is a name alone, which is a TypeError."""
    takes, gives = ([_type_of(tensor) for tensor in entry[side]] for side in ("Inputs", "Outputs"))
    holds = [_type_of(tensor) for tensor in entry.get("Constants", [])]
    return _layer(
        entry["Name"], entry["LayerType"], takes, holds, gives, NODE.findall(entry.get("Metadata", ""))
    )


def _type_of(tensor: dict[str, Any]) -> str:
    """Of a tensor of the inspector, whose `Format/Datatype` is a type, or words with one among them."""
    words = str(tensor.get("Datatype") or tensor["Format/Datatype"])
    return next((word for word in re.findall(r"\w+", words) if word in TYPES), words)


def _layer(
    name: str,
    type_: str,
    takes: Sequence[str],
    holds: Sequence[str],
    gives: Sequence[str],
    nodes: Iterable[str],
) -> Layer | None:
    """The record of a layer; None of one without tensors, which waits for others or signals to them."""
    first = next(iter((*takes, *holds, *gives)), None)
    if first is None:
        return None
    types = dict.fromkeys(TYPES.get(each, each) for each in (*takes, *gives))
    return Layer(
        name=name,
        type=type_,
        precision=TYPES.get(first, first),
        types=tuple(types),
        nodes=tuple(dict.fromkeys(nodes)),
    )
