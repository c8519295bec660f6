"""Attention-augmented convolution: some channels come from a convolution, the others from self-attention over
the whole map.

Bello et al., "Attention Augmented Convolutional Networks", ICCV 2019, eqs. 1-5.
https://arxiv.org/abs/1904.09925

    y   = [conv(x), MHA(x)]                                          d_v of the channels come from MHA
    MHA = W_O [O_1 ... O_Nh],   O_h = softmax(l_h) v_h
    l_h(i, j) = q_i . (k_j + r^W_{j_x - i_x} + r^H_{j_y - i_y}) / sqrt(d_k / Nh)

r^W and r^H are learned, one of each for all heads.

The paper's ResNets replace 3x3 convolutions by it where maps are 28 x 28 or smaller, with Nh = 8, d_k = 0.2 C
and d_v = 0.1 C, and keys of at least 20 channels in each head. How d_k and d_v are rounded is not in the
abstract or the listing: to whole heads, they give ResNet-50 the paper's 25.8 million parameters. As in eqs.
1-2 nothing has a bias.
"""

import torch
from torch import Tensor, nn

LEAST_KEY_CHANNELS = 20  # of each head


class AugmentedConv(nn.Module):
    """Return conv(x) and MHA(x), concatenated.

    Shape: (B, C, H, W) -> (B, C, H, W), for any H and W up to `max_size`; memory grows with heads (H W)^2.

    Args:
        channels: C.
        kernel_size: of the convolution, odd.
        heads: Nh.
        kappa: d_k / C, rounded to whole channels of a head, of which each has at least 20.
        upsilon: d_v / C, rounded likewise to at least one; 1 leaves no convolution.
        max_size: largest height and width, to which the positions r^W and r^H extend; 32 holds the stages
            from stride 8 on of images of up to 256 x 256.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int = 3,
        *,
        heads: int = 8,
        kappa: float = 0.2,
        upsilon: float = 0.1,
        max_size: int = 32,
    ) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("heads", heads), ("max_size", max_size)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd and at least 1, got {kernel_size}")
        for name, ratio in (("kappa", kappa), ("upsilon", upsilon)):
            if not 0 < ratio <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, got {ratio}")
        if channels < heads or (upsilon == 1 and channels % heads):
            raise ValueError(
                "channels must be at least heads, and a multiple of heads where upsilon is 1, got "
                f"{channels} and {heads}"
            )
        self.heads, self.max_size = heads, max_size
        self.key_channels = max(LEAST_KEY_CHANNELS, round(kappa * channels / heads))  # of each head
        values = min(max(1, round(upsilon * channels / heads)), channels // heads) * heads
        convolved = channels - values
        self.conv = (
            nn.Conv2d(channels, convolved, kernel_size, padding=kernel_size // 2, bias=False)
            if convolved
            else None
        )
        self.query = nn.Conv2d(channels, heads * self.key_channels, kernel_size=1, bias=False)
        self.key = nn.Conv2d(channels, heads * self.key_channels, kernel_size=1, bias=False)
        self.value = nn.Conv2d(channels, values, kernel_size=1, bias=False)
        self.project = nn.Conv2d(values, values, kernel_size=1, bias=False)  # W_O
        # r^H, of offsets 1 - max_size ... max_size - 1
        self.row_offsets = nn.Parameter(torch.empty(2 * max_size - 1, self.key_channels))
        self.column_offsets = nn.Parameter(torch.empty(2 * max_size - 1, self.key_channels))  # r^W
        for offsets in (self.row_offsets, self.column_offsets):
            nn.init.normal_(offsets, std=self.key_channels**-0.5)  # as the paper's listing

    def weights(self, x: Tensor) -> Tensor:
        """Attention of each position (third axis) to all (fourth), row by row, in each head:
        (B, heads, HW, HW).
        """
        height, width = x.shape[2:]
        if height > self.max_size or width > self.max_size:
            raise ValueError(
                f"maps must be at most {self.max_size} x {self.max_size}, the attention's max_size; got "
                f"{height} x {width}"
            )
        q = self._split(self.query(x)).transpose(2, 3) * self.key_channels**-0.5  # (B, heads, HW, D)
        grid = q.unflatten(2, (height, width))  # (B, heads, H, W, D)
        # One product for each row or column of queries, which share their offsets: the tables need not be
        # skewed after a product of all. (B, heads, H, W, D) @ (H, D, H) -> (B, heads, H, W, H)
        rows = torch.matmul(grid, _by_pair(self.row_offsets, height))
        # (B, heads, H, W, W)
        columns = torch.matmul(grid.transpose(2, 3), _by_pair(self.column_offsets, width)).transpose(2, 3)
        content = torch.matmul(q, self._split(self.key(x)))  # (B, heads, HW, HW)
        # (B, heads, H, W, H, W)
        content = content.unflatten(3, (height, width)).unflatten(2, (height, width))
        scores = content + rows[..., :, None] + columns[..., None, :]
        return scores.flatten(4).flatten(2, 3).softmax(dim=3)

    def attend(self, x: Tensor) -> Tensor:
        """MHA: (B, C, H, W) -> (B, d_v, H, W)."""
        y = torch.matmul(self._split(self.value(x)), self.weights(x).transpose(2, 3))  # (B, heads, V, HW)
        return self.project(y.flatten(1, 2).unflatten(2, x.shape[2:]))

    def forward(self, x: Tensor) -> Tensor:
        attended = self.attend(x)
        return attended if self.conv is None else torch.cat([self.conv(x), attended], dim=1)

    def _split(self, x: Tensor) -> Tensor:
        """(B, heads D, H, W) -> (B, heads, D, HW)."""
        return x.flatten(2).unflatten(1, (self.heads, -1))


def _by_pair(offsets: Tensor, size: int) -> Tensor:
    """Offset vectors between each position (first axis) and each other (third) of a row or column:
    (size, D, size).
    """
    zero = offsets.shape[0] // 2
    position = torch.arange(size, device=offsets.device)
    return offsets[position - position[:, None] + zero].transpose(1, 2)  # entry [i, :, j] has offset j - i
