"""How the cells of a movie look, as far as the learned cost reads it: areas, mean brightness in each channel, masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .costs import MOST_CELLS, Outlines, Trait
from .pixels import pixels_of
from .scorers.overlap import OverlapScorer

if TYPE_CHECKING:
    from ..storage.catalogue import DetectionSet
    from ..storage.duckdb_store import DuckDBStore
    from ..storage.schema import CandidateEdges, Detections
    from .evidence import LearnedConfig


def traits_of(
    store: DuckDBStore, chosen: DetectionSet, detections: Detections, read: LearnedConfig
) -> tuple[Trait, ...]:
    """Return the traits of n cells that are known and are to be looked at; none of points.

    Parameters
    ----------
    store, chosen : DuckDBStore, DetectionSet
        Where the cells are kept.
    detections : Detections
        The cells.
    read : LearnedConfig
        What to look at.
    """
    traits = []
    if read.areas:
        traits.append(Trait.of("area", detections.area, adds_up=True))
    if read.intensity and np.isfinite(detections.area).any():  # images are measured where masks are
        for channel, intensity in store.features(chosen, detections).intensity.items():
            traits.append(Trait.of(f"brightness_{channel}", intensity.mean, adds_up=False))
    return tuple(trait for trait in traits if trait.known.any())


def outlines_of(
    store: DuckDBStore, chosen: DetectionSet, detections: Detections, edges: CandidateEdges, read: LearnedConfig
) -> Outlines | None:
    """Return how m candidates cover each other; None where there are no masks, or they are not to be looked at.

    Those of a large movie, of which a part is learned from, are not read.

    Parameters
    ----------
    store, chosen, detections, read
        As in `traits_of`.
    edges : CandidateEdges
        The candidates.
    """
    if not read.outlines or not 0 < len(detections) <= MOST_CELLS or np.isnan(detections.area).any():
        return None
    pixels = pixels_of(store, chosen)
    if not pixels.has_masks:
        return None
    iou = OverlapScorer().score(detections, edges, pixels).value
    source, target = detections.area[edges.source], detections.area[edges.target]
    shared = iou * (source + target) / (1 + iou)
    voxel = 1.0 if detections.scale_um is None else float(np.prod(detections.scale_um)) ** (1 / detections.ndim)
    return Outlines.unlearned(shared / target, detections.equivalent_diameter_px / 2 * voxel, edges)
