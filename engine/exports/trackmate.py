"""A solution as a TrackMate file: cells as spots, lineages as tracks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...storage.writers.trackmate import (
    EDGE_FEATURES,
    LARGEST_ID,
    SPOT_FEATURES,
    TRACK_FEATURES,
    Feature,
    TrackMateModel,
    feature_key,
    write_trackmate,
)
from .base import counted, exporter, names_of, note_decided, what_is_lost
from .ctc import marker_radius_px
from .tracking import components

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from .tracking import Tracking

    Column = NDArray[np.generic]
    Columns = dict[str, Column]

# texts that TrackMate has a place for: properties that its files bring, and that go back to where they came from
SPOT_NAME, TRACK_NAME = "name", "TRACK_NAME"
DIMENSIONS = {"AREA": "AREA", "VOLUME": "VOLUME"}  # all other features are plain numbers


def _lost(tracking: Tracking, out: Path) -> list[str]:
    notes = what_is_lost(tracking, "gaps", "merges", "probabilities", "pins", "scale", "numbers", "texts")
    if texts := [name for name in names_of(tracking, text=True) if name not in (SPOT_NAME, TRACK_NAME)]:
        notes.append(f"TrackMate takes no text but names, left out: {', '.join(texts)}")
    if np.any(tracking.evidence.pinned_by != ""):
        notes.append("PINNED tells which links people pinned; who did is left out")
    notes += note_decided(tracking)
    if np.isnan(tracking.cells.area).any():
        notes.append(f"where no area is known, a spot gets the radius {_radius_of_points(tracking):.3g}")
    alone = len(tracking.cells) - len(np.union1d(tracking.source, tracking.target))
    if alone:
        cells = counted(alone, "cell without links is a spot", "cells without links are spots")
        notes.append(f"{cells} of no track, as TrackMate has it")
    if out.suffix != ".xml":
        notes.append(f"TrackMate looks for files named .xml, and {out.name} is not")
    if _is_large(tracking):
        notes.append("cells have numbers too large for TrackMate: spots are numbered anew, CELL tells the number")
    return notes


def _write(tracking: Tracking, out: Path) -> int:
    write_trackmate(out, trackmate_model(tracking))
    return 1


def trackmate_model(tracking: Tracking) -> TrackMateModel:
    """Return a tracking in TrackMate's terms."""
    cells, movie, about = tracking.cells, tracking.movie, tracking.about
    declared: dict[str, Feature] = {}
    spot_id = np.arange(len(cells)) if _is_large(tracking) else cells.id
    time = (cells.frame[tracking.source] + cells.frame[tracking.target]) / 2 * (movie.interval_s or 1.0)
    ends = {"SPOT_SOURCE_ID": spot_id[tracking.source], "SPOT_TARGET_ID": spot_id[tracking.target], "EDGE_TIME": time}
    component, first = components(tracking)
    linked, edge_track = np.unique(component[tracking.source], return_inverse=True)
    return TrackMateModel(
        space_unit="micron" if movie.scale_um else "pixel",
        time_unit="sec" if movie.interval_s else "frame",
        spot=_spot_features(tracking, declared),
        spot_id=spot_id,
        spot_name=_texts(tracking, SPOT_NAME),
        edge=ends | _declare(_link_numbers(tracking), declared, ends),
        edge_track=edge_track,
        track=_track_features(tracking, component, linked, edge_track, first),
        track_name=_texts(tracking, TRACK_NAME)[first[linked]],
        declared=declared,
        image=_image(tracking),
        radius=_radius_of_points(tracking),
        log=f"Solution {about['solution']} of {about['dataset']} in {about['store']}, by {about['linker']}.",
    )


def _spot_features(tracking: Tracking, declared: dict[str, Feature]) -> Columns:
    """Return the features of the spots: those that TrackMate needs, then all that is known in numbers."""
    cells = tracking.cells
    place = cells.position_um if cells.scale_um else tracking.position_px
    position = dict(zip(tracking.axes, place.T, strict=True))
    size = np.prod(cells.scale_um or 1.0) * cells.area
    radius = np.sqrt(size / np.pi) if cells.ndim == 2 else np.cbrt(size * 3 / (4 * np.pi))
    own: Columns = {
        "QUALITY": np.ones(len(cells)),
        "POSITION_X": position["x"],
        "POSITION_Y": position["y"],
        "POSITION_Z": position.get("z", np.zeros(len(cells))),
        "POSITION_T": cells.frame * (tracking.movie.interval_s or 1.0),
        "FRAME": cells.frame,
        "RADIUS": np.where(np.isnan(radius), _radius_of_points(tracking), radius),
        "VISIBILITY": np.ones(len(cells)),
    }
    known = {name: column for name, column in tracking.extras().items() if column.dtype.kind != "U"}
    for name in own.keys() & known.keys():  # told by an earlier TrackMate file
        told = known.pop(name).astype(np.float64)
        own[name] = np.where(np.isnan(told), own[name], told)
    measured = {"LABEL": cells.label, "AREA" if cells.ndim == 2 else "VOLUME": size, "CELL": cells.id}
    worth_it = {"LABEL": np.any(cells.label != cells.id), "CELL": _is_large(tracking)}
    for name, column in measured.items():
        if name not in known and worth_it.get(name, not np.isnan(size).all()):
            known[name] = column
    return own | _declare(known, declared, own)


