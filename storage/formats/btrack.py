"""btrack's HDF5 files: objects, tracks through them, and the LBEPR table of who comes from whom [1]_.

``objects/obj_type_1/coords`` holds t, x, y, z and type of each object. ``tracks/obj_type_1/tracks`` lists objects track
after track, ``map`` says where each track begins and ends in it, and the rows of ``LBEPR`` tell label, first and last
frame, parent (its own label for none) and root of each. A negative number in a list is a dummy, a place that btrack
made up where it found no object: it is no detection, and the links lead over it.

References
----------
.. [1] Ulicna et al., "Automated deep lineage tree analysis using a Bayesian single cell tracking approach", Front.
   Comput. Sci. 2021; layout: `btrack.io.hdf.HDF5FileHandler`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ConfigError, FormatError
from ..pixels.frames import MAX_FRAMES
from .base import LabelLineage, Points
from .calibration import LARGEST, flattened
from .lineage import note_crowded
from .options import refuse_options
from .points import point_source
from .refused import is_hdf5

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from .base import Source, SourceOptions

    Integers = NDArray[np.int64]

MOST_BYTES = 4 << 30  # of one table: a hundred million objects
KIND = "obj_type_1"
FILTER = re.compile(r"(\w+)(>=|<=|==|=|>|<)([0-9.]+)")  # of objects, before they were tracked
COMPARE = {">": np.greater, "<": np.less, ">=": np.greater_equal, "<=": np.less_equal, "==": np.equal, "=": np.equal}


def open_btrack(path: Path, options: SourceOptions) -> Source:
    """Open the objects and tracks of the first type of object.

    Raises
    ------
    FormatError
        If the file is damaged or no file of btrack's, or its parts contradict each other.
    ConfigError
        If h5py is not installed, or the options do not fit.
    """
    refuse_options(path, "a file of btrack's", options, "links", "truth", "columns", "sequence")
    try:
        import h5py
    except ModuleNotFoundError:
        raise ConfigError(f"{path} needs h5py", **{"try": 'pip install "trackdb[hdf5]"'}) from None
    try:
        with h5py.File(path, "r") as file:
            types = sorted(file["objects"]) if "objects" in file else []
            if KIND not in types:
                raise FormatError(f"{path} holds no objects/{KIND}", got=", ".join([*file][:8]) or "nothing")
            coords = _array(file, path, f"objects/{KIND}/coords", 2, "f")
            properties = _properties(file, path, len(coords))
            tracks = _tracks(file, path, properties, len(coords)) if f"tracks/{KIND}" in file else None
            others = [name for name in types if name != KIND]
            has_pixels = "segmentation" in file
    except FormatError:
        raise
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path} cannot be read as HDF5", got=str(error)) from error
    frame, position = _places(path, coords)
    position, notes = flattened(position, "z")
    notes += [f"objects of other types are not read: {', '.join(others)}"] if others else []
    notes += ["the segmentation in the file is not read"] if has_pixels else []
    label = np.arange(len(frame))
    lineages = []
    name = path.name.split(".")[0]
    if tracks is not None:
        lineage, said = _lineage(path, tracks, frame, label)
        lineages.append(lineage)
        notes += [*said, *note_crowded(lineage)]
        properties = properties | _of_tracks(tracks, len(label))
    points = Points(label, position, np.full(len(label), np.nan), properties)
    return point_source(name, options, frame, points, lineages=lineages, notes=notes)


def is_btrack(path: Path) -> bool:
    """Tell whether a path is an HDF5 file with objects as btrack writes them."""
    if not is_hdf5(path):
        return False
    try:
        import h5py
    except ModuleNotFoundError:
        return path.name.lower().endswith(".h5")  # opening it says what is missing
    try:
        with h5py.File(path, "r") as file:
            return "objects" in file or f"tracks/{KIND}" in file
    except (OSError, RuntimeError):
        return False


@dataclass(frozen=True, slots=True, eq=False)
class TrackLists:
    """Objects of each track, without dummies.

    Parameters
    ----------
    row : (n,) int64
        Objects, track after track.
    track : (n,) int64
        Place of the track of each.
    lbepr : (k, 5 or more) int64
        Label, first and last frame, parent, root, and maybe generation of each track.
    fate : (k,) int64 or None
        What btrack says became of it.
    n_dummies : int
        Places made up, left out.
    """

    row: Integers
    track: Integers
    lbepr: Integers
    fate: Integers | None
    n_dummies: int


def _array(file: Any, path: Path, name: str, ndim: int, kind: str) -> NDArray[Any]:
    """Return a table of the file, checked for its shape and type."""
    if name not in file:
        raise FormatError(f"{path} holds no {name}")
    data = file[name]
    if data.file != file or getattr(data, "external", None) or getattr(data, "is_virtual", False):
        raise FormatError(f"{path}: {name} lies in another file", expected="one file that holds all")
    shape = getattr(data, "shape", None)
    if shape is None or len(shape) != ndim or data.dtype.kind not in kind:
        raise FormatError(f"{path}: {name} has shape {shape}", expected=f"{ndim} axes of numbers")
    size = int(np.prod(shape, dtype=np.float64)) * data.dtype.itemsize
    if size > MOST_BYTES:
        raise FormatError(f"{path}: {name} would take {size:,} bytes", expected=f"{MOST_BYTES:,} at most")
    values: NDArray[Any] = data[()]
    return values


def _properties(file: Any, path: Path, n: int) -> dict[str, NDArray[np.generic]]:
    """Return the properties of all objects; one of several columns becomes several."""
    found: dict[str, NDArray[np.generic]] = {}
    group = f"objects/{KIND}/properties"
    for name in file.get(group, ()):
        values = _array(file, path, f"{group}/{name}", len(getattr(file[f"{group}/{name}"], "shape", ())), "fiu")
        if values.shape[:1] != (n,) or values.ndim > 2:
            raise FormatError(f"{path}: property {name} has shape {values.shape}", expected=f"{n} objects")
        columns = values.reshape(n, -1).astype(np.float64)
        found |= {name if columns.shape[1] == 1 else f"{name}_{i}": column for i, column in enumerate(columns.T)}
    if f"objects/{KIND}/labels" in file:
        labels = _array(file, path, f"objects/{KIND}/labels", 2, "fiu")
        if len(labels) == n and labels.shape[1]:
            found["class"] = labels[:, 0].astype(np.float64)
    return found


def _tracks(file: Any, path: Path, properties: dict[str, NDArray[np.generic]], n: int) -> TrackLists:
    """Read the tracks and check that they fit the objects."""
    group = f"tracks/{KIND}"
    listed = _array(file, path, f"{group}/tracks", 1, "iu").astype(np.int64)
    span = _array(file, path, f"{group}/map", 2, "iu").astype(np.int64)
    table = next((name for name in ("LBEPR", "LBEPRG") if f"{group}/{name}" in file), "LBEPR")
    lbepr = _array(file, path, f"{group}/{table}", 2, "iu").astype(np.int64)
    fate = _array(file, path, f"{group}/fates", 1, "iu").astype(np.int64) if f"{group}/fates" in file else None
    k = len(lbepr)
    if span.shape != (k, 2) or lbepr.shape[1] < 4 or (fate is not None and len(fate) != k):
        raise FormatError(f"{path}: {group} tells of {k} tracks here, of {len(span)} there", expected="the same tracks")
    wrong = np.flatnonzero((span[:, 0] < 0) | (span[:, 0] > span[:, 1]) | (span[:, 1] > len(listed)))
    if len(wrong):
        first, last = span[wrong[0]]
        raise FormatError(f"{path}: {group}/map leads from {first} to {last}", expected=f"0 to {len(listed)}")
    length = span[:, 1] - span[:, 0]
    if length.sum() > len(listed):
        raise FormatError(f"{path}: {group}/map names objects twice", expected="one track each")
    track = np.repeat(np.arange(k), length)
    row = listed[np.arange(len(track)) - np.repeat(np.cumsum(length) - length - span[:, 0], length)]
    is_object = row >= 0
    row = row[is_object]
    if "f_expr" in file[group].attrs:
        row = _unfiltered(str(file[group].attrs["f_expr"]), path, properties, row)
    if len(row) and row.max() >= n:
        raise FormatError(f"{path}: {group}/tracks names object {row.max()}", expected=f"0 to {n - 1}")
    return TrackLists(row, track[is_object], lbepr, fate, int(np.count_nonzero(~is_object)))


def _unfiltered(expression: str, path: Path, properties: dict[str, NDArray[np.generic]], row: Integers) -> Integers:
    """Return rows of all objects for rows of those that a filter like ``area>100`` let through."""
    match = FILTER.fullmatch(expression.replace(" ", ""))
    if not match or match[1] not in properties:
        raise FormatError(
            f"{path}: tracks are of objects filtered by {expression!r}", expected="a property that is there"
        )
    through = np.flatnonzero(COMPARE[match[2]](properties[match[1]], float(match[3])))
    if len(row) and row.max() >= len(through):
        raise FormatError(
            f"{path}: a track names object {row.max()} of {len(through)} that {expression!r} lets through"
        )
    return through[row]


def _places(path: Path, coords: NDArray[Any]) -> tuple[Integers, NDArray[np.float64]]:
    """Return frames and positions, axes ``(z, y, x)``."""
    if coords.shape[1] < 4:
        raise FormatError(f"{path}: coords has {coords.shape[1]} columns", expected="t, x, y, z and type")
    values = coords[:, :4].astype(np.float64)
    good = (np.abs(values) < LARGEST).all(axis=1)
    good &= (values[:, 0] >= 0) & (values[:, 0] < MAX_FRAMES) & (values[:, 0] == np.floor(values[:, 0]))
    if not good.all():
        wrong = int(np.flatnonzero(~good)[0])
        got = ", ".join(f"{value:g}" for value in values[wrong])
        raise FormatError(f"{path}: object {wrong} has no place", expected="a frame and finite numbers", got=got)
    return values[:, 0].astype(np.int64), np.ascontiguousarray(values[:, :0:-1])


def _lineage(path: Path, tracks: TrackLists, frame: Integers, label: Integers) -> tuple[LabelLineage, list[str]]:
    """Return the lineage of the tracks, with what to note about it."""
    order = np.lexsort((frame[tracks.row], tracks.track))
    row, track = tracks.row[order], tracks.track[order]
    same = track[1:] == track[:-1]
    twice = np.flatnonzero(same & (frame[row[1:]] == frame[row[:-1]]))
    if len(twice):
        at = twice[0]
        raise FormatError(f"{path}: track {tracks.lbepr[track[at], 0]} is twice in frame {frame[row[at]]}")
    if len(np.unique(row)) < len(row):
        twice_named = int(np.flatnonzero(np.bincount(row) > 1)[0])
        raise FormatError(f"{path}: object {twice_named} is in two tracks", expected="one")
    along = np.flatnonzero(same)
    mother, daughter = _pairs(path, tracks.lbepr)
    first = np.searchsorted(track, np.arange(len(tracks.lbepr)))
    last = np.searchsorted(track, np.arange(len(tracks.lbepr)), side="right") - 1
    full = last >= first  # a track of dummies alone is none
    both = full[mother] & full[daughter]
    source = np.concatenate([along, last[mother[both]]])
    target = np.concatenate([along + 1, first[daughter[both]]])
    notes = [f"places that btrack made up are left out, links lead over them: {tracks.n_dummies}"]
    notes = notes if tracks.n_dummies else []
    if not both.all():
        notes.append(f"parents of tracks lost, which hold no object: {np.count_nonzero(~both)}")
    return LabelLineage("btrack", str(path), frame[row], label[row], source, target), notes


def _pairs(path: Path, lbepr: Integers) -> tuple[Integers, Integers]:
    """Return places of mother and daughter tracks; 0 and a track's own label stand for no parent."""
    order = np.argsort(lbepr[:, 0], kind="stable")
    names = lbepr[order, 0]
    twice = np.flatnonzero(names[1:] == names[:-1])
    if len(twice):
        raise FormatError(f"{path}: two tracks have label {names[twice[0]]}", expected="a label of its own each")
    daughter = np.flatnonzero((lbepr[:, 3] != lbepr[:, 0]) & (lbepr[:, 3] > 0))
    parent = lbepr[daughter, 3]
    place = np.minimum(np.searchsorted(names, parent), max(len(names) - 1, 0))
    lost = np.flatnonzero(names[place] != parent)
    if len(lost):
        child = lbepr[daughter[lost[0]], 0]
        raise FormatError(f"{path}: track {child} has parent {parent[lost[0]]}", expected="a label of the table")
    return order[place], daughter


def _of_tracks(tracks: TrackLists, n: int) -> dict[str, NDArray[np.generic]]:
    """Return what is known of tracks as properties of their objects, NaN for objects without a track."""
    told = {"track": tracks.lbepr[:, 0], "root": tracks.lbepr[:, 4]} if tracks.lbepr.shape[1] > 4 else {}
    if tracks.lbepr.shape[1] > 5:
        told["generation"] = tracks.lbepr[:, 5]
    if tracks.fate is not None:
        told["fate"] = tracks.fate
    properties: dict[str, NDArray[np.generic]] = {}
    for name, values in told.items():
        column = np.full(n, np.nan)
        column[tracks.row] = values[tracks.track]
        properties[name] = column
    return properties
