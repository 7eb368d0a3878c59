"""GEFF: nodes become detections with all their properties, edges a tracking.

Arrays are read in bulk. Where a node or an edge has a property ``solution`` that is yes or no, those that say yes are
the tracking, and the rest were candidates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ....errors import FormatError
from ..base import LabelLineage, Points
from ..calibration import flattened, to_pixels
from ..links import find_repeat, find_rows
from ..options import refuse_options
from ..points import point_source
from .arrays import GeffArray, read_ids, whole_numbers
from .axes import calibration_of, find_axes, frames_of
from .group import find_groups, is_zarr, open_group

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ..base import Source, SourceOptions
    from .axes import Frames
    from .group import GeffGroup

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]

NODE_IDS, EDGE_IDS = "nodes/ids", "edges/ids"
NODE_PROPS, EDGE_PROPS = "nodes/props", "edges/props"
SOLUTION = "solution"
OURS = "trackdb"  # among the extra metadata of what trackdb wrote
SEGMENT = "seg_id"
AREA = "area"
EXACT = 2**53  # whole numbers beyond are not exact as floats
ROOMY = 256 << 20  # bytes of properties that any GEFF may fill, and
PAID = 256  # bytes beyond that each stored byte pays for


def is_geff(path: Path) -> bool:
    """Tell whether a path is a folder that is, or holds, a GEFF."""
    if not path.is_dir():
        return False
    if path.suffix.lower() == ".geff" or (is_zarr(path / "nodes") and is_zarr(path / "edges")):
        return True
    try:
        return (is_zarr(path) or path.suffix.lower() == ".zarr") and bool(find_groups(path))
    except FormatError:
        return False


def open_geff(path: Path, options: SourceOptions) -> Source:
    """Open a GEFF, or the only one in a Zarr store.

    Raises
    ------
    FormatError
        If it is broken, declares more than it holds, an id is there twice, or an edge ties nodes that it cannot.
    ConfigError
        If the package `geff` is missing, or the options do not fit.
    """
    refuse_options(path, "a GEFF", options, "columns", "links", "truth", "sequence")
    group = open_group(path)
    ids = read_ids(group, NODE_IDS, ndim=1)
    if twice := find_repeat(ids):
        raise FormatError(
            f"{group.path / NODE_IDS} row {twice[0]}: id {ids[twice[0]]} is there already",
            expected="each once",
            got=f"the same in row {twice[1]}",
        )
    nodes = _Nodes(group, len(ids))
    axes = find_axes(group)
    time = frames_of(nodes.numbers(axes.time.name), axes.time, nodes.where(axes.time.name))
    position = np.column_stack([nodes.numbers(axis.name) for axis in axes.space])
    position, flat = flattened(position, f"axis {axes.space[0].name}")
    nodes.notes += flat
    space = axes.space[-position.shape[1] :]
    calibration = calibration_of(group.metadata, space, options.scale_um, str(group.path))
    position = to_pixels(position, calibration, lambda row: f"{nodes.where(space[0].name)} row {row}")
    label = _labels(nodes, ids, time.frame)
    area = nodes.numbers(AREA, may_miss=True) if AREA in nodes.names else np.full(len(ids), np.nan)
    taken = {*axes.names, AREA} - ({axes.time.name} if time.keeps_time else set())
    properties = nodes.properties(taken)
    numbers = _as_property(ids) if label is not ids else None
    if numbers is not None:
        properties["node_id"] = numbers
    lineage, said = _lineage(group, nodes, ids, time, label)
    return point_source(
        _name(path),
        options,
        time.frame,
        Points(label, position, area, properties),
        lineages=[lineage],
        notes=[*time.notes, *calibration.notes, *nodes.notes, *said],
        scale_um=calibration.scale_um,
        interval_s=time.interval_s,
    )


def _name(path: Path) -> str:
    """Return the name of the store that a path leads into."""
    resolved = path.resolve()
    inside = (p for p in (resolved, *resolved.parents) if p.suffix.lower() in (".zarr", ".geff"))
    return next((p.stem for p in inside), resolved.name)


class _Nodes:
    """Properties of the nodes, read when they are asked for."""

    def __init__(self, group: GeffGroup, n: int) -> None:
        self.notes: list[str] = []
        self.group, self._n = group, n
        self.names = group.names(NODE_PROPS)
        if lost := sorted(set(group.metadata.node_props_metadata) - set(self.names)):
            raise FormatError(f"{group.path / NODE_PROPS} has no property {lost[0]}", expected="those of the metadata")
        if 8 * n * len(self.names) > ROOMY + PAID * group.n_bytes[group.path]:
            raise FormatError(
                f"{group.path} declares {len(self.names):,} properties of {n:,} nodes, and holds few bytes"
            )

    def where(self, name: str) -> str:
        return str(self.group.path / NODE_PROPS / name / "values")

    def array(self, name: str) -> GeffArray:
        """Return the values of a property, unread."""
        array = GeffArray(self.group, f"{NODE_PROPS}/{name}/values")
        array.require_rows(self._n, NODE_IDS)
        told = self.group.metadata.node_props_metadata.get(name)
        if told is not None and not told.varlength:
            array.require_type(told.dtype)
        return array

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Return which nodes lack a property."""
        return _missing(self.group, f"{NODE_PROPS}/{name}", self._n)

    def numbers(self, name: str, *, may_miss: bool = False) -> Floats:
        """Return a property of one number each, NaN where a node lacks it and may."""
        if name not in self.names:
            raise FormatError(f"{self.group.path} has no property {name}", got=f"properties {', '.join(self.names)}")
        array = self.array(name)
        if len(array.shape) != 1 or array.kind not in "iuf":
            raise FormatError(f"{array.where} does not fit", expected="one number a node", got=f"shape {array.shape}")
        values = array.read().astype(np.float64)
        missing = self.missing(name)
        if missing.any() and not may_miss:
            raise FormatError(f"{array.where} row {np.flatnonzero(missing)[0]} is missing", expected="a number")
        values[missing] = np.nan
        return values

    def flags(self, name: str) -> NDArray[np.bool_] | None:
        """Return a property that is yes or no, no where a node lacks it; None if there is no such property."""
        return _flags(self.group, f"{NODE_PROPS}/{name}", self._n) if name in self.names else None

    def properties(self, taken: set[str]) -> dict[str, NDArray[np.generic]]:
        """Return all properties but those taken, and note those that have no room."""
        found, left_out = {}, []
        for name in self.names:
            if name in taken:
                continue
            array = self.array(name)
            values = _as_property(array.read()) if len(array.shape) == 1 and not self._varies(name) else None
            if values is None:
                left_out.append(name)
                continue
            missing = self.missing(name)
            values[missing] = "" if values.dtype.kind == "T" else np.nan
            found[self._title(name)] = values
        if left_out:
            self.notes.append(f"properties that are neither a number nor a text are left out: {', '.join(left_out)}")
        return found

    def _title(self, name: str) -> str:
        """Return the name of a property: what trackdb called it where no folder can be called so."""
        told = self.group.metadata.node_props_metadata.get(name)
        return told.name if told and told.name and OURS in self.group.metadata.extra else name

    def _varies(self, name: str) -> bool:
        """Tell whether values only say where in a further array those of each node lie."""
        return (self.group.path / NODE_PROPS / name / "data").is_dir()


