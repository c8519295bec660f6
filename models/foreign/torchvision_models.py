"""Classifiers and segmenters of torchvision.

https://github.com/pytorch/vision

The Card's input is the `transforms` of a weights entry: the entry whose published file was given
(its name holds the file's SHA-256), else the default one. A published file brings its classes' names too.
"""

import inspect
import re
from pathlib import Path
from typing import Any

from torch import nn

from regard.contract.digest import sha256
from regard.contract.image_input import ImageInput
from regard.contract.preprocess import INTERPOLATIONS
from regard.errors import InvalidInput, UnknownName
from regard.models.checkpoint import read_state_dict
from regard.models.foreign.library import Foreign, import_library, unrepresentable
from regard.models.foreign.name import ForeignName
from regard.models.foreign.wrappers import DictOutput, Layers, same_answer

GET_WEIGHTS = (
    "import torch, torchvision; torch.save(torchvision.models.get_model('{name}', "
    "weights='DEFAULT').state_dict(), '{name}.pt')"
)
# they ask for init_weights, and normalize once more if their published weights are used
INCEPTIONS = ("googlenet", "inception_v3")
AUXILIARY = ".aux_classifier."


class TorchvisionModel(Foreign):
    """`torchvision:NAME`, a classifier of torchvision.models or a segmenter of
    torchvision.models.segmentation.

    Args:
        name: what to build.
        weights: the file that will be loaded, None for random weights.
        key: the place in the file, see `read_state_dict`.

    Raises:
        UnknownName: torchvision has no such network.
        InvalidInput: torchvision is not installed, refuses an option, or the network is of another task.
        InvalidWeights: the file cannot be read.
    """

    def __init__(self, name: ForeignName, weights: Path | None, key: str | None = None) -> None:
        models = import_library("torchvision").models
        classifiers = models.list_models(module=models)
        segmenters = models.list_models(module=models.segmentation)
        if name.network not in classifiers and name.network not in segmenters:
            if name.network in models.list_models():
                raise InvalidInput(
                    f"{name.builder} neither classifies nor segments images; regard serves these two tasks"
                )
            raise UnknownName.among(
                "network of torchvision",
                name.network,
                classifiers + segmenters,
                listed_by="torchvision.models.list_models()",
            )
        self.name = name
        self.task = "classification" if name.network in classifiers else "segmentation"
        entries = models.get_model_weights(name.network)
        self.published = None if weights is None else _published(entries, weights)
        self.entry = self.published or entries.DEFAULT
        options = dict(name.options)
        if "classes" in options:
            options["num_classes"] = options.pop("classes")
            if options["num_classes"] == 0:  # which torchvision builds
                raise InvalidInput("classes must be at least 1, got 0")
        options = self._implied(models.get_model_builder(name.network), weights, key) | options
        try:
            self.network = models.get_model(name.network, weights=None, **options)
        except Exception as error:  # whatever its constructors raise
            raise InvalidInput(
                f"torchvision cannot build {name.network} with {options or 'no options'}: {error}"
            ) from None

    def _implied(self, builder: Any, weights: Path | None, key: str | None) -> dict[str, Any]:
        """Options that torchvision's builder sets itself when it loads published weights, or that keep it
        from downloading.
        """
        network = self.name.network
        implied: dict[str, Any] = {}
        if self.task == "segmentation":
            if "weights_backbone" in inspect.signature(builder).parameters:
                implied["weights_backbone"] = None
            if weights is not None and any(AUXILIARY in f".{name}" for name in read_state_dict(weights, key)):
                implied["aux_loss"] = True
        if network in INCEPTIONS:
            implied["init_weights"] = False
            implied["transform_input"] = self.published is not None
        if network.startswith("vit_"):
            implied["image_size"] = self.entry.meta["min_size"][0]
        return implied

    def adapted(self) -> nn.Module:
        """Segmenters give their logits alone; classifiers come in two parts where they are layers around
        global average pooling.
        """
        if self.task == "segmentation":
            network: Any = self.network
            if hasattr(network, "aux_classifier"):
                network.aux_classifier = None  # only training asks for it
            return DictOutput(network)
        side = self._side(self.entry.transforms())
        candidates = _layers(self.network)
        return next(
            (split for split in candidates if same_answer(self.network, split, side, side)), self.network
        )

    def contract(self) -> ImageInput:
        transforms = self.entry.transforms()
        method = transforms.interpolation.value
        if method not in INTERPOLATIONS:
            raise unrepresentable(self.name, f"resizes by {method}")
        fields = {"mean": tuple(transforms.mean), "std": tuple(transforms.std), "interpolation": method}
        # the scores are resized to the image, so that it need not be brought to one size
        if self.task == "segmentation":
            (side,) = transforms.resize_size
            return ImageInput(height=side, width=side, resize="none", dynamic_size=True, **fields)
        (scaled,), (cropped,) = transforms.resize_size, transforms.crop_size
        if scaled < cropped:
            raise unrepresentable(self.name, f"crops {cropped} out of {scaled} pixels")
        side = self._side(transforms)
        return ImageInput(height=side, width=side, resize="center_crop", crop=cropped / scaled, **fields)

    def labels(self, count: int) -> tuple[str, ...]:
        known = self.published.meta["categories"] if self.published else ()
        return tuple(known) if len(known) == count else super().labels(count)

    def _side(self, transforms: Any) -> int:
        # vision transformers are built for one size
        return int(getattr(self.network, "image_size", transforms.crop_size[0]))


def _published(entries: Any, weights: Path) -> Any:
    """The weights entry whose published file this is: torchvision's file names end in the beginning of their
    SHA-256.
    """
    digest = sha256(weights) if weights.is_file() else ""
    for entry in entries:
        named = re.search(r"-([0-9a-f]{8,})\.pth$", entry.url)
        if named and digest.startswith(named[1]):
            return entry
    return None


def _layers(network: nn.Module) -> list[nn.Module]:
    """The ways to see a network as layers: its children up to the pooling, perhaps a ReLU as in DenseNet, and
    those after it.
    """
    children = [child for child in network.children() if not isinstance(child, nn.AdaptiveAvgPool2d)]
    *features, last = children
    head = [
        layer
        for layer in (last if isinstance(last, nn.Sequential) else [last])
        if not isinstance(layer, nn.Flatten)
    ]
    return [Layers(body, head).eval() for body in (features, [*features, nn.ReLU()])]
