"""Segmenters of segmentation-models-pytorch (smp).

Iakubovskii, https://github.com/qubvel-org/segmentation_models.pytorch

The Card's mean and std are those the encoder was pretrained with: from timm's config for the encoders
`tu-...`; for smp's own they lie on a hub with the weights, so ImageNet's are taken, and for the few families
that differ what they were pretrained with. The images keep their size; a network that takes multiples of its
encoder's stride only has that in the Card's `pad_to`.
"""

import inspect
from typing import Any

from torch import nn

from regard.contract.image_input import ImageInput
from regard.errors import InvalidInput, UnknownName
from regard.models.foreign.library import Foreign, import_library
from regard.models.foreign.name import ForeignName

GET_WEIGHTS = (
    "torch.save(network.state_dict(), 'weights.pt') of a network of yours; smp publishes weights "
    "of encoders only"
)
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
OTHER_NORMALIZATION = {"inceptionv4": HALF, "inceptionresnetv2": HALF, "xception": HALF}
SIDE = 256


class SmpModel(Foreign):
    """`smp:ARCH?encoder=NAME&classes=N`, ARCH being Unet, FPN, DeepLabV3Plus and so on.

    Raises:
        UnknownName: smp has no such architecture or encoder.
        InvalidInput: smp is not installed or refuses an option, or `encoder` or `classes` is missing.
    """

    task = "segmentation"

    def __init__(self, name: ForeignName) -> None:
        smp = import_library("smp")
        known = {known.__name__ for known in smp.MODEL_ARCHITECTURES_MAPPING.values()}
        if name.network not in known:
            raise UnknownName.among("smp architecture", name.network, known)
        options = dict(name.options)
        missing = [option for option in ("encoder", "classes") if option not in options]
        if missing:
            raise InvalidInput(
                f"{name.builder} needs {' and '.join(missing)}: {name.builder}?encoder=resnet18&classes=11"
            )
        classes, encoder = options.pop("classes"), options.pop("encoder")
        if not isinstance(classes, int) or classes < 1:
            raise InvalidInput(f"classes must be 1 or more, got {classes!r}")
        encoder = str(encoder)  # a name of digits or null alone is read as JSON
        if not encoder.startswith("tu-") and encoder not in smp.encoders.get_encoder_names():
            raise UnknownName.among(
                "smp encoder (or tu-NAME of timm)",
                encoder,
                smp.encoders.get_encoder_names(),
                listed_by="segmentation_models_pytorch.encoders.get_encoder_names()",
            )
        architecture = getattr(smp, name.network)
        unknown = options.keys() - inspect.signature(architecture.__init__).parameters.keys()
        # what remains goes to the encoder, and smp's own ignore it
        if unknown and not encoder.startswith("tu-"):
            raise InvalidInput(f"{name.builder} has no option {', '.join(sorted(unknown))}")
        self.name = name
        try:
            self.network = architecture(
                encoder_name=encoder, encoder_weights=None, classes=classes, **options
            )
        except Exception as error:  # whatever its constructors raise
            raise InvalidInput(
                f"smp cannot build {name.network} on {encoder} with {options or 'no options'}: {error}"
            ) from None

    @property
    def fixed_size(self) -> tuple[int, int] | None:
        """Height and width of a network whose encoder takes one size only."""
        encoder: Any = self.network.encoder
        if not getattr(encoder, "is_fixed_input_size", False) or self.name.options.get("dynamic_img_size"):
            return None
        _, height, width = encoder.input_size
        return height, width

    def adapted(self) -> nn.Module:
        return self.network

    def contract(self) -> ImageInput:
        mean, std = self._normalization(self.name.options["encoder"])
        if self.fixed_size:
            height, width = self.fixed_size
            return ImageInput(height=height, width=width, resize="stretch", mean=mean, std=std)
        network: Any = self.network
        return ImageInput(
            height=SIDE,
            width=SIDE,
            resize="none",
            dynamic_size=True,
            mean=mean,
            std=std,
            pad_to=network.encoder.output_stride if network.requires_divisible_input_shape else 1,
        )

    def _normalization(self, encoder: str) -> tuple[Any, Any]:
        constants = import_library("timm").data
        if encoder.startswith("tu-"):
            config = import_library("timm").get_pretrained_cfg(
                encoder.removeprefix("tu-"), allow_unregistered=True
            )
            if config is not None:
                return config.mean, config.std
        if encoder.startswith("dpn"):
            return constants.constants.IMAGENET_DPN_MEAN, constants.constants.IMAGENET_DPN_STD
        return OTHER_NORMALIZATION.get(
            encoder, (constants.IMAGENET_DEFAULT_MEAN, constants.IMAGENET_DEFAULT_STD)
        )