def _missing(group: GeffGroup, prop: str, n: int) -> NDArray[np.bool_]:
    """Return which things lack a property."""
    if not (group.path / prop / "missing").is_dir():
        return np.zeros(n, dtype=bool)
    array = GeffArray(group, f"{prop}/missing")
    array.require_rows(n, f"{prop}/values")
    if array.kind != "b" or len(array.shape) != 1:
        raise FormatError(f"{array.where} does not fit", expected="yes or no a row", got=f"shape {array.shape}")
    missing: NDArray[np.bool_] = array.read()
    return missing


def _flags(group: GeffGroup, prop: str, n: int) -> NDArray[np.bool_] | None:
    """Return a property of nodes or edges that is yes or no, None if it is something else."""
    array = GeffArray(group, f"{prop}/values")
    array.require_rows(n, "ids")
    if array.kind != "b" or len(array.shape) != 1:
        return None
    values: NDArray[np.bool_] = array.read()
    return values & ~_missing(group, prop, n)


def _as_property(values: NDArray[Any]) -> NDArray[Any] | None:
    """Return numbers as float64 and text as text, None if they are neither; large whole numbers become text."""
    if values.dtype.kind == "T":
        return values.copy()
    if values.dtype.kind in "UO":
        if values.dtype.kind == "O" and not all(isinstance(value, str) for value in values):
            return None
        return values.astype(np.dtypes.StringDType())
    if values.dtype.kind not in "biuf":
        return None
    if values.dtype.kind in "iu" and len(values) and max(int(values.max()), -int(values.min())) > EXACT:
        return values.astype(np.dtypes.StringDType())
    return values.astype(np.float64)


