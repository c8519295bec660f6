"""Classifiers of timm.

Wightman, "PyTorch Image Models". https://github.com/huggingface/pytorch-image-models

The Card's input is timm's own evaluation data config: input_size, crop_pct, crop_mode, interpolation, mean
and std. timm resizes the shorter side to floor(size / crop_pct), so `crop` is size / floor(size / crop_pct).
"""

import math
from typing import Any

from torch import Tensor, nn

from regard.contract.image_input import ImageInput
from regard.contract.preprocess import INTERPOLATIONS
from regard.errors import InvalidInput, UnknownName
from regard.models.classifiers import Classifier, GlobalAveragePool
from regard.models.foreign.library import Foreign, import_library, unrepresentable
from regard.models.foreign.name import ForeignName
from regard.models.foreign.wrappers import same_answer

GET_WEIGHTS = (
    "import timm, torch; torch.save(timm.create_model('{name}', pretrained=True).state_dict(), '{name}.pt')"
)


class TimmModel(Foreign):
    """`timm:NAME`, where NAME is one of timm.list_models(), with a pretrained tag or without.

    Raises:
        UnknownName: timm has no such network.
        InvalidInput: timm is not installed, refuses an option, or the network has no classes.
    """

    task = "classification"

    def __init__(self, name: ForeignName) -> None:
        timm = import_library("timm")
        if not timm.is_model(name.network):
            untagged = name.network.split(".")[0]
            raise UnknownName.among(
                f"network of timm {timm.__version__}",
                untagged,
                timm.list_models(),
                listed_by="timm.list_models()",
            )
        options = dict(name.options)
        if "classes" in options:
            options["num_classes"] = options.pop("classes")
        self.name = name
        try:
            self.network = timm.create_model(name.network, pretrained=False, **options)
        except Exception as error:  # whatever its constructors raise
            raise InvalidInput(
                f"timm cannot build {name.network} with {options or 'no options'}: {error}"
            ) from None
        if getattr(self.network, "num_classes", 0) < 1:
            raise InvalidInput(
                f"{name.builder} only computes features; give it a classifier with {name.builder}?classes=N"
            )
        self.config: dict[str, Any] = timm.data.resolve_model_data_config(self.network)
        if (side := options.get("img_size")) is not None:  # the config is that of the pretrained network
            sides = side if isinstance(side, list) else [side, side]
            self.config["input_size"] = (3, *sides)

    def adapted(self) -> nn.Module:
        """In two parts where the network is features, global average pooling and one layer; otherwise as it
        is.
        """
        split = TimmClassifier(self.network).eval()
        _, height, width = self.config["input_size"]
        return split if split.possible and same_answer(self.network, split, height, width) else self.network

    def contract(self) -> ImageInput:
        config = self.config
        channels, height, width = config["input_size"]
        mode, crop = config["crop_mode"], config["crop_pct"]
        if channels != 3:
            raise unrepresentable(self.name, f"takes {channels} channels")
        if config["interpolation"] not in INTERPOLATIONS:
            raise unrepresentable(self.name, f"resizes by {config['interpolation']}")
        fields = {
            "height": height,
            "width": width,
            "mean": config["mean"],
            "std": config["std"],
            "interpolation": config["interpolation"],
        }
        if mode == "squash" and crop == 1:
            return ImageInput(resize="stretch", **fields)
        if mode != "center" or crop > 1:
            raise unrepresentable(self.name, f"is evaluated with crop_mode {mode!r} and crop_pct {crop}")
        side = min(height, width)
        return ImageInput(resize="center_crop", crop=side / math.floor(side / crop), **fields)


class TimmClassifier(Classifier):
    """timm's `forward_features` and classifier with global average pooling between them; `possible` says
    whether there are such parts.

    Shape: (B, 3, H, W) -> (B, K).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network
        self.pool = GlobalAveragePool()
        self.possible = hasattr(network, "forward_features") and hasattr(network, "get_classifier")
        # of the features, as in Swin
        self.channels_last = str(getattr(network, "output_fmt", "")).endswith("NHWC")

    def feature_map(self, x: Tensor) -> Tensor:
        features: Tensor = self.network.forward_features(x)
        return features.permute(0, 3, 1, 2) if self.channels_last else features

    def head_layers(self) -> list[nn.Module]:
        return [self.pool, self.network.get_classifier()]
