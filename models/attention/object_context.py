"""Object context: each position is described by the positions that look like it, ideally those of its own
object.

Yuan, Huang, Guo, Zhang, Chen & Wang, "OCNet: Object Context Network for Scene Parsing", 2018, section 3.
https://arxiv.org/abs/1809.00916

    object context pooling   k = relu(BN(W_k x)),   w_ij = softmax_j(k_i . k_j / sqrt(d))
                             c_i = W sum_j w_ij W_v x_j
    base object context      y = relu(BN(W_y [c; x]))

The pyramid form cuts the map into t x t tiles and keeps j within the tile of i.

One transform k makes queries and keys alike, so that similarity is symmetric; d is its channels. W starts at
0. As in the authors' code, save that its normalization (InPlaceABN) ends in a leaky ReLU of slope 0.01 and
its upsampling aligns corners.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ObjectContextPooling(nn.Module):
    """The context c alone.

    Shape: (B, C, H, W) -> (B, C, H, W), for any H and W; memory grows with (H W)^2.

    Args:
        channels: C; queries and keys have C / 2 channels.
        value_channels: of the values, C / 2 by default as in the base form of the paper; its pyramid and
            a-trous forms use C.
        pool: side of the max pooling before everything; the context is upsampled after. A last odd row or
            column is pooled by itself.
    """

    def __init__(self, channels: int, *, value_channels: int | None = None, pool: int = 1) -> None:
        super().__init__()
        if channels < 2 or channels % 2:
            raise ValueError(f"channels must be positive and even, got {channels}")
        if value_channels is not None and value_channels < 1:
            raise ValueError(f"value_channels must be at least 1, got {value_channels}")
        if pool < 1:
            raise ValueError(f"pool must be at least 1, got {pool}")
        depth = channels // 2
        self.scale = depth**-0.5
        self.pool = nn.MaxPool2d(pool, ceil_mode=True) if pool > 1 else nn.Identity()
        self.key = nn.Sequential(
            nn.Conv2d(channels, depth, kernel_size=1), nn.BatchNorm2d(depth), nn.ReLU(inplace=True)
        )
        self.value = nn.Conv2d(channels, depth if value_channels is None else value_channels, kernel_size=1)
        self.project = nn.Conv2d(self.value.out_channels, channels, kernel_size=1)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)  # type: ignore[arg-type]  # there is one

    def weights(self, x: Tensor) -> Tensor:
        """Attention of each position of the pooled map (second axis) to every other (third), rows sum to 1:
        (B, hw, hw).
        """
        k = self.key(x).flatten(2)  # (B, D, hw)
        return torch.matmul(self.scale * k.transpose(1, 2), k).softmax(dim=2)

    def context(self, x: Tensor) -> Tensor:
        """Of each position of the pooled map: (B, C, h, w) -> (B, C, h, w)."""
        v = self.value(x)  # (B, V, h, w)
        return self.project(torch.matmul(v.flatten(2), self.weights(x).transpose(1, 2)).view_as(v))

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pool(x)
        context = self.context(pooled)
        if pooled is x:
            return context
        return F.interpolate(context, size=x.shape[2:], mode="bilinear", align_corners=False)


class TiledObjectContextPooling(ObjectContextPooling):
    """The context c of each position within its tile, for maps of any size: tiles are H // t high and W // t
    wide, the last take the rest.

    The tiles become a batch of equal ones: shorter ones are filled with what follows them, which gets no
    attention.

    Args:
        channels, value_channels: as of `ObjectContextPooling`.
        tiles: t, along each side.
    """

    def __init__(self, channels: int, tiles: int, *, value_channels: int | None = None) -> None:
        super().__init__(channels, value_channels=value_channels)
        if tiles < 1:
            raise ValueError(f"tiles must be at least 1, got {tiles}")
        self.tiles = tiles

    def weights(self, x: Tensor) -> Tensor:
        """Attention of each position of a tile (third axis) to every other (fourth), rows sum to 1:
        (B, t t, area, area).

        The area is that of the last, largest tile; in smaller ones only the keys that belong to them have
        weight.
        """
        k = self.cut(self.key(x))  # (B, tt, area, D)
        rows, columns = (self.belongs(side, x) for side in x.shape[2:])  # (t, h), (t, w)
        # (tt, 1, area)
        inside = (rows[:, None, :, None] & columns[None, :, None, :]).reshape(self.tiles**2, 1, -1)
        scores = torch.matmul(self.scale * k, k.transpose(2, 3))
        return scores.masked_fill(~inside, torch.finfo(scores.dtype).min).softmax(dim=3)

    def context(self, x: Tensor) -> Tensor:
        v = self.cut(self.value(x))  # (B, tt, area, V)
        return self.project(self.join(torch.matmul(self.weights(x), v), like=x))

    def cut(self, x: Tensor) -> Tensor:
        """Tiles of the last one's size: (B, C, H, W) -> (B, t t, area, C)."""
        t, (height, width) = self.tiles, x.shape[2:]
        # (B, C, t h, t w)
        x = x.index_select(2, self.covered(height, x)).index_select(3, self.covered(width, x))
        x = x.reshape(x.shape[0], x.shape[1], t, self.last(height), t, self.last(width))
        return x.permute(0, 2, 4, 3, 5, 1).flatten(3, 4).flatten(1, 2)

    def join(self, tiles: Tensor, like: Tensor) -> Tensor:
        """The map that was cut: (B, t t, area, C) -> (B, C, H, W)."""
        t, (height, width) = self.tiles, like.shape[2:]
        x = tiles.reshape(tiles.shape[0], t, t, self.last(height), self.last(width), tiles.shape[3]).permute(
            0, 5, 1, 3, 2, 4
        )
        x = x.flatten(4, 5).flatten(2, 3)  # (B, C, t h, t w)
        return x.index_select(2, self.place(height, x)).index_select(3, self.place(width, x))

    def last(self, side: int) -> int:
        """Length of the last tile on a side of the map."""
        return side - (self.tiles - 1) * (side // self.tiles)

    def covered(self, side: int, like: Tensor) -> Tensor:
        """Position on the map of each position of each tile: (t h,)."""
        starts = (side // self.tiles) * torch.arange(self.tiles, device=like.device)
        return (starts[:, None] + torch.arange(self.last(side), device=like.device)).flatten()

    def belongs(self, side: int, like: Tensor) -> Tensor:
        """Whether a position of a tile is its own: (t, h)."""
        is_last = torch.arange(self.tiles, device=like.device) == self.tiles - 1
        return is_last[:, None] | (torch.arange(self.last(side), device=like.device) < side // self.tiles)

    def place(self, side: int, like: Tensor) -> Tensor:
        """Index in `covered` of each position of the map, in its own tile: (H,)."""
        position, step = torch.arange(side, device=like.device), side // self.tiles
        tile = (position[:, None] >= step * torch.arange(1, self.tiles, device=like.device)).sum(dim=1)
        return tile * (self.last(side) - step) + position


class ObjectContext(ObjectContextPooling):
    """The base form y: the context and the features themselves, fused. Arguments as of
    `ObjectContextPooling`.
    """

    def __init__(self, channels: int, *, value_channels: int | None = None, pool: int = 1) -> None:
        super().__init__(channels, value_channels=value_channels, pool=pool)
        self.fuse = nn.Sequential(
            nn.Conv2d(2 * channels, channels, kernel_size=1), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.fuse(torch.cat([super().forward(x), x], dim=1))
