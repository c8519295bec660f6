"""Spatial transformer: read the input on a grid that is warped by parameters computed from the input itself.

Jaderberg, Simonyan, Zisserman & Kavukcuoglu, "Spatial Transformer Networks", NIPS 2015, eqs. 1-5.
https://arxiv.org/abs/1506.02025

    theta = localisation(x)
    (u_p, v_p) = T_theta(p)                                         where in x the output's position p is read
    y_p = sum_{n,m} x_nm max(0, 1 - |u_p - m|) max(0, 1 - |v_p - n|)    bilinear, zero outside x

    affine       (u, v) = A (p_x, p_y, 1)                     A: 2x3
    attention    (u, v) = s p + t                             cropping, translation and isotropic scaling
    projective   (u, v) = (h1, h2) / h3,  h = P (p_x, p_y, 1)    P: 3x3, its last entry 1
    tps          thin-plate spline through a regular 4x4 grid of points; theta says where each of them reads

Positions are (x, y) from -1 to 1, at the centres of the first and the last column and row
(align_corners=True everywhere). Before training theta is exactly that of the identity; the output is x up to
the rounding of positions, and bit for bit where H - 1 and W - 1 are powers of two.
"""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# h3 is kept above it: what lies on or behind the horizon of a projection is read far outside, as zero
NEAREST_HORIZON = 1e-2
CONTROL_SIDE = 4  # control points of the thin-plate spline along each axis


class Transformation(ABC):
    """A family of warps.

    Attributes:
        identity: theta of the warp that changes nothing.
    """

    identity: tuple[float, ...]

    @abstractmethod
    def grid(self, theta: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Where each output position reads: theta (B, P), columns x (1, 1, W) and rows y (1, H, 1) ->
        (B, H, W, 2), as (x, y).
        """


class Affine(Transformation):
    """Any linear map and translation: theta = (A_11, A_12, A_13, A_21, A_22, A_23)."""

    identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

    def grid(self, theta: Tensor, x: Tensor, y: Tensor) -> Tensor:
        a, b, c, d, e, f = theta[:, :, None, None].unbind(dim=1)  # (B, 1, 1) each
        return _points(a * x + b * y + c, d * x + e * y + f)


class Isotropic(Transformation):
    """The paper's "attention": one scale and a translation, theta = (s, t_x, t_y)."""

    identity = (1.0, 0.0, 0.0)

    def grid(self, theta: Tensor, x: Tensor, y: Tensor) -> Tensor:
        s, tx, ty = theta[:, :, None, None].unbind(dim=1)
        return _points(s * x + tx, s * y + ty)


class Projective(Transformation):
    """A plane seen in perspective: theta = P row by row, without its last entry."""

    identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)

    def grid(self, theta: Tensor, x: Tensor, y: Tensor) -> Tensor:
        a, b, c, d, e, f, g, h = theta[:, :, None, None].unbind(dim=1)
        depth = (g * x + h * y + 1).clamp(min=NEAREST_HORIZON)
        return _points((a * x + b * y + c) / depth, (d * x + e * y + f) / depth)


class ThinPlateSpline(Transformation):
    """The smoothest warp through control points (least bending energy): theta = their x, then their y, row by
    row.

    A displacement d of the control points c moves p by sum_k w_k U(|p - c_k|) + a_0 + a_1 p_x + a_2 p_y with
    U(r) = r^2 log r^2, where (w, a) solves [K Q; Q^T 0] (w; a) = (d; 0), K_ij = U(|c_i - c_j|), Q_i =
    (1, c_i). Written with displacements, no displacement is exactly the identity.
    """

    def __init__(self) -> None:
        with torch.device("cpu"):  # a constant, whatever device the network is built on
            side = torch.linspace(-1, 1, CONTROL_SIDE, dtype=torch.float64)
            rows, columns = torch.meshgrid(side, side, indexing="ij")
            self.control = torch.stack([columns.flatten(), rows.flatten()])  # (2, K)
            count = self.control.shape[1]
            system = torch.zeros(count + 3, count + 3, dtype=torch.float64)
            system[:count] = _spline_terms(self.control[0], self.control[1], self.control)
            system[count:, :count] = system[:count, count:].T
            self.solution = torch.linalg.inv(system)[:, :count].contiguous()  # (K + 3, K)
        self.identity = tuple(self.control.flatten().tolist())

    def grid(self, theta: Tensor, x: Tensor, y: Tensor) -> Tensor:
        control, solution = self.control.to(theta), self.solution.to(theta)
        displacement = (theta - control.flatten()).unflatten(1, (2, -1))  # (B, 2, K)
        # the spline's coefficients are large and cancel
        with torch.autocast(theta.device.type, enabled=False):
            columns, rows = torch.broadcast_tensors(x[0], y[0])  # (H, W)
            basis = _spline_terms(columns, rows, control) @ solution  # (H, W, K)
            moved = basis @ displacement.transpose(1, 2)[:, None]  # (H, W, K) @ (B, 1, K, 2) -> (B, H, W, 2)
        return _points(x, y) + moved


