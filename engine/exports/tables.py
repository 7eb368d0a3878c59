"""A solution as tables of CSV or Parquet.

A path that ends in ``.csv`` or ``.parquet`` becomes one table with a row for each cell, which trackdb reads again by
its column ``parent_id``; any other path becomes a folder with tables of cells, links and tracks, and ``about.json``.
Positions ``z y x`` are in pixels, as they are read; ``z_um y_um x_um`` stand beside them where the voxel size is known.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import FormatError
from ...storage.schema import rows_of
from ...storage.writers.tables import count_formulas, write_table, write_tables
from .base import exporter, note_formulas, what_is_lost

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from .tracking import Tracking

SUFFIXES = (".csv", ".parquet")


def _lost(suffix: str, tracking: Tracking, out: Path) -> list[str]:
    """Say what is lost, or refuse a path whose name promises another format."""
    named = out.suffix.lower()
    if named in SUFFIXES and named != suffix:
        raise FormatError(f"{out} is named like {named[1:]}, not like {suffix[1:]}", expected=f"NAME{suffix}")
    if named == suffix:
        notes = what_is_lost(tracking, "gaps", "probabilities", "pins", "numbers", "texts")
        columns = [_one_table(tracking)]
    else:
        notes = what_is_lost(tracking, "gaps", "merges", "probabilities", "pins", "scale", "numbers", "texts")
        columns = list(_tables(tracking).values())
    return [*notes, *note_formulas(sum(map(count_formulas, columns)))] if suffix == ".csv" else notes


def _write(suffix: str, tracking: Tracking, out: Path) -> int:
    if out.suffix.lower() == suffix:
        write_table(out, _one_table(tracking), _about(tracking))
        return 1
    return len(write_tables(out, _tables(tracking), _about(tracking), suffix))


def _one_table(tracking: Tracking) -> dict[str, NDArray[Any]]:
    """Return the cells, each with its mother, and what is told of the link from there."""
    mother, tracks = tracking.parent, tracking.tracks
    parent = tracks.parent[rows_of(tracks.id, tracking.track, "track")]
    family = {
        "parent": np.ma.masked_array(parent, parent == 0),
        "lineage": tracking.lineage,
        "parent_id": np.ma.masked_array(tracking.cells.id[mother], mother < 0),
        **tracking.into_cells(),
    }
    return _cells(tracking, family)


def _tables(tracking: Tracking) -> dict[str, dict[str, NDArray[Any]]]:
    """Return tables of cells, links and tracks."""
    cells, tracks = tracking.cells, tracking.tracks
    frame = cells.frame[tracking.source]
    ends = {"source": cells.id[tracking.source], "target": cells.id[tracking.target], "t": frame}
    return {
        "cells": _cells(tracking, {"lineage": tracking.lineage}),
        "links": {**ends, "dt": cells.frame[tracking.target] - frame, **tracking.link_columns},
        "tracks": {
            "track": tracks.id,
            "parent": np.ma.masked_array(tracks.parent, tracks.parent == 0),
            "lineage": tracks.lineage,
            "first_t": tracks.first_frame,
            "last_t": tracks.last_frame,
            "generation": tracks.generation,
            "n_children": tracks.n_children,
        },
    }


def _cells(tracking: Tracking, family: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return what is told of each cell, with the columns of its family behind its track."""
    cells, movie = tracking.cells, tracking.movie
    columns: dict[str, NDArray[Any]] = {"id": cells.id, "t": cells.frame}
    columns |= {axis: tracking.position_px[:, i] for i, axis in enumerate(tracking.axes)}
    columns |= {"label": cells.label, "area": cells.area, "track": tracking.track, **family, **tracking.cell_pins}
    if movie.scale_um:
        columns |= {f"{axis}_um": cells.position_um[:, i].astype(np.float32) for i, axis in enumerate(tracking.axes)}
    if movie.interval_s:
        columns["time_s"] = cells.frame * movie.interval_s
    return columns | tracking.extras(columns)


def _about(tracking: Tracking) -> dict[str, Any]:
    """Return what the tables cannot tell by themselves."""
    movie = tracking.movie
    return {
        **tracking.about,
        "n_frames": movie.n_frames,
        "shape_px": movie.shape_px,
        "scale_um": movie.scale_um,
        "frame_interval_s": movie.interval_s,
        "axes": ["t", *tracking.axes],
        "unit": "px",
    }


export_csv = exporter("csv", partial(_lost, ".csv"), partial(_write, ".csv"))
export_parquet = exporter("parquet", partial(_lost, ".parquet"), partial(_write, ".parquet"))
