"""The two parts of a classifier that an explanation is made between, checked."""

from torch import nn

from regard.errors import ExportError
from regard.models.classifiers import Classifier


def parts(network: nn.Module) -> tuple[Classifier, list[nn.Module]]:
    """The network as a Classifier, and the layers of its head, those of an nn.Sequential one by one.

    Raises:
        ExportError: it has no such parts, or a layer of the head is in training mode.
    """
    if not isinstance(network, Classifier):
        raise ExportError(
            f"{type(network).__name__} is no Classifier: a class activation map needs a feature map and a "
            "head after it. Explain attention itself with weights, or make the network a "
            "regard.models.classifiers.Classifier"
        )
    layers = [layer for child in network.head_layers() for layer in _flat(child)]
    training = next((type(layer).__name__ for layer in layers if layer.training), None)
    if training is not None:
        raise ExportError(
            f"the head of {type(network).__name__} is in training mode ({training}); call .eval() first"
        )
    return network, layers


def named(layers: list[nn.Module]) -> str:
    """The layers' classes in order, for a message."""
    return ", ".join(type(layer).__name__ for layer in layers)


def _flat(layer: nn.Module) -> list[nn.Module]:
    return [inner for child in layer for inner in _flat(child)] if type(layer) is nn.Sequential else [layer]