def _link_numbers(tracking: Tracking) -> Columns:
    """Return what is told of the links in numbers; their kind is seen from the tracks."""
    columns = {name.upper(): column for name, column in tracking.link_columns.items() if column.dtype.kind != "U"}
    return {name: c.astype(np.int64) if c.dtype.kind == "b" else c for name, c in columns.items()}


def _declare(columns: Columns, declared: dict[str, Feature], own: Iterable[str]) -> Columns:
    """Return columns under names that XML allows, and note how each is shown."""
    taken = {"ID", "name", "ROI_N_POINTS", *SPOT_FEATURES, *EDGE_FEATURES, *TRACK_FEATURES, *own}
    renamed = {}
    for name, column in columns.items():
        key = feature_key(name, taken)
        declared[key] = Feature(name or key, (name or key)[:12], DIMENSIONS.get(name, "NONE"), column.dtype.kind == "i")
        renamed[key] = column
    return renamed


def _track_features(
    tracking: Tracking,
    component: NDArray[np.int64],
    linked: NDArray[np.int64],
    edge_track: NDArray[np.int64],
    first: NDArray[np.int64],
) -> Columns:
    """Return TrackMate's own features of the components that have links; a track has the number of its lineage."""
    frame, k = tracking.cells.frame, len(linked)
    skipped = frame[tracking.target] - frame[tracking.source] - 1
    longest = np.zeros(k, dtype=np.int64)
    np.maximum.at(longest, edge_track, skipped)
    start, stop = np.full(k, np.iinfo(np.int64).max), np.zeros(k, dtype=np.int64)
    np.minimum.at(start, edge_track, frame[tracking.source])
    np.maximum.at(stop, edge_track, frame[tracking.target])
    interval = tracking.movie.interval_s or 1.0

    def crowded(end: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count the cells of each component that several links leave, or enter."""
        cells = np.flatnonzero(np.bincount(end, minlength=len(component)) > 1)
        return np.bincount(component[cells], minlength=len(first))[linked]

    return {
        "TRACK_INDEX": np.arange(k),
        "TRACK_ID": tracking.lineage[first[linked]],
        "NUMBER_SPOTS": np.bincount(component, minlength=len(first))[linked],
        "NUMBER_GAPS": np.bincount(edge_track[skipped > 0], minlength=k),
        "NUMBER_SPLITS": crowded(tracking.source),
        "NUMBER_MERGES": crowded(tracking.target),
        "LONGEST_GAP": longest,
        "TRACK_DURATION": (stop - start) * interval,
        "TRACK_START": start * interval,
        "TRACK_STOP": stop * interval,
    }


def _image(tracking: Tracking) -> dict[str, str | int | float]:
    """Return what TrackMate wants to know of the image; of points without images, one that holds them all."""
    cells, movie = tracking.cells, tracking.movie
    shape = movie.shape_px or tuple(np.ceil(cells.position_px.max(axis=0, initial=0)).astype(int) + 1)
    depth, height, width = (1, *map(int, shape))[-3:]
    dz, dy, dx = (1.0, *(movie.scale_um or (1.0,) * movie.ndim))[-3:]
    return {
        "filename": "",
        "folder": "",
        "width": width,
        "height": height,
        "nslices": depth,
        "nframes": movie.n_frames,
        "pixelwidth": dx,
        "pixelheight": dy,
        "voxeldepth": dz,
        "timeinterval": movie.interval_s or 1.0,
    }


def _radius_of_points(tracking: Tracking) -> float:
    """Return a radius at which neighbours do not touch, in the unit of the positions."""
    return marker_radius_px(tracking.cells) * min(tracking.cells.scale_um or (1.0,))


def _texts(tracking: Tracking, name: str) -> NDArray[np.str_]:
    """Return a property that is a text, ``""`` for each cell where there is none."""
    column = tracking.properties.get(name)
    if column is None or column.dtype.kind != "U":
        return np.zeros(len(tracking.cells), dtype=np.str_)
    return column.astype(np.str_, copy=False)


def _is_large(tracking: Tracking) -> bool:
    return bool(tracking.cells.id.max(initial=0) > LARGEST_ID)


export_trackmate = exporter("trackmate", _lost, _write)
