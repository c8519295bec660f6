"""What an explanation in the graph is held against: the same by a way that the graph does not go."""

import torch
from torch import Tensor, nn

from regard.contract.names import ACTIVATION_MAP
from regard.models.explain import Explain
from regard.models.explain.cam import at_size_of
from regard.models.explain.explainers import Explainer, attention_weights, closed_form, nothing
from regard.models.explain.head import parts


def closed_form_apart(network: nn.Module, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The same map, and the logits of the network's own forward pass."""
    return network(x), closed_form(network, x)[1]


def by_autograd(network: nn.Module, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Grad-CAM with PyTorch's own gradients, and the logits of the network's own forward pass."""
    classifier, layers = parts(network)
    logits = network(x)
    features = classifier.feature_map(x)
    with torch.enable_grad():
        leaf = features.detach().requires_grad_()
        y = leaf.clone()  # a layer may work in place
        for layer in layers:
            y = layer(y)
        (gradient,) = torch.autograd.grad(y.max(dim=1).values.sum(), leaf)
    alpha = gradient.mean(dim=(2, 3), keepdim=True)
    return logits, {ACTIVATION_MAP: at_size_of(x, (alpha * features).sum(dim=1, keepdim=True).relu())}


REFERENCES: dict[Explain | None, Explainer] = {
    None: nothing,
    "weights": attention_weights,
    "cam": closed_form_apart,
    "gradcam": by_autograd,
}
ALIGNMENTS = "alignments"  # of sequences, likewise
# what the maps are, for the record
NAMES: dict[Explain, str] = {
    "weights": "attention maps",
    "cam": "class activation maps",
    "gradcam": "Grad-CAM by autograd",
}
