"""The association transformer of Trackastra: cells of a few frames go in, a logit for each two of them comes out.

Names of layers, and so the keys of the weights, are those of the authors' model folders.

References
----------
.. [1] Gallusser & Weigert, "Trackastra: Transformer-based cell tracking for live-cell microscopy", ECCV 2024,
   sections 1.2 and 1.3; where its released code differs from the text, the code is followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .attention import DecoderLayer, EncoderLayer, FeedForward, Surroundings
from .encodings import FEATURE_CUTOFF, FourierFeatures

if TYPE_CHECKING:
    from .settings import TransformerSettings


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What the network makes of the cells of windows.

    Parameters
    ----------
    encoded : (B, n, D) float32
        Embedding of each cell among its neighbours.
    parent, child : (B, n, D) float32
        Each cell as a parent and as a child; the logit of a link is their product.
    distance : (B, n, n) float32
        Pixels in space between each two.
    """

    encoded: Tensor
    parent: Tensor
    child: Tensor
    distance: Tensor


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
        around = Surroundings.of(self.settings, places, padding)
        told = self.feat_embed(features) if self.fourier_of_features else features
        start = self.norm(self.proj(torch.cat([self.pos_embed(places), told], dim=-1)))
        encoded = start
        for layer in self.encoder:
            encoded = layer(encoded, around)
        decoded = start
        for layer in self.decoder:
            decoded = layer(decoded, encoded, around)
        return Seen(encoded, self.head_x(encoded), self.head_y(decoded), around.distance)
