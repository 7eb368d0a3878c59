"""How the cells of a movie look, as far as the learned cost reads it: areas, and mean brightness in each channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .costs import Trait

if TYPE_CHECKING:
    from ..storage.catalogue import DetectionSet
    from ..storage.duckdb_store import DuckDBStore
    from ..storage.schema import Detections
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
