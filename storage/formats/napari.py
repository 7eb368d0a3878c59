"""Tracks as napari's Tracks layer takes them: a table of points with a track each, and a graph of parents of tracks.

napari itself saves no tracks; what is read here is the layer's own data [1]_: columns ``track t [z] y x`` and features,
with names or without, in ``tracks.csv`` with the graph in ``graph.json``, or in ``NAME.csv`` with ``NAME_graph.json``.

References
----------
.. [1] napari documentation, "Using the tracks layer".
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import FormatError
from ..writers.napari import GRAPH, TRACKS
from .lineage import note_crowded
from .options import refuse_options
from .points import point_source
from .tabular.choice import Choice
from .tabular.columns import column_names
from .tabular.guess import map_columns
from .tabular.ids import Ids
from .tabular.lineage import lineage_of_tracklets, note_merges, tracklets_of
from .tabular.reader import is_table, read_rows
from .tabular.text import TextForm, bare_form

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from .base import Source, SourceOptions
    from .tabular.lineage import Tracklets

BARE = {4: ("track", "t", "y", "x"), 5: ("track", "t", "z", "y", "x")}  # columns of a table without names


def open_napari(path: Path, options: SourceOptions) -> Source:
    """Open a folder or a table of tracks.

    Raises
    ------
    FormatError
        If the table is wrong, a track is in a frame twice, or the graph names a track that is not there or a parent
        that does not end before its child begins.
    ConfigError
        If the options do not fit.
    """
    refuse_options(path, "a table of tracks", options, "links", "truth", "sequence")
    file = path / TRACKS if path.is_dir() else path
    if not file.is_file():
        raise FormatError(f"{path} holds no {TRACKS}", expected=f"a table of tracks, with {GRAPH} beside it")
    form = _form_without_names(file)
    choice = _choose(file, form.names if form else column_names(file), options)
    rows = read_rows(file, choice, options, form)
    tracks = tracklets_of(rows.table, choice.names["track"], rows.frame)
    points = rows.points
    if "label" not in choice.names:  # a track is in a frame once, so its number names the cell there
        points = replace(points, label=rows.table.integers(choice.names["track"]))
    graph = graph_beside(file)
    mother, daughter = read_graph(graph, tracks) if graph else (np.empty(0, dtype=np.int64),) * 2
    name = path.resolve().name if path.is_dir() else path.name.split(".")[0]
    lineage = lineage_of_tracklets(
        tracks, rows.frame, points.label, "napari", str(file), mother, daughter, lambda _: str(graph), merges=True
    )
    notes = [*rows.notes, *([] if graph else [f"there is no {GRAPH}, so tracks have no parents"])]
    notes += [*note_crowded(lineage), *note_merges(lineage, Ids(lineage.label))]
    return point_source(name, options, rows.frame, points, lineages=[lineage], notes=notes, scale_um=rows.scale_um)


def is_napari(path: Path) -> bool:
    """Tell whether a path is a folder with tracks and a graph, or a table with a graph beside it."""
    if path.is_dir():
        return (path / TRACKS).is_file() and (path / GRAPH).is_file()
    return is_table(path) and graph_beside(path) is not None


def graph_beside(file: Path) -> Path | None:
    """Return the graph that belongs to a table of tracks, None where there is none."""
    stem = file.name.split(".")[0]
    names = [f"{stem}_graph.json", f"{stem}.graph.json", *([GRAPH] if stem == "tracks" else [])]
    return next((p for name in names if (p := file.with_name(name)).is_file()), None)


def read_graph(path: Path, tracks: Tracklets) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return mother and daughter of each pair that a graph tells, as places of tracks.

    Raises
    ------
    FormatError
        If it is no mapping of a track to one or several others, or one of them is not there.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_each_once)
        pairs = [(int(child), _whole(parent)) for child, above in content.items() for parent in _listed(above)]
        child, parent = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise FormatError(f"{path} is no graph of tracks", expected='{"child": [parents]}', got=str(error)) from error
    places = tracks.place_of(parent), tracks.place_of(child)
    for place, named in zip(places, (parent, child), strict=True):
        lost = np.flatnonzero(place < 0)
        if len(lost):
            raise FormatError(f"{path} names track {named[lost[0]]}, which the table does not have")
    twice = len(pairs) - len(set(pairs))
    if twice:
        raise FormatError(f"{path} names a parent of a track twice", expected="each once")
    return places


def _choose(file: Path, there: tuple[str, ...], options: SourceOptions) -> Choice:
    names, note = map_columns(
        file, there, options.columns, needed=("track", "t", "y", "x"), welcome=("z", "label", "area")
    )
    taken = set(names.values())
    kept = tuple(name for name in there if name and name not in taken and there.count(name) == 1)
    return Choice(names, kept, None, [note] if note else [])


def _form_without_names(file: Path) -> TextForm | None:
    """Return the form of a table whose first line holds numbers, None where it holds names."""
    if file.name.lower().endswith((".parquet", ".parquet.gz")) or (form := bare_form(file)) is None:
        return None
    if len(form.names) not in BARE:
        got = f"{len(form.names)} columns without names"
        raise FormatError(f"{file} is no table of tracks", expected="track t [z] y x", got=got)
    return replace(form, names=BARE[len(form.names)])


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a track is there twice")
    return found


def _listed(above: Any) -> list[Any]:
    return above if isinstance(above, list) else [above]


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is no track")
    return value
