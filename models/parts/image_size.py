"""The refusal of images of another size than a network was built for."""

from torch import Tensor


def check_square(x: Tensor, side: int, network: str) -> None:
    """Refuse images (B, C, H, W) that are not `side` x `side`, with a ValueError that names the network."""
    if tuple(x.shape[2:]) != (side, side):
        raise ValueError(
            f"this {network} takes images of {side} x {side}, got {x.shape[2]} x {x.shape[3]}; build it with "
            "another image_size"
        )
