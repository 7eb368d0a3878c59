"""Lineages that a table of points tells: by a table of links, a column of parents, or a column of tracks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ....errors import FormatError
from ..base import LabelLineage
from ..track_file import find_track_file, read_track_file
from .columns import Table, column_names, read_columns
from .guess import KIND, MERGING, map_columns, path_columns, plain_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ..base import SourceOptions
    from .ids import Ids

    Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Tracklets:
    """Rows of a table sorted into the tracks that a column names.

    Parameters
    ----------
    rows : (n,) int64
        Rows that have a track, by track and frame.
    along : (n - k,) int64
        Places in `rows` that are tied to the next one.
    name : (k,) int64
        What each track is called, increasing.
    first, last : (k,) int64
        Places in `rows` of the first and last cell of each.
    """

    rows: Integers
    along: Integers
    name: Integers
    first: Integers
    last: Integers

    def place_of(self, names: Integers) -> Integers:
        """Return the place of each track of that name, -1 where there is none."""
        if not len(self.name):
            return np.full(len(names), -1)
        place = np.minimum(np.searchsorted(self.name, names), len(self.name) - 1)
        return np.where(self.name[place] == names, place, -1)


def tracklets_of(table: Table, column: str, frame: Integers) -> Tracklets:
    """Sort rows into tracks; an empty or negative track means that a row has none.

    Raises
    ------
    FormatError
        If a track has two rows in a frame.
    """
    return tracklets_from(table, table.integers(column, missing=-1, lowest=-1), frame, str)


def tracklets_from(table: Table, track: Integers, frame: Integers, called: Callable[[int], str]) -> Tracklets:
    """Sort rows into tracks.

    Parameters
    ----------
    table : Table
        Where the rows stand.
    track, frame : (n,) int64
        Track of each row, -1 for none, and its frame.
    called : callable
        Gives the name of a track for error messages.

    Raises
    ------
    FormatError
        If a track has two rows in a frame.
    """
    rows = np.flatnonzero(track >= 0)
    rows = rows[np.lexsort((frame[rows], track[rows]))]
    same = track[rows[1:]] == track[rows[:-1]]
    twice = np.flatnonzero(same & (frame[rows[1:]] == frame[rows[:-1]]))
    if len(twice):
        a, b = np.sort(rows[twice[0] : twice[0] + 2])
        raise FormatError(
            f"{table.where(b)}: track {called(int(track[b]))} is in frame {frame[b]} already",
            expected="one row of a track per frame",
            got=f"the same in {table.line(a)}",
        )
    first = np.flatnonzero(np.append(True, ~same)) if len(rows) else np.empty(0, dtype=np.int64)
    last = np.append(first[1:], len(rows)) - 1 if len(rows) else first
    return Tracklets(rows, np.flatnonzero(same), track[rows[first]], first, last)


def lineage_of_tracklets(
    tracks: Tracklets,
    frame: Integers,
    label: Integers,
    name: str,
    origin: str,
    mother: Integers,
    daughter: Integers,
    where: Callable[[int], str],
    *,
    merges: bool = False,
    called: Callable[[int], str] = str,
) -> LabelLineage:
    """Return the lineage of tracks whose ends are tied to the beginnings of others.

    Parameters
    ----------
    tracks : Tracklets
        Rows by track and frame.
    frame, label : (n,) int64
        Of the rows of the table.
    name, origin : str
        Of the lineage.
    mother, daughter : (p,) int64
        Tracks, as places in `tracks.name`.
    where : callable
        Begin of the message about such a pair.
    merges : bool
        True where a daughter may have several mothers.
    called : callable
        Gives the name of a track for error messages.

    Raises
    ------
    FormatError
        If a mother does not end before her daughter begins.
    """
    rows = tracks.rows
    ends, begins = frame[rows[tracks.last[mother]]], frame[rows[tracks.first[daughter]]]
    late = np.flatnonzero(ends >= begins)
    if len(late):
        at = int(late[0])
        raise FormatError(
            f"{where(at)}: the table has parent {called(int(tracks.name[mother[at]]))} until frame {ends[at]}, "
            f"child {called(int(tracks.name[daughter[at]]))} from frame {begins[at]}",
            expected="a child that begins after its parent ends",
        )
    source = np.concatenate([tracks.along, tracks.last[mother]])
    target = np.concatenate([tracks.along + 1, tracks.first[daughter]])
    return LabelLineage(name, origin, frame[rows], label[rows], source, target, merges=merges)


def lineage_of_track_column(
    table: Table, columns: Mapping[str, str], frame: Integers, label: Integers, options: SourceOptions
) -> tuple[LabelLineage, list[str]]:
    """Return the lineage that a column of tracks tells, with their parents from a track file or another column.

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
    tracks = tracklets_of(table, columns["track"], frame)
    n, n_all = len(tracks.rows), len(frame)
    notes = [f"{n:,} of {n_all:,} detections have a track"] if n < n_all else []
    nobody = np.empty(0, dtype=np.int64)
    where: Callable[[int], str] = table.where
    mother, daughter = nobody, nobody
    if options.truth is not None:
        mother, daughter, where, said = _parents_of_track_file(options.truth, tracks)
        notes += said
    elif "parent_track" in columns:
        mother, daughter, where = _parents_of_column(table, columns["parent_track"], tracks)
    else:
        tell = ["--columns parent_track=NAME", *([] if options.alone else ["--truth NN_GT"])]
        notes.append(f"tracks come without parents, so no divisions are known: {' or '.join(tell)} tells them")
    return lineage_of_tracklets(tracks, frame, label, "truth", str(table.path), mother, daughter, where), notes


