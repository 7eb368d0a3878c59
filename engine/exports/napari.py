"""A solution for napari's Tracks layer: tracklets as tracks, and who is whose parent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...storage.writers.napari import write_napari
from ...storage.writers.tables import count_formulas
from .base import exporter, note_formulas, what_is_lost
from .tracking import branches

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from .tracking import Tracking

    Layer = tuple[NDArray[np.float64], dict[int, list[int]], dict[str, NDArray[np.generic]]]


def napari_layer(tracking: Tracking) -> Layer:
    """Return what a Tracks layer is made of, for ``viewer.add_tracks(data, graph=graph, properties=properties)``.

    Parameters
    ----------
    tracking : Tracking
        n cells in k tracklets.

    Returns
    -------
    data : (n, 4) or (n, 5) float64
        Tracklet (see `branches`), frame and position ``([z,] y, x)`` in pixels, as images without a scale lie; ordered
        by tracklet and frame.
    graph : dict of int to list of int
        Tracklets that each one comes from: its mother, and where tracks merge every one that enters it.
    properties : dict of str to (n,) array
        Number of the cell, ``label``, ``area``, ``lineage``, probability and pin of the link that leads into it,
        features and properties.
    """
    cells, track = tracking.cells, branches(tracking)
    order = np.lexsort((cells.frame, track))
    data = np.column_stack([track, cells.frame, cells.position_px])[order]
    child, parent = track[tracking.target], track[tracking.source]
    pairs = np.unique(np.column_stack([child, parent])[child != parent], axis=0)
    graph: dict[int, list[int]] = {}
    for below, above in pairs.tolist():
        graph.setdefault(below, []).append(above)
    own: dict[str, NDArray[np.generic]] = {
        "id": cells.id,
        "label": cells.label,
        "area": cells.area,
        "lineage": tracking.lineage,
        **tracking.into_cells(),
        **tracking.cell_pins,
    }
    place = {axis: cells.position_px[:, i] for i, axis in enumerate(tracking.axes)}
    properties = own | tracking.extras({"track": track, "t": cells.frame, **place, **own})
    return data, graph, {name: column[order] for name, column in properties.items()}


def _lost(tracking: Tracking, _out: Path) -> list[str]:
    """Say what is lost: napari takes a scale from whoever adds the layer, and knows links by their ends alone."""
    notes = what_is_lost(tracking, "gaps", "merges", "probabilities", "pins", "numbers", "texts")
    return [*notes, *note_formulas(count_formulas(tracking.extras()))]


def _write(tracking: Tracking, out: Path) -> int:
    data, graph, properties = napari_layer(tracking)
    whole, place = data[:, :2].astype(np.int64), data[:, 2:].astype(np.float32)
    columns = dict(zip(["track", "t", *tracking.axes], [*whole.T, *place.T], strict=True))
    return len(write_napari(out, columns | properties, graph))


export_napari = exporter("napari", _lost, _write)
