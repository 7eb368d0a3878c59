"""Cells as points: tables of CSV, TSV or Parquet, one row per cell and frame, in any order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ....errors import ConfigError, FormatError
from ..base import Points
from ..lineage import note_crowded
from ..points import MAX_FRAMES, point_source
from .columns import Table, column_names, read_columns
from .guess import KEYS, map_columns
from .lineage import lineage_of_links, lineage_of_parents, lineage_of_track_column

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from ..base import LabelLineage, Source, SourceOptions

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet")


def open_table(path: Path, options: SourceOptions) -> Source:
    """Open a table of points; only the columns that are needed are read.

    Raises
    ------
    FormatError
        If a column is missing, an entry is no number, a frame is negative, an id or a label in a frame repeats, or
        the links contradict the points.
    ConfigError
        If the options do not fit a table.
    """
    if not path.is_file():
        raise FormatError(f"{path} is no table", expected="a .csv, .tsv, .txt or .parquet file")
    names, notes = _choose_columns(path, options)
    table = read_columns(path, names.values())
    axes = [axis for axis in "zyx" if axis in names]
    frame = _frames_of(table, names["t"])
    position = np.column_stack([table.numbers(names[axis]) for axis in axes])
    area = table.numbers(names["area"], may_miss=True) if "area" in names else np.full(len(table), np.nan)
    if len(axes) == 3 and "z" not in options.columns and len(table) and np.all(position[:, 0] == position[0, 0]):
        position = position[:, 1:]
        notes.append(f"column {names['z']} is the same everywhere, so the movie is 2D")
    label = _labels_of(table, names, frame)
    lineages = []
    for lineage, said in _lineages(table, names, options, frame, label):
        lineages.append(lineage)
        notes += said
    name = path.name.split(".")[0]
    return point_source(name, options, frame, Points(label, position, area), lineages=lineages, notes=notes)


def is_table(path: Path) -> bool:
    """Tell whether a path is a file that is named like a table."""
    return path.is_file() and path.name.lower().removesuffix(".gz").endswith(SUFFIXES)


def _choose_columns(path: Path, options: SourceOptions) -> tuple[dict[str, str], list[str]]:
    """Return the columns to read, and notes on what was guessed and what is left out."""
    asked, there = options.columns, column_names(path)
    in_points = [key for key in KEYS if key not in ("source", "target")]
    needs_id = options.links is not None or "parent" in asked
    # a label that the user names is the label, even if the table has ids too
    welcome = [key for key in in_points[3:] if key != "id" or needs_id or "label" not in asked]
    needed = [*in_points[:3], *(["id"] if needs_id else []), *(["track"] if options.truth is not None else [])]
    names, note = map_columns(path, there, asked, needed=needed, welcome=[key for key in welcome if key not in needed])
    notes = [note] if note else []
    if "parent" in names and "parent" not in asked and ("id" not in names or ("track" in names and "track" in asked)):
        del names["parent"]
    told = ["links"] if options.links is not None else []
    told += [key for key in ("parent", "track") if key in names]
    if options.truth is not None and told[0] != "track":
        raise ConfigError("--truth of a table tells the parents of its tracks", got=f"a lineage by {told[0]} as well")
    for key in told[1:]:
        notes.append(f"column {names.pop(key)} is not read: the lineage comes from {told[0]}")
    return names, notes


def _frames_of(table: Table, column: str) -> NDArray[np.int64]:
    frame = table.integers(column)
    if len(frame) and frame.max() >= MAX_FRAMES:
        row = int(np.argmax(frame))
        raise FormatError(
            f"{table.where(row)}: column {column} is {frame[row]}", expected=f"a frame number below {MAX_FRAMES:,}"
        )
    return frame


def _labels_of(table: Table, names: dict[str, str], frame: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the id of each row, else its label, else its number in the file."""
    key = next((key for key in ("id", "label") if key in names), None)
    if key is None:
        return np.arange(len(frame))
    label = table.integers(names[key])
    order = np.argsort(label, kind="stable") if key == "id" else np.lexsort((label, frame))
    same = label[order[1:]] == label[order[:-1]]
    if key == "label":
        same &= frame[order[1:]] == frame[order[:-1]]
    if same.any():
        at = int(np.flatnonzero(same)[0])
        a, b = sorted(order[at : at + 2].tolist())
        again = f"id {label[b]} is there already" if key == "id" else f"label {label[b]} is in frame {frame[b]} already"
        raise FormatError(
            f"{table.where(b)}: {again}",
            expected="an id of its own for each row" if key == "id" else "a label of its own for each cell of a frame",
            got=f"the same in {table.line(a)}",
            **{"try": f"--columns track={names[key]}, if column {names[key]} numbers tracks"},
        )
    return label


def _lineages(
    table: Table, names: dict[str, str], options: SourceOptions, frame: NDArray[np.int64], label: NDArray[np.int64]
) -> Iterator[tuple[LabelLineage, list[str]]]:
    """Return the lineage that links, parents or tracks tell, with what to note about it."""
    if options.links is not None:
        lineage, note = lineage_of_links(options.links, options.columns, label, frame, label)
        yield lineage, [note] if note else []
    elif "parent" in names:
        yield lineage_of_parents(table, names["parent"], label, frame, label), []
    elif "track" in names:
        lineage, notes = lineage_of_track_column(table, names["track"], frame, label, options.truth)
        yield lineage, [*notes, *note_crowded(lineage)]