def _parents_of_track_file(
    truth: Path, tracks: Tracklets
) -> tuple[Integers, Integers, Callable[[int], str], list[str]]:
    """Return mother and daughter of each division that a track file tells, where it does, and what to note."""
    path = find_track_file(truth)
    if path is None:
        raise FormatError(f"{truth} holds no track file", expected="man_track.txt, or a folder with one")
    told = read_track_file(path, label_zero=True)
    place, parent = tracks.place_of(told.label), told.parent_row
    pair = np.flatnonzero((parent >= 0) & (place >= 0) & (place[parent] >= 0))
    n_lost, n_new = int(np.count_nonzero(place < 0)), int(np.count_nonzero(~np.isin(tracks.name, told.label)))
    notes = [f"parents of tracks come from {path}"]
    notes += [f"tracks of {path.name} without a row in the table: {n_lost}"] if n_lost else []
    notes += [f"tracks of the table without a line in {path.name}: {n_new}"] if n_new else []
    return place[parent[pair]], place[pair], lambda at: f"{path} line {told.line[pair[at]]}", notes


def _parents_of_column(table: Table, column: str, tracks: Tracklets) -> tuple[Integers, Integers, Callable[[int], str]]:
    """Return mother and daughter of each division that a column tells; empty, -1 and a track's own name mean none."""
    parent = table.integers(column, missing=-1, lowest=-1)[tracks.rows]
    owner = np.repeat(np.arange(len(tracks.name)), np.diff(np.append(tracks.first, len(tracks.rows))))
    differs = np.flatnonzero(parent != parent[tracks.first][owner])
    if len(differs):
        at = differs[0]
        raise FormatError(
            f"{table.where(tracks.rows[at])}: track {tracks.name[owner[at]]} has parent {parent[at]}",
            expected=f"the one of its first row, {parent[tracks.first[owner[at]]]}",
        )
    parent = parent[tracks.first]
    none = (parent == -1) | (parent == tracks.name) | ((parent == 0) & (tracks.place_of(np.array([0])) < 0))
    daughter = np.flatnonzero(~none)
    mother = tracks.place_of(parent[daughter])

    def where(at: int) -> str:
        return table.where(tracks.rows[tracks.first[daughter[at]]])

    lost = np.flatnonzero(mother < 0)
    if len(lost):
        wanted = parent[daughter[lost[0]]]
        raise FormatError(f"{where(int(lost[0]))} names track {wanted}, which no row of the table has")
    return mother, daughter, where


def lineage_of_links(path: Path, asked: Mapping[str, str], ids: Ids, frame: Integers) -> tuple[LabelLineage, list[str]]:
    """Return the lineage that a second table of links tells, and what to note about it.

    A row holds the source and target id of a link; or, as biotracks has it, the number of a list and an object in it.

    Raises
    ------
    FormatError
        If an id is unknown, a link runs backward or is there twice, or a cell has two parents in a table of a program
        whose cells do not merge.
    """
    there = column_names(path)
    if (paths := path_columns(there)) is not None:
        return _lineage_of_paths(path, paths, ids, frame)
    names, note = map_columns(path, there, asked, needed=("source", "target"))
    table = read_columns(path, names.values())
    source, target = (
        ids.rows_of(table, names[key], lambda row: f"{table.where(row)}: the link") for key in ("source", "target")
    )
    merges = plain_name(names["source"]) in MERGING or KIND in there
    lineage = linked(source, target, ids, frame, str(path), table.where, merges=merges)
    return lineage, [*([note] if note else []), *table.notes, *note_merges(lineage, ids)]


