"""What a finished training leaves: half-precision weights, and a Card with what those very weights reach."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from regard.contract.card import Card, Origin
from regard.contract.whole_file import write_text
from regard.models.checkpoint import load_weights, read_state_dict, save_weights


def ship(card: Card, network: nn.Module, measure: Callable[[nn.Module], dict[str, float]], out: Path) -> Card:
    """Write `<name>.safetensors` (float16) and `<name>.json` into `out`, and return the Card.

    Args:
        card: of the network, its metrics being those of others: the baselines.
        network: trained; it gets the numbers that were stored.
        measure: the network's own metrics on held-out data.
        out: folder, made where it is missing.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{card.name}.safetensors"
    digest = save_weights(network, path, torch.float16)
    load_weights(network, read_state_dict(path), source=str(path))
    with torch.inference_mode():
        metrics = measure(network.eval()) | card.origin.metrics
    origin = Origin.model_validate(card.origin.model_dump() | {"weights_sha256": digest, "metrics": metrics})
    shipped = card.model_copy(update={"origin": origin, "tools": {"torch": torch.__version__}})
    write_text(out / f"{card.name}.json", shipped.to_json())
    return shipped
