"""The shapes that an engine is built for: all that the Card allows."""

from regard.contract.pixels_input import PixelsInput
from regard.contract.plan import Profile


def profile_of(contract: PixelsInput) -> Profile:
    """From one image of the smallest size to a full batch of the largest; kernels are chosen for a full batch
    of the Card's size.
    """
    sizes = {
        "least": (contract.height, contract.width),
        "best": (contract.height, contract.width),
        "most": (contract.height, contract.width),
    }
    if contract.dynamic_size:
        sizes |= {"least": (contract.min_size,) * 2, "most": (contract.max_size,) * 2}
    batches = {"least": 1, "best": contract.max_batch, "most": contract.max_batch}
    return Profile(**{name: (batches[name], *size, contract.channels) for name, size in sizes.items()})
