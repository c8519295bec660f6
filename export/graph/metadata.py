"""What a graph says beside its operators: the Card, and nothing of the machine it was made on."""

from collections.abc import Collection

from onnx import ModelProto, helper

from regard.contract.card import Card
from regard.contract.names import CARD_METADATA
from regard.export.graph.nodes import nodes_of

SCOPES = "pkg.torch.onnx.name_scopes"  # the modules that a node comes from, by PyTorch's exporter
KEPT_METADATA = ("namespace", SCOPES)  # of a node; the rest quotes source code and paths of this machine


def describe(model: ModelProto, card: Card, *, keep: Collection[str] = KEPT_METADATA) -> None:
    """Put the Card into the model's metadata, and take out what quotes a machine's source code and paths.

    Args:
        model: changed in place.
        card: what it takes and answers.
        keep: keys of the nodes' metadata that stay.
    """
    for node in nodes_of(model):
        node.ClearField("doc_string")
        kept = [entry for entry in node.metadata_props if entry.key in keep]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
    for part in (model.graph, model):
        part.ClearField("doc_string")
        del part.metadata_props[:]
    helper.set_model_props(model, {CARD_METADATA: card.to_json()})
