"""DRAW's attentive classifier: a recurrent network that reads an image through a window it moves and zooms.

Gregor, Danihelka, Graves, Rezende & Wierstra, "DRAW: A Recurrent Neural Network For Image Generation", ICML
2015, section 4.1. https://arxiv.org/abs/1502.04623

    r_t = read(x) through the window W h_{t-1},   h_t = LSTM(r_t, h_{t-1}),   answer = V h_T

The window is a grid of Gaussian filters, `parts.filterbank`; it is differentiable, so that classification
alone trains where to look.

Departures and readings:
- 8 glimpses of 12 x 12 and 256 units are the paper's for cluttered digits of 100 x 100. The state begins at
  0, so the first window is the same for every image.
"""

import torch
from torch import Tensor, nn

from regard.contract.answers import Classes
from regard.models.classifiers import check_classes
from regard.models.decoding.until import Carried, repeat_while
from regard.models.interface import Interface, numbered_classes, plain_image
from regard.models.parts.filterbank import NUMBERS, filterbank
from regard.models.parts.image_size import check_square


class DRAWClassifier(nn.Module):
    """Class scores (logits) of images: (B, C, H, H) -> (B, num_classes), for H = `image_size`.

    Args:
        num_classes: K.
        channels: C, 1 or 3.
        image_size: H.
        glimpses: T.
        read_size: N, side of the patch that is read.
        hidden: size of the state.
    """

    def __init__(
        self,
        *,
        num_classes: int = 10,
        channels: int = 1,
        image_size: int = 100,
        glimpses: int = 8,
        read_size: int = 12,
        hidden: int = 256,
    ) -> None:
        super().__init__()
        check_classes(num_classes)
        if glimpses < 1:
            raise ValueError(f"glimpses must be at least 1, got {glimpses}")
        if read_size < 2:
            raise ValueError(f"read_size must be at least 2, got {read_size}")
        self.channels, self.image_size = channels, image_size
        self.glimpses, self.read_size = glimpses, read_size
        self.window = nn.Linear(hidden, NUMBERS)
        self.lstm = nn.LSTMCell(channels * read_size**2, hidden)
        self.classifier = nn.Linear(hidden, num_classes)

    def interface(self) -> Interface:
        """A square image, 0 to 1, and numbered classes."""
        image = plain_image(self.image_size, self.channels)
        return Interface((image,), Classes(labels=numbered_classes(self.classifier.out_features)))

    def look(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """All glimpses: images (B, C, H, H) -> h_T (B, hidden), and the windows (B, T, 4)."""
        check_square(x, self.image_size, "DRAW classifier")
        times = torch.arange(self.glimpses, device=x.device)

        def step(time: Tensor, windows: Tensor, h: Tensor, c: Tensor) -> Carried:
            bank = filterbank(self.window(h), self.read_size, width=self.image_size, height=self.image_size)
            h, c = self.lstm(bank.read(x).flatten(1), (h, c))
            return time + 1, torch.where((times == time)[:, None], bank.window.unsqueeze(1), windows), h, c

        state = x.new_zeros((x.shape[0], self.lstm.hidden_size))
        windows = x.new_zeros((x.shape[0], self.glimpses, 4))
        carried = (times.new_zeros(()), windows, state, state.clone())
        _, windows, h, _ = repeat_while(lambda time, *rest: time < self.glimpses, step, carried)
        return h, windows

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.look(x)[0])

    def explained(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Scores, and the window of each glimpse as fractions left, top, right, bottom of the image,
        (B, T, 4).
        """
        h, windows = self.look(x)
        return self.classifier(h), {"glimpses": windows}
