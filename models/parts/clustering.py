"""k-means and spectral clustering, for the groups of channels that some networks are set up with before
training.

k-means: Lloyd's iterations from k-means++ starts (Arthur & Vassilvitskii, SODA 2007).
Spectral clustering: Ng, Jordan & Weiss, "On Spectral Clustering: Analysis and an Algorithm", NIPS 2001:
k-means on the rows, scaled to length 1, of the k leading eigenvectors of D^-1/2 S D^-1/2.
"""

import torch
from torch import Tensor


def kmeans(
    points: Tensor, clusters: int, *, seed: int = 0, starts: int = 10, iterations: int = 100
) -> Tensor:
    """The cluster of each point, the best of several starts: (n, d) -> integers (n,) in 0..clusters-1.

    Raises:
        ValueError: fewer points than clusters.
    """
    if not 1 <= clusters <= len(points):
        raise ValueError(f"clusters must be from 1 to the number of points {len(points)}, got {clusters}")
    random = torch.Generator().manual_seed(seed)
    points = points.detach().cpu().double()
    runs = [_lloyd(points, _spread(points, clusters, random), iterations) for _ in range(starts)]
    return min(runs, key=lambda run: run[0])[1]


def spectral_clustering(similarity: Tensor, clusters: int, *, seed: int = 0) -> Tensor:
    """The cluster of each item from symmetric similarities, of which negative ones count as 0: (n, n) ->
    integers (n,).
    """
    s = similarity.detach().cpu().double().clamp(min=0)
    scale = s.sum(dim=1).clamp(min=torch.finfo(s.dtype).tiny).rsqrt()
    vectors = torch.linalg.eigh(scale[:, None] * s * scale)[1][:, -clusters:]  # eigenvalues ascend
    return kmeans(torch.nn.functional.normalize(vectors, dim=1), clusters, seed=seed)


def _spread(points: Tensor, clusters: int, random: torch.Generator) -> Tensor:
    """Start centres: each next one is drawn with probability proportional to its squared distance from those
    before.
    """
    centres = points[torch.randint(len(points), (1,), generator=random)]
    while len(centres) < clusters:
        distance = torch.cdist(points, centres).square().amin(dim=1)
        chances = distance if distance.sum() > 0 else torch.ones_like(distance)
        centres = torch.cat([centres, points[torch.multinomial(chances, 1, generator=random)]])
    return centres


def _lloyd(points: Tensor, centres: Tensor, iterations: int) -> tuple[float, Tensor]:
    """Sum of squared distances to the own centre, and the clusters. A cluster that loses its points keeps its
    centre.
    """
    labels = torch.cdist(points, centres).argmin(dim=1)
    for _ in range(iterations):
        members = torch.nn.functional.one_hot(labels, len(centres)).to(points.dtype)  # (n, k)
        counts = members.sum(dim=0)[:, None]
        centres = torch.where(counts > 0, members.T @ points / counts.clamp(min=1), centres)
        moved = torch.cdist(points, centres).argmin(dim=1)
        if torch.equal(moved, labels):
            break
        labels = moved
    return float((points - centres[labels]).square().sum()), labels
