"""Cells as points: tables of CSV, TSV or Parquet, one row per cell and frame, in any order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ....errors import ConfigError, FormatError
from ...pixels.frames import MAX_FRAMES
from ...units import is_pixel
from ..base import Points
from ..calibration import LARGEST, calibrate, flattened, to_pixels
from ..lineage import note_crowded
from ..points import point_source
from .choice import ALL, Choice, choose
from .columns import Table, as_float, read_columns
from .ids import Ids, ids_of, require_unique
from .lineage import lineage_of_links, lineage_of_parent_labels, lineage_of_parents, lineage_of_track_column

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ..base import LabelLineage, Source, SourceOptions
    from .text import TextForm

SUFFIXES = (".csv", ".tsv", ".txt", ".parquet")


def open_table(path: Path, options: SourceOptions, *, name: str | None = None) -> Source:
    """Open a table of points; only the columns that are needed are read.

    Parameters
    ----------
    path : Path
        A file.
    options : SourceOptions
        What the user says about it.
    name : str or None
        Proposed name of the dataset; from the file if not given.

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
    choice = choose(path, options)
    rows = read_rows(path, choice, options)
    notes, lineages = rows.notes, []
    if (told := _lineage(rows, choice, options)) is not None:
        lineage, said = told
        lineages = [lineage]
        notes = [*notes, *said, *note_crowded(lineage)]
    name = name or path.name.split(".")[0]
    return point_source(name, options, rows.frame, rows.points, lineages=lineages, notes=notes, scale_um=rows.scale_um)


