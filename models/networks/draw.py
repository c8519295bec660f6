"""DRAW: an image drawn stroke by stroke on a canvas, by a network that reads and writes it through a movable
window.

Gregor, Danihelka, Graves, Rezende & Wierstra, "DRAW: A Recurrent Neural Network For Image Generation", ICML
2015, sections 2 and 3. https://arxiv.org/abs/1502.04623

    x^_t   = x - sigmoid(c_{t-1})                             what is still missing
    r_t    = [read(x), read(x^_t)]                            through the window W h^dec_{t-1}
    h^enc  = LSTM([r_t, h^dec_{t-1}]),   z_t ~ N(mu(h^enc), sigma(h^enc)^2)
    h^dec  = LSTM(z_t),   c_t = c_{t-1} + write(h^dec_t)      t = 1..T;  the answer is sigmoid(c_T)
    L      = -log Bernoulli(x | sigmoid(c_T)) + 1/2 sum_t,i (mu^2 + sigma^2 - log sigma^2 - 1)

The window is a grid of Gaussian filters, `parts.filterbank`.

Departures and readings:
- An image is reconstructed, from the means mu, where noise is not given: a served network draws nothing.
- T = 10, windows of 5 x 5 and 10 latent numbers are those of the authors' small demonstration; for MNIST the
  paper takes 64 steps, reads 2 x 2, writes 5 x 5 and has 100 latent numbers. States begin at 0.
- Channels share one window.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.contract.answers import ImageAnswer
from regard.models.decoding.until import Carried, repeat_while
from regard.models.interface import Interface, plain_image
from regard.models.parts.filterbank import NUMBERS, filterbank
from regard.models.parts.image_size import check_square


class DRAW(nn.Module):
    """Reconstruction of an image in 0..1: (B, C, H, H) -> (B, C, H, H), for H = `image_size`.

    Args:
        channels: C, 1 or 3.
        image_size: H.
        steps: T.
        read_size: side of the patch that is read.
        write_size: side of the patch that is written.
        hidden: size of the encoder's and the decoder's state.
        latent: size of z.
    """

    def __init__(
        self,
        *,
        channels: int = 1,
        image_size: int = 28,
        steps: int = 10,
        read_size: int = 5,
        write_size: int = 5,
        hidden: int = 256,
        latent: int = 10,
    ) -> None:
        super().__init__()
        if min(read_size, write_size) < 2:
            raise ValueError(f"read_size and write_size must be at least 2, got {read_size} and {write_size}")
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        self.channels, self.image_size = channels, image_size
        self.steps = steps
        self.read_size, self.write_size = read_size, write_size
        self.encoder = nn.LSTMCell(2 * channels * read_size**2 + hidden, hidden)
        self.mean = nn.Linear(hidden, latent)
        self.log_deviation = nn.Linear(hidden, latent)
        self.decoder = nn.LSTMCell(latent, hidden)
        self.read_window = nn.Linear(hidden, NUMBERS)
        self.write_window = nn.Linear(hidden, NUMBERS)
        self.patch = nn.Linear(hidden, channels * write_size**2)

    def interface(self) -> Interface:
        """A square image, 0 to 1, and its reconstruction."""
        image = plain_image(self.image_size, self.channels)
        return Interface((image,), ImageAnswer(channels=image.channels))

    def draw(self, x: Tensor, noise: Tensor | None = None) -> Carried:
        """All T steps.

        Args:
            x: images (B, C, H, H) in 0..1.
            noise: standard normal (B, T, latent); none takes the means.

        Returns:
            The canvas c_T (B, C, H, H), its latent cost in nats (B,), and the windows that were read and
            written as fractions left, top, right, bottom of the image, (B, T, 4) each.
        """
        check_square(x, self.image_size, "DRAW")
        batch, size = x.shape[0], self.image_size
        times = torch.arange(self.steps, device=x.device)

        def step(
            time: Tensor,
            canvas: Tensor,
            cost: Tensor,
            read: Tensor,
            written: Tensor,
            h_enc: Tensor,
            c_enc: Tensor,
            h_dec: Tensor,
            c_dec: Tensor,
        ) -> Carried:
            window = filterbank(self.read_window(h_dec), self.read_size, width=size, height=size)
            seen = window.read(torch.cat([x, x - canvas.sigmoid()], dim=1)).flatten(1)
            h_enc, c_enc = self.encoder(torch.cat([seen, h_dec], dim=1), (h_enc, c_enc))
            z, log_deviation = self.mean(h_enc), self.log_deviation(h_enc)
            here = (times == time)[:, None]  # (T, 1)
            nats = (z.square() + (2 * log_deviation).exp() - 2 * log_deviation - 1).sum(dim=1) / 2
            if noise is not None:
                z = z + log_deviation.exp() * torch.where(here, noise, 0).sum(dim=1)
            h_dec, c_dec = self.decoder(z, (h_dec, c_dec))
            brush = filterbank(self.write_window(h_dec), self.write_size, width=size, height=size)
            stroke = self.patch(h_dec).unflatten(1, (x.shape[1], self.write_size, self.write_size))
            return (
                time + 1,
                canvas + brush.write(stroke),
                cost + nats,
                torch.where(here, window.window.unsqueeze(1), read),
                torch.where(here, brush.window.unsqueeze(1), written),
                h_enc,
                c_enc,
                h_dec,
                c_dec,
            )

        state = x.new_zeros((batch, self.encoder.hidden_size))
        windows = x.new_zeros((batch, self.steps, 4))
        carried = (
            times.new_zeros(()),
            torch.zeros_like(x),
            x.new_zeros(batch),
            windows,
            windows.clone(),
            state,
            state.clone(),
            state.clone(),
            state.clone(),
        )
        _, canvas, cost, read, written, *_ = repeat_while(
            lambda time, *rest: time < self.steps, step, carried
        )
        return canvas, cost, read, written

    def forward(self, x: Tensor) -> Tensor:
        return self.draw(x)[0].sigmoid()

    def explained(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The reconstruction, and the windows of each step, (B, T, 4) each, as of `draw`."""
        canvas, _, read, written = self.draw(x)
        return canvas.sigmoid(), {"read": read, "written": written}

    def bound(self, x: Tensor, noise: Tensor) -> Tensor:
        """L of each image, in nats: an upper bound on -log p(x), for images in 0..1 and standard normal noise
        (B, T, latent) -> (B,).
        """
        canvas, cost, _, _ = self.draw(x, noise)
        return F.binary_cross_entropy_with_logits(canvas, x, reduction="none").flatten(1).sum(dim=1) + cost
