"""The same images in this process: what a server is compared with.

Fair to the process: as many workers as processors, each with one compute thread
(the arrangement with the highest throughput on a CPU), the same decoding and fitting of the encoded image,
and one image, or one batch, at a time.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from regard.contract.card import Card
from regard.contract.names import IMAGE
from regard.contract.operators import operators_beside
from regard.contract.preprocess import Pixels
from regard.serving.bench.images import pixels_of

if TYPE_CHECKING:
    from torch import nn

Answer = npt.NDArray[Any]  # probabilities (B, K) or label maps (B, H, W)
Step = Callable[[Sequence[bytes]], Answer]  # encoded images to their answers


def onnxruntime_runner(model: Path) -> Callable[[Pixels], Answer]:
    """ONNX Runtime on the exported graph, from pixels (B, H, W, 3) to answers; one session, whose calls run
    in the caller's thread.
    """
    from regard.export.session import open_session

    session = open_session(str(model), name=str(model), threads=1, operators=operators_beside(model))
    wanted = [session.get_outputs()[0].name]

    def run(pixels: Pixels) -> Answer:
        return np.asarray(session.run(wanted, {IMAGE: pixels})[0])

    return run


def onnxruntime_step(model: Path, card: Card) -> Step:
    """The same from encoded images."""
    run = onnxruntime_runner(model)

    def step(encoded: Sequence[bytes]) -> Answer:
        return run(np.stack([pixels_of(each, card) for each in encoded]))

    return step


def torch_step(network: "nn.Module", card: Card) -> Step:
    """PyTorch as it is: eager, in evaluation mode, without gradients, with the same arithmetic before and
    after as in the graph.
    """
    import torch

    from regard.export.graph.served_graph import ServedGraph
    from regard.export.plain import plain

    served = ServedGraph(plain(network.eval()), card)

    def step(encoded: Sequence[bytes]) -> Answer:
        torch.set_num_threads(1)  # a setting of the calling thread
        pixels = torch.from_numpy(np.stack([pixels_of(each, card) for each in encoded]))
        with torch.inference_mode():
            return np.asarray(served(pixels)[0].numpy())

    return step