def is_table(path: Path) -> bool:
    """Tell whether a path is a file that is named like a table."""
    return path.is_file() and path.name.lower().removesuffix(".gz").endswith(SUFFIXES)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The cells of a table, one a row.

    Parameters
    ----------
    table : Table
        The columns that were read.
    frame : (n,) int64
        Frame of each row.
    ids : Ids
        What each row is called.
    points : Points
        Position, area and properties of each row.
    scale_um : tuple of float or None
        Voxel size, where the header of the table tells the unit of its positions.
    notes : list of str
        What the user should know.
    """

    table: Table
    frame: NDArray[np.int64]
    ids: Ids
    points: Points
    scale_um: tuple[float, ...] | None
    notes: list[str]


def read_rows(path: Path, choice: Choice, options: SourceOptions, form: TextForm | None = None) -> Rows:
    """Read the cells of a table.

    Parameters
    ----------
    path : Path
        A file.
    choice : Choice
        Its columns.
    options : SourceOptions
        What the user says about it.
    form : TextForm or None
        How to read it, where its first lines do not tell.

    Raises
    ------
    FormatError
        If an entry is no number, a frame is negative, or an id or a label in a frame repeats.
    ConfigError
        If the sequence that the user wants is not there.
    """
    names = choice.names
    table = read_columns(path, [*names.values(), *choice.kept], form)
    notes = [*choice.notes, *table.notes]
    table = _one_sequence(table, names.get("sequence"), options.sequence)
    frame = _frames(table, names["t"])
    position, said = _positions(table, names, flat="z" not in options.columns)
    ids, said_of_ids = _ids(table, names, frame)
    area = table.numbers(names["area"], may_miss=True) if "area" in names else np.full(len(table), np.nan)
    properties, left_out = _kept(table, choice.kept, strict=tuple(options.keep) not in ((), (ALL,)))
    if ids.words is not None:
        properties[names["id"]] = table.kept(names["id"])
    position, area, scale_um, said_of_units = _in_pixels(table, names, position, area, options)
    points = Points(ids.label, position, area, properties)
    return Rows(table, frame, ids, points, scale_um, [*notes, *said, *said_of_ids, *left_out, *said_of_units])


def _frames(table: Table, column: str) -> NDArray[np.int64]:
    """Return the frame of each row.

    Raises
    ------
    FormatError
        If an entry is no frame number, or one so high that it must be a time.
    """
    frame = table.integers(column)
    if len(frame) and frame.max() >= MAX_FRAMES:
        row = int(np.argmax(frame))
        raise FormatError(
            f"{table.where(row)}: column {column} is {frame[row]}", expected=f"a frame number below {MAX_FRAMES:,}"
        )
    return frame


def _positions(table: Table, names: dict[str, str], *, flat: bool = True) -> tuple[NDArray[np.float64], list[str]]:
    """Return the position of each row, axes ``([z,] y, x)``; z is left out, with a note, where it never changes.

    Parameters
    ----------
    table : Table
        With the columns of `names`.
    names : dict of str to str
        Column of ``y``, ``x`` and maybe ``z``, or of ``position``.
    flat : bool
        False keeps z in any case.

    Raises
    ------
    FormatError
        If an entry is no finite number.
    """
    if "position" in names:
        position = _listed(table, names["position"])
        column = names["position"]
    else:
        axes = [axis for axis in "zyx" if axis in names]
        position = np.column_stack([table.numbers(names[axis]) for axis in axes])
        column = names.get("z", "")
    return flattened(position, f"column {column}") if flat else (position, [])


def _kept(table: Table, columns: tuple[str, ...], *, strict: bool) -> tuple[dict[str, NDArray[np.generic]], list[str]]:
    """Return columns to keep as properties, with notes on those that cannot be, unless `strict` refuses them.

    Raises
    ------
    FormatError
        If `strict`, and a column holds neither numbers nor short text.
    """
    kept: dict[str, NDArray[np.generic]] = {}
    notes = []
    for column in columns:
        try:
            kept[column] = table.kept(column)
        except FormatError as error:
            if strict:
                raise
            notes.append(f"not kept: {error}")
    return kept, notes


def _in_pixels(
    table: Table,
    names: dict[str, str],
    position: NDArray[np.float64],
    area: NDArray[np.float64],
    options: SourceOptions,
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[float, ...] | None, tuple[str, ...]]:
    """Return positions and areas in pixels, the voxel size, and what was assumed.

    Only TrackMate and Mastodon tell a unit, in a line of the header; without one, and without images that could tell
    it, positions are taken as pixels, which is said.
    """
    ndim = position.shape[1]
    units = {table.unit(names[axis]) for axis in "zyx"[-ndim:] if axis in names}
    if len(units) > 1:
        got = ", ".join(sorted(units))
        raise FormatError(f"{table.path} tells positions in several units", expected="one", got=got)
    unit = next(iter(units), "")
    if is_pixel(unit):
        known = unit or options.scale_um is not None or options.images
        return position, area, None, () if known else ("no unit is told: positions are taken as pixels",)
    told = calibrate(ndim, unit, None, options.scale_um)
    pixels = to_pixels(position, told, table.where)
    return pixels, area / math.prod(told.step[-2:]), told.scale_um, told.notes


def _listed(table: Table, column: str) -> NDArray[np.float64]:
    """Return positions that are written in one column, as ``[y, x]`` or ``(z, y, x)``."""
    words = pc.fill_null(table.texts(column), "")
    parts = pc.split_pattern_regex(pc.utf8_trim(words, characters="[]() "), pattern=r"\s*[,;]\s*|\s+")
    counts = pc.list_value_length(parts).to_numpy(zero_copy_only=False)
    ndim = int(counts[0]) if len(counts) else 2
    wrong = (counts != ndim) | (ndim not in (2, 3))
    if not wrong.any():
        flat = pc.list_flatten(parts)
        try:
            numbers = pc.cast(flat, pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            numbers = np.array([as_float(word) for word in flat.to_pylist()])
        position: NDArray[np.float64] = numbers.reshape(-1, ndim)
        wrong = ~(np.abs(position) < LARGEST).all(axis=1)
        if not wrong.any():
            return position
    row = int(np.flatnonzero(wrong)[0])
    raise FormatError(
        f"{table.where(row)}: column {column} is no position",
        expected=f"[y, x] or [z, y, x], numbers below {LARGEST:.0e}",
        got=words[row].as_py(),
    )


def _one_sequence(table: Table, column: str | None, wanted: str | None) -> Table:
    """Return the rows of the sequence that the user wants.

    Raises
    ------
    ConfigError
        If there are several and none was chosen, or not the one that was.
    """
    if column is None:
        if wanted is not None:
            raise ConfigError(f"{table.path} has no column of sequences to choose {wanted} from")
        return table
    words = table.texts(column)
    there = sorted(word or "" for word in pc.unique(words).to_pylist())
    if (wanted is None and len(there) > 1) or (wanted is not None and wanted not in there):
        raise ConfigError(
            f"{table.path} holds {'several sequences' if wanted is None else f'no sequence {wanted}'}",
            got=", ".join(there[:20]),
            **({"try": f"--sequence {there[0]}"} if there else {}),
        )
    if wanted is None:
        return table
    return table.take(np.flatnonzero(pc.fill_null(pc.equal(words, wanted), False).to_numpy(zero_copy_only=False)))


def _ids(table: Table, names: dict[str, str], frame: NDArray[np.int64]) -> tuple[Ids, list[str]]:
    """Return the id of each row, else its label, else its number in the file."""
    if "id" in names and "parent_frame" not in names:
        return ids_of(table, names["id"])
    if "label" not in names:
        return Ids(np.arange(len(frame))), []
    label = table.integers(names["label"])
    order = np.lexsort((label, frame))
    same = (label[order[1:]] == label[order[:-1]]) & (frame[order[1:]] == frame[order[:-1]])
    require_unique(
        table,
        order,
        same,
        lambda row: f"label {label[row]} is in frame {frame[row]} already",
        names["label"],
        kind="a label of its own for each cell of a frame",
    )
    return Ids(label), []


def _lineage(rows: Rows, choice: Choice, options: SourceOptions) -> tuple[LabelLineage, list[str]] | None:
    """Return the lineage that links, parents or tracks tell, with what to note about it."""
    names, table, frame, ids = choice.names, rows.table, rows.frame, rows.ids
    if choice.links is not None:
        return lineage_of_links(choice.links, options.columns, ids, frame)
    if "parent_frame" in names:
        return lineage_of_parent_labels(table, names, ids, frame), []
    if "parent" in names:
        return lineage_of_parents(table, names["parent"], ids, frame), []
    if "track" in names:
        return lineage_of_track_column(table, names, frame, ids.label, options)
    return None
