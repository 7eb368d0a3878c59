"""A solution as GEFF: a node for each cell, an edge for each link, with all that is known of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import FormatError
from ...storage.arrays import read_frame
from ...storage.writers.geff import GeffAxis, GeffGraph, require_geff, write_geff, write_geff_with_masks
from ..progress import Progress, Silent
from .base import ExportReport, exporter, what_is_lost
from .tracking import branches, components

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ...storage.catalogue import DetectionSet, SolutionInfo
    from ...storage.duckdb_store import DuckDBStore
    from .tracking import Tracking


def export_geff(
    store: DuckDBStore,
    chosen: DetectionSet,
    info: SolutionInfo,
    out: Path,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
    masks: bool = False,
) -> ExportReport:
    """Write a solution as GEFF; with `masks` as a Zarr group of the graph, ``tracks``, and the label masks, ``masks``.

    Raises
    ------
    ConfigError
        If the geff package is not installed.
    FormatError
        If something stands at `out`, or there are no masks to write.
    """
    require_geff()
    progress = progress or Silent()
    if not masks:
        lost, write = partial(_lost, masks=False), _write
    else:
        lost, write = partial(_lost, masks=True), partial(_write_with_masks, store, chosen, progress)
    return exporter("geff", lost, write)(store, chosen, info, out, dry_run=dry_run, progress=progress)


def _lost(tracking: Tracking, _out: Path, *, masks: bool) -> list[str]:
    if masks and not tracking.has_masks:
        raise FormatError("the store holds no label masks to write", **{"try": "the same without --masks"})
    notes = what_is_lost(tracking, "gaps", "merges", "probabilities", "pins", "scale", "numbers", "texts", "masks")
    if tracking.has_masks and not masks:
        notes.append("the label masks are left out; --masks writes them beside the graph")
    return notes


def _write(tracking: Tracking, out: Path) -> int:
    return write_geff(out, geff_graph(tracking))


def _write_with_masks(
    store: DuckDBStore, chosen: DetectionSet, progress: Progress, tracking: Tracking, out: Path
) -> int:
    [ref, *_] = [ref for ref in store.arrays(chosen) if ref.kind == "masks"]
    progress.start("masks", ref.shape[0])

    def read(frame: int) -> NDArray[Any]:
        progress.advance()
        return read_frame(store.path, ref, frame)

    return write_geff_with_masks(
        out, geff_graph(tracking), map(read, range(ref.shape[0])), ref.shape, np.dtype(ref.dtype)
    )


def geff_graph(tracking: Tracking) -> GeffGraph:
    """Return a tracking in GEFF's terms: positions in pixels and frames, whose scale the axes tell."""
    cells, movie = tracking.cells, tracking.movie
    own: dict[str, NDArray[np.generic]] = {
        "t": cells.frame,
        **{axis: cells.position_px[:, i] for i, axis in enumerate(tracking.axes)},
        "seg_id": cells.label,
        "area": cells.area,
        "track_id": tracking.track,
        "lineage_id": tracking.lineage,
        **tracking.cell_pins,
    }
    merges = tracking.n_merges > 0
    if merges:  # GEFF takes lineages that merge for one, and ends a path where a link leaves it
        own |= {"branch_id": branches(tracking), "component_id": components(tracking)[0]}
    scales = movie.scale_um or (None,) * movie.ndim
    return GeffGraph(
        node=cells.id,
        node_columns=own | tracking.extras(own),
        edge=np.column_stack([cells.id[tracking.source], cells.id[tracking.target]]),
        edge_columns=tracking.link_columns,
        axes=[
            GeffAxis("t", "time", "frame", movie.interval_s, "second"),
            *(
                GeffAxis(axis, "space", "pixel", scale, "micrometer")
                for axis, scale in zip(tracking.axes, scales, strict=True)
            ),
        ],
        tracklet="branch_id" if merges else "track_id",
        lineage="component_id" if merges else "lineage_id",
        label="seg_id",
        extra={"trackdb": {**tracking.about, "n_frames": movie.n_frames, "shape_px": movie.shape_px}},
    )
