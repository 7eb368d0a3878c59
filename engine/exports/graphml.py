"""A solution as GraphML: a node for each cell, an edge for each link, with all that is known of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...storage.writers.graphml import write_graphml
from .base import exporter, what_is_lost

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from .tracking import Tracking


def _lost(tracking: Tracking, out: Path) -> list[str]:
    notes = what_is_lost(tracking, "gaps", "merges", "probabilities", "pins", "scale", "numbers", "texts")
    return (
        notes if out.suffix == ".graphml" else [*notes, f"Gephi looks for files named .graphml, and {out.name} is not"]
    )


def _write(tracking: Tracking, out: Path) -> int:
    cells, movie = tracking.cells, tracking.movie
    position = cells.position_um if movie.scale_um else tracking.position_px
    own: dict[str, NDArray[np.generic]] = {
        "t": cells.frame,
        **{axis: position[:, i] for i, axis in enumerate(tracking.axes)},
        "label": cells.label,
        "area": cells.area,
        "track": tracking.track,
        "lineage": tracking.lineage,
        **tracking.cell_pins,
    }
    facts = {**tracking.about, "unit": movie.unit, "n_frames": movie.n_frames, "frame_interval_s": movie.interval_s}
    facts |= {f"scale_{axis}": size for axis, size in zip(tracking.axes, movie.scale_um or (), strict=False)}
    write_graphml(
        out,
        {name: fact for name, fact in facts.items() if fact is not None},
        cells.id,
        own | tracking.extras(own),
        cells.id[tracking.source],
        cells.id[tracking.target],
        tracking.link_columns,
    )
    return 1


export_graphml = exporter("graphml", _lost, _write)
