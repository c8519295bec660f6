"""Class activation mapping: a classifier with global average pooling shows which positions its score adds up
from.

Zhou, Khosla, Lapedriza, Oliva & Torralba, "Learning Deep Features for Discriminative Localization", CVPR
2016, eqs. 1-2. https://arxiv.org/abs/1512.04150

    S_c = sum_k w_k^c mean_xy f_k(x, y)           the logit without its bias
    M_c(x, y) = sum_k w_k^c f_k(x, y),   S_c = mean_xy M_c(x, y)

The paper sums over the positions where this averages; the average is what the classifiers here compute. Zhang
et al., "Adversarial Complementary Learning", CVPR 2018, section 3.1, prove the same of a head that ends in a
1x1 convolution and pooling, whose own result before the pooling is M; its bias is in M then.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.errors import ExportError
from regard.models.classifiers import GlobalAveragePool
from regard.models.explain.head import named, parts

NEUTRAL = (nn.Identity, nn.Dropout, nn.Dropout2d, nn.Flatten)  # in evaluation mode they change no number


def class_activation_map(
    network: nn.Module, x: Tensor, classes: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Logits (B, K), and the raw map M_c at the images' size (B, H, W), of the likeliest class unless
    `classes` (B,) says which.

    Shape: x is (B, 3, H, W). The map is resized bilinearly; before that its mean is the class's logit without
    the bias.

    Raises:
        ExportError: the network is no Classifier, or its head neither is average pooling and one linear layer
            nor ends in the pooling.
    """
    classifier, layers = parts(network)
    inner, linear = _split(classifier, layers)
    maps = classifier.feature_map(x)  # (B, C, h, w)
    for layer in inner:
        maps = layer(maps)
    logits = maps.mean(dim=(2, 3))
    if linear is not None:
        logits = linear(logits)  # (B, K)
    chosen = logits.argmax(dim=1) if classes is None else classes
    if linear is None:
        height, width = maps.shape[2:]
        index = chosen[:, None, None, None].expand(-1, 1, height, width)
        activation = maps.gather(1, index)
    else:
        weights = F.embedding(chosen, linear.weight)  # (B, C)
        # (B, 1, h, w)
        activation = torch.matmul(weights[:, None], maps.flatten(2)).unflatten(2, maps.shape[2:])
    return logits, at_size_of(x, activation)


def at_size_of(x: Tensor, activation: Tensor) -> Tensor:
    """A map (B, 1, h, w) at the images' size: (B, H, W)."""
    return F.interpolate(activation, size=x.shape[2:], mode="bilinear", align_corners=False)[:, 0]


def min_max_scaled(maps: Tensor) -> Tensor:
    """Each map of (B, 1, h, w) shifted and scaled to 0..1; one that is the same everywhere becomes 0."""
    low, high = maps.amin(dim=(2, 3), keepdim=True), maps.amax(dim=(2, 3), keepdim=True)
    return (maps - low) / (high - low).clamp(min=torch.finfo(maps.dtype).tiny)


def _split(classifier: nn.Module, layers: list[nn.Module]) -> tuple[list[nn.Module], nn.Linear | None]:
    """The layers before the pooling, and the linear layer after it, None where the pooling ends the head."""
    essential = [layer for layer in layers if not isinstance(layer, NEUTRAL)]
    if len(essential) == 2 and _averages(essential[0]) and type(essential[1]) is nn.Linear:
        return [], essential[1]
    if len(essential) >= 1 and _averages(essential[-1]):
        return essential[:-1], None
    raise ExportError(
        f"the head of {type(classifier).__name__} is {named(layers)}: a class activation map is exact for "
        "global average pooling and one linear layer, or for convolutions that end in global average "
        "pooling; use gradcam"
    )


def _averages(layer: nn.Module) -> bool:
    return isinstance(layer, GlobalAveragePool) or (
        isinstance(layer, nn.AdaptiveAvgPool2d) and layer.output_size in (1, (1, 1))
    )
