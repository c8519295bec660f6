"""The ways of explaining, by name.

weights   what the network itself explains, by `explained`                          its own names
          or the weights of every attention module, as the pass computes them       attention_<path>
cam       class activation map of the likeliest class, in closed form               class_activation_map
gradcam   Grad-CAM of the likeliest class, its gradient written out by hand         class_activation_map
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from regard.contract.names import ACTIVATION_MAP
from regard.errors import ExportError
from regard.models.explain import Explain
from regard.models.explain.attention_maps import captured
from regard.models.explain.cam import class_activation_map
from regard.models.explain.grad_cam import grad_cam
from regard.models.scores import answer_in

# network, its inputs -> what it returns and the explanation by output name
Explainer = Callable[..., tuple[Any, dict[str, Tensor]]]


def nothing(network: nn.Module, *inputs: Tensor) -> tuple[Any, dict[str, Tensor]]:
    """The answer alone."""
    return answer_in(network(*inputs)), {}


def attention_weights(network: nn.Module, *inputs: Tensor) -> tuple[Any, dict[str, Tensor]]:
    """A network's own explanation, by its method `explained(*inputs)`, or else the weights of every attention
    module.

    Raises:
        ExportError: there is none, or its weights are not one tensor.
    """
    if hasattr(network, "explained"):
        own: tuple[Any, dict[str, Tensor]] = network.explained(*inputs)  # type: ignore[operator]
        return own
    with captured(network) as maps:
        logits = answer_in(network(*inputs))
    if not maps:
        raise ExportError(
            f"{type(network).__name__} has nothing to explain: no module of it computes attention in a "
            "method weights(x); choose cam or gradcam, or no explanation"
        )
    return logits, maps


def closed_form(network: nn.Module, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The class activation map, raw: before resizing its mean is the class's logit without the bias."""
    logits, activation = class_activation_map(network, x)
    return logits, {ACTIVATION_MAP: activation}


def by_hand(network: nn.Module, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Grad-CAM, raw: relu of the gradient's mean over the positions times the features."""
    logits, activation = grad_cam(network, x)
    return logits, {ACTIVATION_MAP: activation}


EXPLAINERS: dict[Explain | None, Explainer] = {
    None: nothing,
    "weights": attention_weights,
    "cam": closed_form,
    "gradcam": by_hand,
}
