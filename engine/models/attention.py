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
class Sight:
    """Some tokens, and those that they may see.

    Parameters
    ----------
    rows : slice
        The tokens that look.
    seen : (k,) int64 or None
        Those that are looked at; None for all.
    distance : (B, q, k) float32
        Pixels in space between each two.
    mask : (B, 1, q, k) float32
        Added to what attention makes of two tokens.
    """

    rows: slice
    seen: Tensor | None
    distance: Tensor
    mask: Tensor

    def of(self, tokens: Tensor, dim: int) -> Tensor:
        """Return those of (.., n, ..) tokens that are looked at."""
        return tokens if self.seen is None else tokens.index_select(dim, self.seen)


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """Where the tokens of windows lie to each other.

    Parameters
    ----------
    places : (B, n, 1 + c) float32
        Time and place of each token.
    sights : list of Sight
        Who may see whom; the rows of all of them are all tokens, in their order.
    """

    places: Tensor
    sights: list[Sight]

    @classmethod
    def of(cls, settings: TransformerSettings, places: Tensor, padding: Tensor | None) -> Surroundings:
        """Return the surroundings of tokens of which each may see any; `padding` (B, n) is True where there is none."""
        sight = _sight(settings, slice(0, places.shape[1]), None, places, places)
        if padding is not None:
            nobody = padding[:, :, None] | padding[:, None, :]
            sight.mask.masked_fill_(nobody[:, None] & (sight.distance <= settings.spatial_pos_cutoff)[:, None], UNSEEN)
        return cls(places, [sight])

    @classmethod
    def grouped(
        cls, settings: TransformerSettings, places: Tensor, groups: list[slice], seen: list[Tensor]
    ) -> Surroundings:
        """Return the surroundings of the tokens of one window in groups, each of which sees some tokens alone."""
        return cls(
            places,
            [
                _sight(settings, rows, others, places[:, rows], places.index_select(1, others))
                for rows, others in zip(groups, seen, strict=True)
            ],
        )


def _sight(
    settings: TransformerSettings, rows: slice, seen: Tensor | None, looking: Tensor, looked_at: Tensor
) -> Sight:
    distance = distances(looking[..., 1:], looked_at[..., 1:])
    if settings.attn_dist_mode == "v0":
        mask = distances(looking, looked_at).mul_(-0.1).exp_()
    else:
        mask = distance.mul(-5).div_(settings.spatial_pos_cutoff).exp_()
    mask.add_(distance > settings.spatial_pos_cutoff, alpha=UNSEEN)
    return Sight(rows, seen, distance, mask[:, None])


def distances(looking: Tensor, looked_at: Tensor) -> Tensor:
    """Return the Euclidean distance between each two of (B, q, d) and (B, k, d) places, (B, q, k)."""
    return torch.cdist(looking, looked_at)


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
        if hasattr(self, "rot_pos_enc"):
            turns = self.rot_pos_enc(around.places)
            q, k = turned(q, turns), turned(k, turns)
        time = around.places[..., 0]
        dropout = self.dropout if self.training else 0.0
        taken = []
        for sight in around.sights:
            mask = sight.mask
            if hasattr(self, "pos_bias"):
                mask = mask + self.pos_bias(sight.distance, time[:, sight.rows], sight.of(time, 1))
            keys, values = sight.of(k, 2), sight.of(v, 2)
            taken.append(
                functional.scaled_dot_product_attention(
                    q[:, :, sight.rows], keys, values, attn_mask=mask, dropout_p=dropout
                )
            )
        together = taken[0] if len(taken) == 1 else torch.cat(taken, dim=2)
        return self.proj(together.transpose(1, 2).flatten(2))  # (B, H, n, h) -> (B, n, D)

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
