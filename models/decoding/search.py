"""The search that a network's options ask for."""

from torch import Tensor

from regard.models.decoding.beam import beam
from regard.models.decoding.generated import Generated
from regard.models.decoding.greedy import greedy
from regard.models.decoding.stepwise import Stepwise


def search(network: Stepwise, *inputs: Tensor, beams: int = 1, length_penalty: float = 0.6) -> Generated:
    """The network's answer to a batch of inputs: greedy for one beam, else of so many; see `beam`."""
    if beams == 1:
        return greedy(network, *inputs)
    return beam(network, *inputs, beams=beams, length_penalty=length_penalty)
