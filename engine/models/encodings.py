"""How a network is told of places, times and features: Fourier features, rotations, and a learned table of distances.

All frequencies are learned; an angle is always pi / 2 times number times frequency.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

VECTOR = 8  # complex numbers that a processor multiplies at once, at most
FEATURE_CUTOFF = 1000.0
"""Longest wave of a feature when training starts."""


def waves(longest: float, count: int) -> Tensor:
    """Return frequencies from 1 down to 1 / `longest`, evenly spread on a logarithmic scale, (1, 1, count)."""
    return torch.exp(torch.linspace(0, -math.log(longest), count))[None, None]


def _angles(columns: Tensor, freqs: Iterable[Tensor]) -> list[Tensor]:
    """Return the angles of each column of (B, n, columns), (B, n, frequencies) each."""
    quarter = math.pi / 2 * columns  # times frequency in this order: models are as sensitive as angles are large
    return [quarter[..., i : i + 1] * freq for i, freq in enumerate(freqs)]


class FourierFeatures(nn.Module):
    """Sines, then cosines, of each column in turn.

    Parameters
    ----------
    longest : sequence of float
        Longest wave of each column when training starts.
    per_column : int
        Numbers that a column becomes; even.
    """

    def __init__(self, longest: Sequence[float], per_column: int) -> None:
        super().__init__()
        self.freqs = nn.ParameterList(nn.Parameter(waves(cutoff, per_column // 2)) for cutoff in longest)

    def forward(self, columns: Tensor) -> Tensor:
        """Return (B, n, columns * per_column) of columns (B, n, columns)."""
        angles = _angles(columns, self.freqs)
        return torch.cat([part for angle in angles for part in (angle.sin(), angle.cos())], dim=-1)


class Rotations(nn.Module):
    """Angles by which places and times turn adjacent pairs of a query or a key.

    Parameters
    ----------
    longest : sequence of float
        Longest wave of time, then of each space axis, when training starts.
    widths : sequence of int
        Numbers of a head that each of them turns; even.
    """

    def __init__(self, longest: Sequence[float], widths: Sequence[int]) -> None:
        super().__init__()
        self.freqs = nn.ParameterList(
            nn.Parameter(waves(cutoff, width // 2)) for cutoff, width in zip(longest, widths, strict=True)
        )

    def forward(self, places: Tensor) -> Tensor:
        """Return a complex turn for each pair of a head, (B, 1, n, h / 2), of places (B, n, 1 + c)."""
        angle = torch.cat(_angles(places, self.freqs), dim=-1)[:, None]  # (B, 1, n, h / 2)
        return torch.complex(angle.cos(), angle.sin())


def turned(heads: Tensor, turns: Tensor) -> Tensor:
    """Turn adjacent pairs of (B, H, n, h): (a cos - b sin, b cos + a sin)."""
    pairs = heads.float().unflatten(-1, (-1, 2))  # (B, H, n, h / 2, 2); no complex numbers have half precision
    if pairs.shape[-2] % VECTOR == 0:
        return torch.view_as_real(torch.view_as_complex(pairs) * turns).flatten(-2)
    # what is left over of a vector would be multiplied with other roundings than the authors' code has
    a, b = pairs.unbind(-1)
    return torch.stack([a * turns.real - b * turns.imag, b * turns.real + a * turns.imag], dim=-1).flatten(-2)


class DistanceTable(nn.Module):
    """A learned number for each head, each bin of distance and each bin of time from query to key.

    Parameters
    ----------
    heads, n_spatial : int
        Attention heads, and bins of distance.
    cutoff : float
        Longest distance.
    window : int
        Frames; times reach from -window to window.
    """

    spatial_bins: Tensor
    temporal_bins: Tensor

    def __init__(self, heads: int, n_spatial: int, cutoff: float, window: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.randn((2 * window + 1) * n_spatial, heads) / 2)
        self.register_buffer("spatial_bins", torch.exp(torch.linspace(0, math.log(cutoff + 1), n_spatial)))
        self.register_buffer("temporal_bins", torch.linspace(-window, window, 2 * window + 1))

    def forward(self, distance: Tensor, looking: Tensor, looked_at: Tensor) -> Tensor:
        """Return (B, H, q, k) of distances (B, q, k), and times of those that look and of those that are looked at."""
        near = torch.bucketize(distance, self.spatial_bins).clamp_(max=len(self.spatial_bins) - 1)
        later = torch.bucketize(looked_at[:, None, :] - looking[:, :, None], self.temporal_bins)
        row = near + len(self.spatial_bins) * later.clamp_(max=len(self.temporal_bins) - 1)
        return self.bias[row].permute(0, 3, 1, 2)  # (B, q, k, H) -> (B, H, q, k)
