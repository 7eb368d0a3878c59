"""A model as a scorer of given candidates: it looks at cells and pixels as they are handed over, at no store.

That is what draws of perturbed cells ask for. Scores that a store keeps come from `engine.networks`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from ...storage.measurements import Features, Intensity
from ..measure import measure
from ..models.registry import find
from ..networks import left_by_nearer_frames
from ..pixels import NO_PIXELS
from .base import Scores, ScoreScale

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...storage.schema import CandidateEdges, Detections
    from ..models.cells import Cells
    from ..pixels import Pixels

LEAST: Final = 1e-4  # far below what a store keeps, so that a mean over draws has no steps


class NetworkScorer:
    """Scores each candidate by an association transformer; one forward pass of the whole movie a call.

    Parameters
    ----------
    by : str
        Model folder, or the name of a known model.
    channel : str
        Images that tell how bright cells are; empty for the first.
    device : str
        ``cpu``, ``cuda`` or ``auto``.

    Raises
    ------
    ConfigError
        If PyTorch is not installed, or there is no such device.
    FormatError
        If the folder is no model.
    """

    def __init__(self, by: str, *, channel: str = "", device: str = "auto") -> None:
        from ..models.installed import require_torch

        require_torch()
        from ..models.checkpoint import load_model

        self._model, self._card = load_model(find(by), device=device)
        self._channel = channel
        self.name = self._card.name

    def score(self, detections: Detections, edges: CandidateEdges, pixels: Pixels = NO_PIXELS) -> Scores:
        """Return the probability of each candidate, 0 where the model finds none that is worth a mean.

        Raises
        ------
        MissingRowsError
            If the model looks at shapes or brightness and there are no masks or images.
        """
        from ..models.windows import Links, Sliding, associate

        if not len(edges):
            return Scores(np.empty(0), ScoreScale.PROBABILITY)
        sliding = Sliding(int(detections.frame[-1]) + 1, max_gap=int(edges.frames.max()) - 1, least=LEAST)
        judged = associate(self._model, self._cells(detections, pixels), sliding)
        links = Links.concatenate([part.links for part in judged])
        n = len(detections)
        told, asked = links.source * n + links.target, edges.source * n + edges.target
        order = np.argsort(told)
        place = np.minimum(np.searchsorted(told[order], asked), max(len(told) - 1, 0))
        value = np.zeros(len(edges))
        if len(told):
            value = np.where(told[order][place] == asked, links.probability[order][place], 0.0)
        return Scores(left_by_nearer_frames(edges.target, edges.frames, value, n), ScoreScale.PROBABILITY)

    def _cells(self, detections: Detections, pixels: Pixels) -> Cells:
        """Return the cells as the model sees them."""
        from ..models.brightness import Brightness, brightness_of
        from ..models.cells import NO_IMAGES, cells_for, equally_bright

        settings = self._card.settings
        if not settings.feat_dim or not pixels.has_masks:
            return cells_for(settings, detections, None, None, None, model=self.name)
        channel = self._channel or next(iter(pixels.channels), "")
        seen = channel if self._card.knows_brightness else ""
        features = _measured(detections, pixels, seen)
        if not self._card.knows_brightness:
            return cells_for(
                settings, detections, equally_bright(features), NO_IMAGES, Brightness(0, 1), model=self.name
            )
        if not channel:
            return cells_for(settings, detections, features, None, None, model=self.name)
        frames = np.unique(detections.frame).tolist()
        brightness = brightness_of(lambda: (pixels.image(channel, frame) for frame in frames))
        return cells_for(settings, detections, features, channel, brightness, model=self.name)


def _measured(detections: Detections, pixels: Pixels, channel: str) -> Features:
    """Return what masks, and images of a channel where one is named, tell of each cell."""
    parts: list[Features] = []
    rows: list[NDArray[np.int64]] = []
    for frame in np.unique(detections.frame).tolist():
        found = measure(pixels.mask(frame), {channel: pixels.image(channel, frame)} if channel else None)
        labels = detections.label[detections.frame == frame]
        before = sum(len(part) for part in parts)
        rows.append(np.searchsorted(found.label, labels).astype(np.int64) + before)
        parts.append(found.features)
    return _rows_of(Features.concatenate(parts), np.concatenate(rows))


def _rows_of(features: Features, rows: NDArray[np.int64]) -> Features:
    return Features(
        features.bbox_min[rows],
        features.bbox_max[rows],
        features.inertia_px2[rows],
        features.border_px[rows],
        {name: Intensity(of.mean[rows], of.min[rows], of.max[rows]) for name, of in features.intensity.items()},
    )
