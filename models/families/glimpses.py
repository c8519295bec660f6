"""Networks that look again: glimpses, windows and feedback."""

from regard.models.catalog_entry import Network
from regard.models.networks.dasnet import DasNet
from regard.models.networks.dram import DRAM
from regard.models.networks.draw import DRAW
from regard.models.networks.draw_classifier import DRAWClassifier
from regard.models.networks.ram import RAM

_DRAW = "DRAW: A Recurrent Neural Network For Image Generation"

ENTRIES: dict[str, Network] = {
    "ram": Network(
        RAM,
        "classification",
        "Recurrent Models of Visual Attention",
        2014,
        system="ram",
        size=28,
        fixed_size=True,
        small={"image_size": 16, "glimpses": 2, "glimpse_size": 4, "hidden": 16},
        small_size=16,
    ),
    "dram": Network(
        DRAM,
        "captioning",
        "Multiple Object Recognition with Visual Attention",
        2015,
        system="dram",
        size=104,
        fixed_size=True,
        # from smaller ones every image would have nearly the same answer, untrained
        small={
            "image_size": 16,
            "glimpses": 1,
            "glimpse_size": 8,
            "scales": 1,
            "width": 16,
            "hidden": 16,
        },
        small_size=16,
    ),
    "draw_classifier": Network(
        DRAWClassifier,
        "classification",
        _DRAW,
        2015,
        system="draw_classifier",
        size=100,
        fixed_size=True,
        small={"image_size": 16, "glimpses": 3, "read_size": 4, "hidden": 16},
        small_size=16,
    ),
    "draw": Network(
        DRAW,
        "reconstruction",
        _DRAW,
        2015,
        system="draw",
        size=28,
        fixed_size=True,
        small={"image_size": 16, "steps": 3, "read_size": 3, "write_size": 3, "hidden": 16, "latent": 4},
        small_size=16,
    ),
    "dasnet": Network(
        DasNet,
        "classification",
        "Deep Networks with Internal Selective Attention through Feedback Connections",
        2014,
        system="dasnet",
        size=32,
        fixed_size=True,
        small={"image_size": 16, "passes": 2, "maps": (4, 8), "units": 16},
        small_size=16,
    ),
}
