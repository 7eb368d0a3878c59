"""Ground truth of a table of points: from a table of links, a column of parents, or a column of tracks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ....errors import FormatError
from ..base import LabelLineage
from ..track_file import find_track_file, read_track_file
from .columns import Table, column_names, read_columns
from .guess import map_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]


def lineage_of_links(
    path: Path, asked: Mapping[str, str], ids: Integers, frame: Integers, label: Integers
) -> tuple[LabelLineage, str]:
    """Return the lineage that a second table of source and target ids tells, and a note on its columns.

    Raises
    ------
    FormatError
        If an id is unknown, a link runs backward, or a cell has two parents.
    """
    names, note = map_columns(path, column_names(path), asked, needed=("source", "target"))
    table = read_columns(path, names.values())
    source, target = (
        _rows_of(ids, table.integers(names[key]), lambda row: f"{table.where(row)}: the link")
        for key in ("source", "target")
    )
    return _linked(source, target, ids, frame, label, str(path), table.where), note


def lineage_of_parents(table: Table, column: str, ids: Integers, frame: Integers, label: Integers) -> LabelLineage:
    """Return the lineage that a column of parent ids tells; empty or -1 means none.

    Raises
    ------
    FormatError
        If a parent is unknown or not earlier.
    """
    parent = table.integers(column, missing=-1, lowest=-1)
    child = np.flatnonzero(parent >= 0)
    source = _rows_of(ids, parent[child], lambda row: f"{table.where(child[row])}: column {column}")
    return _linked(source, child, ids, frame, label, str(table.path), lambda link: table.where(child[link]))


def lineage_of_track_column(
    table: Table, column: str, frame: Integers, label: Integers, truth: Path | None
) -> tuple[LabelLineage, list[str]]:
    """Return the lineage that a column of tracks tells, with the parents of tracks from a track file.

    Rows of one track are tied in the order of their frames, over gaps too; rows without a track are not annotated.

    Returns
    -------
    lineage : LabelLineage
        Its cells are the rows that have a track.
    notes : list of str
        How many rows are annotated, and which tracks of the track file the table does not have.

    Raises
    ------
    FormatError
        If a track has two rows in a frame, or a parent does not end before its child begins.
    """
    track = table.integers(column, missing=-1, lowest=-1)
    rows = np.flatnonzero(track >= 0)
    rows = rows[np.lexsort((frame[rows], track[rows]))]
    same = track[rows[1:]] == track[rows[:-1]]
    twice = np.flatnonzero(same & (frame[rows[1:]] == frame[rows[:-1]]))
    if len(twice):
        a, b = np.sort(rows[twice[0] : twice[0] + 2])
        raise FormatError(
            f"{table.where(b)}: track {track[b]} is in frame {frame[b]} already",
            expected="one row of a track per frame",
            got=f"the same in {table.line(a)}",
        )
    notes = [f"{len(rows):,} of {len(track):,} detections have a track"] if len(rows) < len(track) else []
    first = np.flatnonzero(np.append(True, ~same)) if len(rows) else np.empty(0, dtype=np.int64)
    last = np.append(first[1:], len(rows)) - 1 if len(rows) else first
    source, target = np.flatnonzero(same), np.flatnonzero(same) + 1
    if truth is not None:
        mother, daughter, said = _ends_of_parents(truth, track[rows[first]], frame[rows[first]], frame[rows[last]])
        source = np.concatenate([source, last[mother]])
        target = np.concatenate([target, first[daughter]])
        notes += said
    else:
        notes.append("tracks come without parents, so the truth has no divisions; --truth NN_GT tells them")
    return LabelLineage("truth", str(table.path), frame[rows], label[rows], source, target), notes


def _ends_of_parents(
    truth: Path, track: Integers, first_frame: Integers, last_frame: Integers
) -> tuple[Integers, Integers, list[str]]:
    """Return mother and daughter of each division that a track file tells, as places in `track`, which is sorted."""
    path = find_track_file(truth)
    if path is None:
        raise FormatError(f"{truth} holds no track file", expected="man_track.txt, or a folder with one")
    tracks = read_track_file(path, label_zero=True)
    place = np.searchsorted(track, tracks.label)
    inside = np.minimum(place, max(len(track) - 1, 0))
    there = track[inside] == tracks.label if len(track) else np.zeros(len(tracks), dtype=bool)
    parent = tracks.parent_row
    pair = np.flatnonzero((parent >= 0) & there & there[parent])
    mother, daughter = place[parent[pair]], place[pair]
    late = np.flatnonzero(last_frame[mother] >= first_frame[daughter])
    if len(late):
        m, d = mother[late[0]], daughter[late[0]]
        raise FormatError(
            f"{path} line {tracks.line[pair[late[0]]]}: the table has parent {track[m]} until frame {last_frame[m]}, "
            f"child {track[d]} from frame {first_frame[d]}",
            expected="a child that begins after its parent ends",
        )
    n_lost, n_new = int(np.count_nonzero(~there)), int(np.count_nonzero(~np.isin(track, tracks.label)))
    notes = [f"parents of tracks come from {path}"]
    notes += [f"tracks of {path.name} without a row in the table: {n_lost}"] if n_lost else []
    notes += [f"tracks of the table without a line in {path.name}: {n_new}"] if n_new else []
    return mother, daughter, notes


def _linked(
    source: Integers,
    target: Integers,
    ids: Integers,
    frame: Integers,
    label: Integers,
    origin: str,
    where: Callable[[int], str],
) -> LabelLineage:
    """Return the lineage of links between rows of the table, each link checked."""
    backward = np.flatnonzero(frame[target] <= frame[source])
    if len(backward):
        link = int(backward[0])
        a, b = source[link], target[link]
        raise FormatError(
            f"{where(link)}: the link {ids[a]} -> {ids[b]} runs from frame {frame[a]} to frame {frame[b]}",
            expected="a later frame",
        )
    again = np.ones(len(target), dtype=bool)
    again[np.unique(target, return_index=True)[1]] = False
    if again.any():
        link = int(np.flatnonzero(again)[0])
        cell = target[link]
        parents = ", ".join(str(ids[p]) for p in source[target == cell][:3])
        raise FormatError(f"{where(link)}: cell {ids[cell]} has two parents", expected="one", got=f"ids {parents}")
    return LabelLineage("truth", origin, frame, label, source, target)


def _rows_of(ids: Integers, wanted: Integers, where: Callable[[int], str]) -> Integers:
    """Return the row of each id wanted, or raise FormatError at the first one that no row has."""
    order = np.argsort(ids, kind="stable")
    place = np.minimum(np.searchsorted(ids, wanted, sorter=order), max(len(ids) - 1, 0))
    rows = order[place] if len(ids) else np.full(len(wanted), -1)
    unknown = np.flatnonzero(ids[rows] != wanted) if len(ids) else np.arange(len(wanted))
    if len(unknown):
        row = int(unknown[0])
        raise FormatError(f"{where(row)} names id {wanted[row]}, which no row of the table has", expected="a known id")
    return rows