def _lineage_of_paths(
    path: Path, columns: tuple[str, str], ids: Ids, frame: Integers
) -> tuple[LabelLineage, list[str]]:
    """Return the lineage of lists of cells, each list tied in the order of frames; lists may share cells and links."""
    table = read_columns(path, columns)
    number = table.integers(columns[0])
    rows = ids.rows_of(table, columns[1], lambda row: f"{table.where(row)}: the list")
    order = np.lexsort((frame[rows], number))
    along = np.flatnonzero(number[order[1:]] == number[order[:-1]])
    source, target = rows[order[along]], rows[order[along + 1]]
    once = np.sort(np.unique(source * len(frame) + target, return_index=True)[1])
    lineage = linked(
        source[once],
        target[once],
        ids,
        frame,
        str(path),
        lambda link: table.where(order[along[once[link]] + 1]),
        merges=True,
    )
    return lineage, [*table.notes, *note_merges(lineage, ids)]


def lineage_of_parents(table: Table, column: str, ids: Ids, frame: Integers) -> LabelLineage:
    """Return the lineage that a column of parent ids tells; empty or -1 means none.

    Raises
    ------
    FormatError
        If a parent is unknown or not earlier.
    """
    parent = ids.rows_of(table, column, lambda row: f"{table.where(row)}: column {column}", may_miss=True)
    child = np.flatnonzero(parent >= 0)
    return linked(parent[child], child, ids, frame, str(table.path), lambda link: table.where(child[link]))


def lineage_of_parent_labels(table: Table, columns: Mapping[str, str], ids: Ids, frame: Integers) -> LabelLineage:
    """Return the lineage of a table that names a parent by its frame and its label there; 0 and empty mean none.

    Raises
    ------
    FormatError
        If there is no such cell, or it is not earlier.
    """
    parent = table.integers(columns["parent"], missing=0)
    parent_frame = table.integers(columns["parent_frame"], missing=0)
    child = np.flatnonzero(parent > 0)
    labels = np.unique(np.concatenate([ids.label, parent[child]]))  # labels may be huge, ranks are not
    key = frame * len(labels) + np.searchsorted(labels, ids.label)
    wanted = parent_frame[child] * len(labels) + np.searchsorted(labels, parent[child])
    order = np.argsort(key)
    source = order[np.minimum(np.searchsorted(key, wanted, sorter=order), max(len(key) - 1, 0))]
    unknown = np.flatnonzero(key[source] != wanted)
    if len(unknown):
        row = child[unknown[0]]
        raise FormatError(
            f"{table.where(row)}: the parent is {parent[row]} of frame {parent_frame[row]}",
            expected="a row of the table",
        )
    return linked(source, child, ids, frame, str(table.path), lambda link: table.where(child[link]))


def linked(
    source: Integers,
    target: Integers,
    ids: Ids,
    frame: Integers,
    origin: str,
    where: Callable[[int], str],
    *,
    name: str = "truth",
    merges: bool = False,
) -> LabelLineage:
    """Return the lineage of links between rows, each link checked.

    Parameters
    ----------
    source, target : (m,) int64
        Rows that each link ties.
    ids : Ids
        Of the n rows.
    frame : (n,) int64
        Frame of each row.
    origin : str
        File that told it.
    where : callable
        Begin of the message about a link.
    name : str
        Name of the lineage.
    merges : bool
        True where a cell may have several parents.

    Raises
    ------
    FormatError
        If a link runs backward or is there twice, or a cell has two parents and must not.
    """
    backward = np.flatnonzero(frame[target] <= frame[source])
    if len(backward):
        link = int(backward[0])
        a, b = source[link], target[link]
        raise FormatError(
            f"{where(link)}: the link {ids.shown(a)} -> {ids.shown(b)} runs from frame {frame[a]} to frame {frame[b]}",
            expected="a later frame",
        )
    if len(again := _repeated(source * len(frame) + target)):
        link = int(again[0])
        raise FormatError(
            f"{where(link)}: the link {ids.shown(source[link])} -> {ids.shown(target[link])} is there already",
            expected="each link once",
        )
    if not merges and len(again := _repeated(target)):
        link = int(again[0])
        cell = target[link]
        parents = ", ".join(ids.shown(p) for p in source[target == cell][:3])
        raise FormatError(
            f"{where(link)}: cell {ids.shown(cell)} has two parents", expected="one", got=f"ids {parents}"
        )
    return LabelLineage(name, origin, frame, ids.label, source, target, merges=merges)


def note_merges(lineage: LabelLineage, ids: Ids) -> list[str]:
    """Return a note about cells of several mothers."""
    merged = np.flatnonzero(np.bincount(lineage.target, minlength=len(lineage.frame)) > 1)
    if not len(merged):
        return []
    few = ", ".join(ids.shown(cell) for cell in merged[:3]) + (", ..." if len(merged) > 3 else "")
    return [f"{lineage.name}: cells of more than one mother, kept as merges: {len(merged)} (ids {few})"]


def _repeated(values: Integers) -> Integers:
    """Return the places of values that stand further forward too."""
    again = np.ones(len(values), dtype=bool)
    again[np.unique(values, return_index=True)[1]] = False
    return np.flatnonzero(again)