def _labels(nodes: _Nodes, ids: Integers, frame: Integers) -> Integers:
    """Return the label of each node in its segmentation where each node has one of its own, else its id."""
    name = next((name for name in _label_props(nodes) if name in nodes.names), None)
    if name is not None:
        array = nodes.array(name)
        if len(array.shape) == 1 and array.kind in "iu":
            label = whole_numbers(array.read(), nodes.where(name))
            if not nodes.missing(name).any() and not (label < 0).any() and find_repeat(frame, label) is None:
                return label
        nodes.notes.append(f"property {name} does not give each node of a frame a label of its own: node ids do")
    if (ids < 0).any():
        row = int(np.flatnonzero(ids < 0)[0])
        raise FormatError(f"{NODE_IDS} row {row} is negative", expected="ids from 0", got=str(ids[row]))
    return ids


def _label_props(nodes: _Nodes) -> list[str]:
    """Return the names under which labels may be found, the best first."""
    related = nodes.group.metadata.related_objects or []
    named = [thing.node_prop or thing.__dict__.get("label_prop") for thing in related if thing.type == "labels"]
    return [name for name in (*named, SEGMENT) if name]


def _lineage(
    group: GeffGroup, nodes: _Nodes, ids: Integers, time: Frames, label: Integers
) -> tuple[LabelLineage, list[str]]:
    """Return the tracking that the edges tell, and what of them is left out."""
    ends = read_ids(group, EDGE_IDS, ndim=2)
    source, target = _ends(group, ids, time.frame, ends)
    names = group.names(EDGE_PROPS)
    notes = []
    node_flags = nodes.flags(SOLUTION)
    chosen = np.ones(len(ids), dtype=bool) if node_flags is None else node_flags
    edge_flags = _flags(group, f"{EDGE_PROPS}/{SOLUTION}", len(ends)) if SOLUTION in names else None
    kept = chosen[source] & chosen[target] & (True if edge_flags is None else edge_flags)
    if not kept.all():
        notes.append(f"{np.count_nonzero(~kept):,} of {len(kept):,} edges are no part of the solution: left out")
    if left_out := [name for name in names if name != SOLUTION or edge_flags is None]:
        notes.append(f"properties of edges are left out: {', '.join(left_out)}")
    if tracks := group.metadata.track_node_props:
        kept_as = ", ".join(sorted(set(tracks.values()) & set(nodes.names)))
        notes.append(f"tracks follow from the edges; what the nodes say of them is kept as {kept_as or 'nothing'}")
    if beside := [f"{thing.type} in {thing.path}" for thing in group.metadata.related_objects or []]:
        notes.append(f"what lies beside the graph is not read with it: {', '.join(beside)}")
    cells = np.flatnonzero(chosen)
    lineage = LabelLineage(
        name="geff",
        origin=str(group.path),
        frame=time.frame[cells],
        label=label[cells],
        source=np.searchsorted(cells, source[kept]),
        target=np.searchsorted(cells, target[kept]),
        merges=True,
    )
    return lineage, notes


def _ends(group: GeffGroup, ids: Integers, frame: Integers, ends: Integers) -> tuple[Integers, Integers]:
    """Return the rows of the nodes that each edge ties, each edge checked; without directions the earlier is first."""
    where = group.path / EDGE_IDS
    source, target = find_rows(ids, ends[:, 0]), find_rows(ids, ends[:, 1])

    def refuse(bad: NDArray[np.bool_], what: str, expected: str) -> None:
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            a, b = ends[row].tolist()
            raise FormatError(f"{where} row {row}: edge {a} -> {b} {what}", expected=expected)

    refuse((source < 0) | (target < 0), "names a node that is not there", f"ids of {NODE_IDS}")
    refuse(source == target, "ties a node to itself", "two nodes")
    refuse(frame[source] == frame[target], "lies within a frame", "two frames")
    backward = frame[target] < frame[source]
    if group.metadata.directed:
        refuse(backward, "runs backward in time", "a later frame")
    source, target = np.where(backward, target, source), np.where(backward, source, target)
    if twice := find_repeat(source, target):
        raise FormatError(f"{where} row {twice[0]}: the edge is there already", got=f"the same in row {twice[1]}")
    return source, target
