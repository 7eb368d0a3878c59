"""The association transformer of Trackastra: cells of a few frames go in, a logit for each two of them comes out.

Names of layers, and so the keys of the weights, are those of the authors' model folders.

References
----------
.. [1] Gallusser & Weigert, "Trackastra: Transformer-based cell tracking for live-cell microscopy", ECCV 2024,
   sections 1.2 and 1.3; where its released code differs from the text, the code is followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import FormatError
from .attention import DecoderLayer, EncoderLayer, FeedForward, Surroundings, distances
from .encodings import FEATURE_CUTOFF, FourierFeatures
from .near import groups_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .settings import TransformerSettings


CROWDED: Final = 1024  # cells of a window from which on they may look at each other in groups
WORTH_GROUPS: Final = 0.6  # share of all pairs that are computed; groups of few cells are slower, pair by pair

MOST_WEIGHTS: Final = 1_000_000_000  # four gigabytes; the published ones have ten million


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What the network makes of the cells of windows.

    Parameters
    ----------
    encoded : (B, n, D) float32
        Embedding of each cell among its neighbours.
    parent, child : (B, n, D) float32
        Each cell as a parent and as a child; the logit of a link is their product.
    places : (B, n, c) float32
        Where they lie, pixels.
    distance : (B, n, n) float32 or None
        Pixels in space between each two; None for crowded windows, of which no such matrix is made.
    """

    encoded: Tensor
    parent: Tensor
    child: Tensor
    places: Tensor
    distance: Tensor | None

    def apart(self, rows: slice, columns: slice, window: int = 0) -> Tensor:
        """Return the distances between cells of one of the windows, (a, b)."""
        if self.distance is not None:
            return self.distance[window, rows, columns]
        places = self.places[window : window + 1]
        return distances(places[:, rows], places[:, columns])[0]


def shape_alone(settings: TransformerSettings) -> AssociationTransformer:
    """Return a network that has names and shapes of weights, and takes no memory for them.

    Raises
    ------
    FormatError
        If it would have more than `MOST_WEIGHTS`.
    """
    with torch.device("meta"):
        shape = AssociationTransformer(settings)
    weights = sum(weight.numel() for weight in shape.parameters())
    if weights > MOST_WEIGHTS:
        raise FormatError(f"a network of {weights:,} weights", expected=f"{MOST_WEIGHTS:,} at most")
    return shape


class AssociationTransformer(nn.Module):
    """An encoder and a decoder over the same tokens, and a head for each.

    Parameters
    ----------
    settings : TransformerSettings
        Its shape.
    """

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        self.settings = settings
        width = settings.d_model
        self.proj, self.norm = nn.Linear(settings.token_width, width), nn.LayerNorm(width)
        self.encoder = nn.ModuleList(EncoderLayer(settings) for _ in range(settings.num_encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(settings) for _ in range(settings.num_decoder_layers))
        self.head_x, self.head_y = FeedForward(width), FeedForward(width)
        self.fourier_of_features = settings.feat_dim > 0 and settings.feat_embed_per_dim > 1
        if self.fourier_of_features:
            self.feat_embed = FourierFeatures([FEATURE_CUTOFF] * settings.feat_dim, settings.feat_embed_per_dim)
        longest = [float(settings.window)] + [float(settings.spatial_pos_cutoff)] * settings.coord_dim
        self.pos_embed = FourierFeatures(longest, settings.pos_embed_per_dim)

    def forward(self, places: Tensor, features: Tensor, padding: Tensor | None = None) -> Tensor:
        """Return the logit of every link.

        Parameters
        ----------
        places : (B, n, 1 + c) float32
            Frame and place of each cell, pixels, axes ``([z,] y, x)``.
        features : (B, n, F) float32
            What is known of each cell, see `token_features`; F may be 0.
        padding : (B, n) bool or None
            True for rows that are no cell.

        Returns
        -------
        logits : (B, n, n) float32
            Of the link from row i to column j; those that run backward in time mean nothing.
        """
        seen = self.look(places, features, padding)
        return seen.parent @ seen.child.mT

    def look(self, places: Tensor, features: Tensor, padding: Tensor | None = None) -> Seen:
        """Return what the network makes of each cell, before cells are compared."""
        if padding is not None:  # what is only padding is put where it moves no origin
            places = torch.where(padding[..., None], places.max(), places)
        # one number for all columns: where a window begins in time shifts its places, too, and weights know it so
        places = places - places[..., :1].amin(dim=1, keepdim=True)
        if padding is None and len(places) == 1 and places.shape[1] >= CROWDED:
            order, groups, seen = groups_of(places[0, :, 1:].cpu().numpy(), float(self.settings.spatial_pos_cutoff))
            pairs = sum((group.stop - group.start) * len(others) for group, others in zip(groups, seen, strict=True))
            if pairs <= WORTH_GROUPS * len(order) ** 2:
                return self._look_in_groups(places, features, order, groups, seen)
        around = Surroundings.of(self.settings, places, padding)
        encoded, decoded = self._layers(places, features, around)
        return Seen(encoded, self.head_x(encoded), self.head_y(decoded), places[..., 1:], around.sights[0].distance)

    def _look_in_groups(
        self,
        places: Tensor,
        features: Tensor,
        order: NDArray[np.int64],
        groups: list[slice],
        seen: list[NDArray[np.int64]],
    ) -> Seen:
        """Do what `look` does, in an order of cells in which those that see each other stand together."""
        there, back, *others = (torch.from_numpy(rows).to(places.device) for rows in (order, np.argsort(order), *seen))
        around = Surroundings.grouped(self.settings, places[:, there], groups, others)
        encoded, decoded = self._layers(around.places, features[:, there], around)
        encoded, decoded = encoded[:, back], decoded[:, back]
        return Seen(encoded, self.head_x(encoded), self.head_y(decoded), places[..., 1:], None)

    def _layers(self, places: Tensor, features: Tensor, around: Surroundings) -> tuple[Tensor, Tensor]:
        """Return what encoder and decoder make of each token, (B, n, D) each."""
        told = self.feat_embed(features) if self.fourier_of_features else features
        start = self.norm(self.proj(torch.cat([self.pos_embed(places), told], dim=-1)))
        encoded = start
        for layer in self.encoder:
            encoded = layer(encoded, around)
        decoded = start
        for layer in self.decoder:
            decoded = layer(decoded, encoded, around)
        return encoded, decoded