TRANSFORMATIONS: dict[str, type[Transformation]] = {
    "affine": Affine,
    "attention": Isotropic,
    "projective": Projective,
    "tps": ThinPlateSpline,
}


class SpatialTransformer(nn.Module):
    """Return x read on the grid T_theta, where theta is that of the identity plus a linear function, at first
    zero, of localisation(x).

    Shape: (B, C, H, W) -> (B, C, H, W), for any H and W that the localisation network takes.

    Args:
        localisation: (B, C, H, W) -> (B, features).
        features: the localisation network's.
        transformation: a name of `TRANSFORMATIONS`.
    """

    def __init__(self, localisation: nn.Module, features: int, transformation: str = "affine") -> None:
        super().__init__()
        if transformation not in TRANSFORMATIONS:
            raise ValueError(
                f"transformation must be one of {sorted(TRANSFORMATIONS)}, got {transformation!r}"
            )
        self.transformation = TRANSFORMATIONS[transformation]()
        self.localisation = localisation
        self.regression = nn.Linear(features, len(self.transformation.identity))
        nn.init.zeros_(self.regression.weight)
        nn.init.zeros_(self.regression.bias)

    def theta(self, x: Tensor) -> Tensor:
        """Parameters of each image's warp, at least in float32: (B, P)."""
        change = self.regression(self.localisation(x))
        change = change.to(torch.promote_types(change.dtype, torch.float32))
        return change + torch.tensor(self.transformation.identity, dtype=change.dtype, device=change.device)

    def weights(self, x: Tensor) -> Tensor:
        """Where each output position reads, as (x, y) from -1 to 1: (B, H, W, 2). This is the attention: a
        position read, not a weight.
        """
        theta = self.theta(x)
        return self.transformation.grid(
            theta, _axis(x.shape[3], theta)[None, None], _axis(x.shape[2], theta)[None, :, None]
        )

    def forward(self, x: Tensor) -> Tensor:
        grid = self.weights(x)
        return F.grid_sample(
            x.to(grid.dtype), grid, mode="bilinear", padding_mode="zeros", align_corners=True
        ).to(x.dtype)


def spatial_transformer(channels: int, transformation: str = "affine", width: int = 16) -> SpatialTransformer:
    """A spatial transformer with a small localisation network for maps of any size: two strided convolutions,
    4x4 averages, one layer.

    Args:
        channels: C.
        transformation: a name of `TRANSFORMATIONS`.
        width: channels of the convolutions.
    """
    for name, value in (("channels", channels), ("width", width)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    localisation = nn.Sequential(
        nn.Conv2d(channels, width, 3, 2, 1),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, width, 3, 2, 1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(16 * width, 2 * width),
        nn.ReLU(inplace=True),
    )
    return SpatialTransformer(localisation, 2 * width, transformation)


def _axis(size: int, like: Tensor) -> Tensor:
    """`size` positions from -1 to 1, one position at 0; exactly symmetric: (size,)."""
    index = torch.arange(size, dtype=like.dtype, device=like.device)
    last = index[-1:]
    return (2 * index - last) / last.clamp(min=1)


def _points(x: Tensor, y: Tensor) -> Tensor:
    """(..., H, W) columns and rows, of shapes that broadcast -> (..., H, W, 2)."""
    return torch.stack(torch.broadcast_tensors(x, y), dim=-1)


def _spline_terms(x: Tensor, y: Tensor, control: Tensor) -> Tensor:
    """U(|p - c_k|) for each control point (2, K), then 1, p_x, p_y: positions (...) -> (..., K + 3)."""
    squared = (x[..., None] - control[0]).square() + (y[..., None] - control[1]).square()  # (..., K)
    radial = squared * squared.clamp(min=torch.finfo(squared.dtype).tiny).log()  # U(0) = 0
    return torch.cat([radial, torch.stack([torch.ones_like(x), x, y], dim=-1)], dim=-1)
