"""Grad-CAM: a class activation map for any head, from the gradient of the class's logit in the feature map.

Selvaraju, Cogswell, Das, Vedantam, Parikh & Batra, "Grad-CAM: Visual Explanations from Deep Networks via
Gradient-based Localization", ICCV 2017, eqs. 1-2. https://arxiv.org/abs/1610.02391

    alpha_k^c = mean_xy d y^c / d A_k(x, y)
    L^c = relu(sum_k alpha_k^c A_k)

The gradient goes back through the head by the products of `vjp`, layer by layer: no autograd. For a head of
global average pooling and one linear layer alpha_k^c = w_k^c / (h w), so that L^c is relu of the class
activation map over the number of positions.
"""

from torch import Tensor, arange, nn

from regard.errors import ExportError
from regard.models.explain.cam import at_size_of
from regard.models.explain.head import named, parts
from regard.models.explain.vjp import pull_back, run


def grad_cam(network: nn.Module, x: Tensor, classes: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Logits (B, K), and L^c at the images' size (B, H, W), of the likeliest class unless `classes` (B,) says
    which.

    Shape: x is (B, 3, H, W). The map is resized bilinearly, and is 0 or more; its scale is the logit's change
    per position.

    Raises:
        ExportError: the network is no Classifier, or a layer of its head has no vector-Jacobian product.
    """
    classifier, layers = parts(network)
    features = y = classifier.feature_map(x)  # (B, C, h, w)
    steps = []
    for layer in layers:
        steps.append(run(layer, y))
        y = steps[-1].y
    chosen = y.argmax(dim=1) if classes is None else classes
    # of the class's logit in all logits
    gradient = (arange(y.shape[1], device=y.device) == chosen[:, None]).to(y.dtype)
    for index in reversed(range(len(layers))):
        try:
            gradient = pull_back(layers[index], steps[index], gradient)
        except ExportError as error:
            raise ExportError(
                f"Grad-CAM cannot go back through layer {index} of the head of {type(network).__name__} "
                f"({named(layers)}): {error}"
            ) from None
    alpha = gradient.mean(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)  eq. 1
    return y, at_size_of(x, (alpha * features).sum(dim=1, keepdim=True).relu())  # eq. 2
