"""Attention among the cells of a window: who sees whom, how much less from afar, and the layers that look.

What depends on places alone is worked out once for a window (`Surroundings`) and shared by all layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from .encodings import DistanceTable, Rotations, turned

if TYPE_CHECKING:
    from .settings import TransformerSettings

UNSEEN: Final = -1000.0
"""Added to what is too far away or only padding: its share of attention is 0 in single precision."""


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """Where the tokens of windows lie to each other.

    Parameters
    ----------
    places : (B, n, 1 + c) float32
        Time and place of each token.
    distance : (B, n, n) float32
        Pixels in space between each two.
    mask : (B, 1, n, n) float32
        Added to what attention makes of two tokens, queries first.
    """

    places: Tensor
    distance: Tensor
    mask: Tensor

    @classmethod
    def of(cls, settings: TransformerSettings, places: Tensor, padding: Tensor | None) -> Surroundings:
        """Return the surroundings of tokens at `places`; `padding` (B, n) is True where there is none."""
        distance = distances(places[..., 1:])
        if settings.attn_dist_mode == "v0":
            mask = distances(places).mul_(-0.1).exp_()
        else:
            mask = distance.mul(-5).div_(settings.spatial_pos_cutoff).exp_()
        unseen = distance > settings.spatial_pos_cutoff
        if padding is not None:
            unseen |= padding[:, :, None] | padding[:, None, :]
        mask.add_(unseen, alpha=UNSEEN)
        return cls(places, distance, mask[:, None])


def distances(places: Tensor) -> Tensor:
    """Return the Euclidean distance between each two of (B, n, d) places, (B, n, n)."""
    return torch.cdist(places, places)


class Attention(nn.Module):
    """Multi-head attention in which places turn, or bias, what queries and keys say.

    Parameters
    ----------
    settings : TransformerSettings
        Width, heads, and how places are told.
    """

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        width = settings.d_model
        self.heads, self.dropout = settings.nhead, settings.dropout
        self.q_pro, self.k_pro, self.v_pro, self.proj = (nn.Linear(width, width) for _ in range(4))
        cutoff, window = float(settings.spatial_pos_cutoff), settings.window
        if settings.attn_positional_bias == "rope":
            self.rot_pos_enc = Rotations([float(window)] + [cutoff] * settings.coord_dim, settings.rotations)
        elif settings.attn_positional_bias == "bias":
            self.pos_bias = DistanceTable(self.heads, settings.attn_positional_bias_n_spatial, cutoff, window)

    def forward(self, query: Tensor, key: Tensor, around: Surroundings) -> Tensor:
        """Return what each token of `query` takes from those of `key`, both (B, n, D)."""
        q, k, v = self._split(self.q_pro(query)), self._split(self.k_pro(key)), self._split(self.v_pro(key))
        mask = around.mask
        if hasattr(self, "rot_pos_enc"):
            turns = self.rot_pos_enc(around.places)
            q, k = turned(q, turns), turned(k, turns)
        elif hasattr(self, "pos_bias"):
            mask = mask + self.pos_bias(around.distance, around.places[..., 0])
        dropout = self.dropout if self.training else 0.0
        taken = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        return self.proj(taken.transpose(1, 2).flatten(2))  # (B, H, n, h) -> (B, n, D)

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, n, D) -> (B, H, n, h)


class FeedForward(nn.Module):
    """Two layers, the inner one twice as wide."""

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, n, D) of (B, n, D)."""
        return self.fc2(self.dropout(functional.gelu(self.fc1(tokens))))


class EncoderLayer(nn.Module):
    """Tokens look at each other; the sum goes on from the normalised tokens, not from those that came in."""

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        self.attn = Attention(settings)
        self.mlp = FeedForward(settings.d_model, settings.dropout)
        self.norm1, self.norm2 = (nn.LayerNorm(settings.d_model) for _ in range(2))

    def forward(self, tokens: Tensor, around: Surroundings) -> Tensor:
        """Return (B, n, D) of (B, n, D)."""
        tokens = self.norm1(tokens)
        tokens = tokens + self.attn(tokens, tokens, around)
        return tokens + self.mlp(self.norm2(tokens))


class DecoderLayer(nn.Module):
    """Tokens look at what the encoder made of all of them."""

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        self.attn = Attention(settings)
        self.mlp = FeedForward(settings.d_model, settings.dropout)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(settings.d_model) for _ in range(3))

    def forward(self, tokens: Tensor, encoded: Tensor, around: Surroundings) -> Tensor:
        """Return (B, n, D) of two of them."""
        tokens, encoded = self.norm1(tokens), self.norm2(encoded)
        tokens = tokens + self.attn(tokens, encoded, around)
        return tokens + self.mlp(self.norm3(tokens))
