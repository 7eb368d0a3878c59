"""A folder of tables as trackdb exports it: ``cells``, ``links``, ``tracks`` (CSV or Parquet) and ``about.json``.

Everything comes back: numbers and labels of cells, gaps, merges, voxel size, frame interval, and what else is told of
cells. Tracks follow from the links, and columns that follow from others are passed over.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ....errors import FormatError
from ...writers.formulas import unguarded
from ...writers.tables import ABOUT
from ..base import LabelLineage
from ..calibration import SANE
from ..links import find_repeat, find_rows
from ..options import refuse_options
from ..points import point_source
from .choice import Choice
from .columns import column_names, read_columns
from .reader import read_rows

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ..base import Source, SourceOptions
    from .columns import Table
    from .reader import Rows

LARGEST = 1 << 20  # bytes of it
SUFFIXES = (".csv", ".parquet")
LONGEST_NAME = 200  # letters of the name of a solution
FOLLOWS = ("track", "lineage", "equivalent_diameter", "time_s", "z_um", "y_um", "x_um")  # from other columns


@dataclass(frozen=True, slots=True)
class About:
    """What the tables cannot tell by themselves.

    Parameters
    ----------
    dataset, solution : str
        Names of the movie and of its tracking.
    axes : tuple of str
        Space axes, ``z y x`` or ``y x``.
    scale_um : tuple of float or None
        Voxel size.
    interval_s : float or None
        Frame interval.
    """

    dataset: str
    solution: str
    axes: tuple[str, ...]
    scale_um: tuple[float, ...] | None
    interval_s: float | None


def open_tables(path: Path, options: SourceOptions) -> Source:
    """Open a folder of tables.

    Raises
    ------
    FormatError
        If a table or ``about.json`` is missing or wrong, an id is there twice, or a link names a cell that is not
        there or runs backward in time.
    ConfigError
        If the options do not fit.
    """
    refuse_options(path, "a folder of trackdb's tables", options, "links", "truth", "sequence", "columns")
    about = read_about(path / ABOUT)
    cells = _table(path, "cells")
    there = column_names(cells)
    names = {key: key for key in ("t", *about.axes, "id", "area")}
    kept = tuple(name for name in there if name not in (*names, "label", *FOLLOWS))
    choice = Choice({**names, "label": "label"}, kept, None, [])
    rows = read_rows(cells, choice, replace(options, scale_um=options.scale_um or about.scale_um, keep=("all",)))
    label = rows.table.integers("label")
    _require_once(rows, label)
    properties = {name: _as_it_was(column, cells) for name, column in rows.points.properties.items()}
    if not np.array_equal(label, rows.ids.label):
        properties["id"] = rows.ids.label.astype(np.float64)
    return point_source(
        about.dataset,
        options,
        rows.frame,
        replace(rows.points, label=label, properties=properties),
        lineages=[_lineage(path, about, rows, label)],
        notes=rows.notes,
        scale_um=about.scale_um,
        interval_s=about.interval_s,
    )


def is_tables(path: Path) -> bool:
    """Tell whether a path is a folder with a table of cells and ``about.json``."""
    return (path / ABOUT).is_file() and any((path / f"cells{suffix}").is_file() for suffix in SUFFIXES)


def read_about(path: Path) -> About:
    """Read ``about.json``.

    Raises
    ------
    FormatError
        If it is no JSON, or tells something that cannot be.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise FormatError(f"{path} is too large", expected=f"{LARGEST:,} bytes at most")
        told = json.loads(path.read_text(encoding="utf-8"))
        axes = tuple(told["axes"])[1:]
        scale, interval = told["scale_um"], told["frame_interval_s"]
        about = About(
            _named(told["dataset"]),
            _named(told["solution"]),
            axes,
            None if scale is None else tuple(map(_size, scale)),
            None if interval is None else _size(interval),
        )
    except FormatError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(f"{path} does not tell what the tables are about", got=repr(error)[:200]) from error
    if axes not in (("z", "y", "x"), ("y", "x")) or len(about.scale_um or axes) != len(axes):
        raise FormatError(f"{path}: axes or voxel size are wrong", expected="t, [z,] y, x", got=f"{axes}, {scale}")
    return about


def _table(folder: Path, name: str) -> Path:
    """Return the file of a table."""
    found = [file for suffix in SUFFIXES if (file := folder / f"{name}{suffix}").is_file()]
    if len(found) != 1:
        raise FormatError(f"{folder} holds {len(found) or 'no'} tables of {name}", expected=f"{name}.csv or .parquet")
    return found[0]


def _require_once(rows: Rows, label: NDArray[np.int64]) -> None:
    if twice := find_repeat(rows.frame, label):
        row, first = twice
        raise FormatError(
            f"{rows.table.where(row)}: label {label[row]} is in frame {rows.frame[row]} already",
            expected="each once in a frame",
            got=f"the same in {rows.table.line(first)}",
        )


def _lineage(path: Path, about: About, rows: Rows, label: NDArray[np.int64]) -> LabelLineage:
    """Return the tracking that the table of links tells."""
    links = read_columns(_table(path, "links"), ["source", "target"])
    source, target = (_ends(links, column, rows.ids.label) for column in ("source", "target"))
    if twice := find_repeat(source, target):
        raise FormatError(f"{links.where(twice[0])}: the link is there already", got=links.line(twice[1]))
    return LabelLineage(about.solution, str(links.path), rows.frame, label, source, target, merges=True)


def _ends(links: Table, column: str, ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the row of the cell that each link names."""
    named = links.integers(column)
    found = find_rows(ids, named)
    lost = np.flatnonzero(found < 0)
    if len(lost):
        raise FormatError(f"{links.where(int(lost[0]))}: {column} {named[lost[0]]} is no cell of the table of cells")
    return found


def _as_it_was(column: NDArray[np.generic], file: Path) -> NDArray[np.generic]:
    """Return texts without the apostrophe that keeps a spreadsheet from running them."""
    if column.dtype.kind != "U" or file.suffix != ".csv":
        return column
    return np.array(unguarded(pa.array(column.tolist(), pa.string())).to_pylist(), dtype=np.str_)


def _named(name: Any) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        raise ValueError(f"{name!r} is no name")
    return name


def _size(size: Any) -> float:
    if isinstance(size, bool) or not SANE[0] < float(size) < SANE[1]:
        raise ValueError(f"{size!r} is no size")
    return float(size)
