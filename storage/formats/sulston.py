"""C. elegans cells by their Sulston names: tables of AceTree, ``CD*.csv``, one row per cell and time point.

A name tells its mother: the name without its last letter, and for the founders as below [1]_. Time points count from 1;
the first one is frame 0 here.

References
----------
.. [1] Sulston et al., "The embryonic cell lineage of the nematode Caenorhabditis elegans", Dev. Biol. 1983.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...errors import FormatError
from .lineage import note_crowded
from .options import refuse_options
from .points import point_source
from .tabular.choice import Choice, choose_kept
from .tabular.columns import column_names
from .tabular.guess import map_columns
from .tabular.lineage import lineage_of_tracklets, tracklets_from
from .tabular.reader import is_table, read_rows
from .tabular.text import first_row

if TYPE_CHECKING:
    from pathlib import Path

    from .base import Source, SourceOptions

MOTHERS = {
    "AB": "P0", "P1": "P0", "EMS": "P1", "P2": "P1", "MS": "EMS", "E": "EMS", "C": "P2", "P3": "P2", "D": "P3",
    "P4": "P3", "Z2": "P4", "Z3": "P4",
}  # fmt: skip
NAME = re.compile(r"(?:AB|MS|EMS|[CDE]|P[0-4]|Z[23])[adlprvx]*")  # anything else is no cell of the lineage


def open_sulston(path: Path, options: SourceOptions) -> Source:
    """Open a table of cells with Sulston names.

    Raises
    ------
    FormatError
        If the table is wrong, a cell is twice in a time point, or lives on after its daughters began.
    ConfigError
        If the options do not fit.
    """
    refuse_options(path, "Sulston names", options, "links", "truth", "sequence")
    names, note = map_columns(
        path, column_names(path), {"track": "cell", **options.columns}, needed=("t", "z", "y", "x", "track")
    )
    kept = choose_kept(path, names, options.keep)
    rows = read_rows(path, Choice(names, kept, None, [note] if note else []), options)
    cell = rows.table.texts(names["track"]).dictionary_encode()
    if cell.null_count:
        row = int(np.flatnonzero(cell.is_null().to_numpy(zero_copy_only=False))[0])
        raise FormatError(f"{rows.table.where(row)}: column {names['track']} needs the name of a cell", got="nothing")
    cells = cell.dictionary.to_pylist()
    first = int(rows.frame.min(initial=1) > 0)  # time points from 1, unless the table has a 0
    frame = rows.frame - first
    tracks = tracklets_from(rows.table, cell.indices.to_numpy().astype(np.int64), frame, lambda track: cells[track])
    place = {name: number for number, name in enumerate(cells)}
    pairs = [(place[above], place[name]) for name in cells if (above := mother_of(name)) in place]
    mother, daughter = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    lineage = lineage_of_tracklets(
        tracks,
        frame,
        rows.points.label,
        "truth",
        str(path),
        tracks.place_of(mother),
        tracks.place_of(daughter),
        lambda at: f"{path}: {cells[daughter[at]]} is a daughter of {cells[mother[at]]}",
        called=lambda track: cells[track],
    )
    roots = [name for name in cells if mother_of(name) not in place]
    notes = [*rows.notes, "parents come from the Sulston names of cells", *note_crowded(lineage)]
    notes += ["time point 1 of the table is frame 0 here"] if first else []
    notes += [f"cells without a mother in the table: {len(roots)} ({_few(roots)})"] if roots else []
    points = replace(rows.points, properties={"name": rows.table.kept(names["track"]), **rows.points.properties})
    return point_source(
        path.name.split(".")[0], options, frame, points, lineages=[lineage], notes=notes, scale_um=rows.scale_um
    )


def is_sulston(path: Path) -> bool:
    """Tell whether a path is a table of AceTree's: names of cells, times and places."""
    if not is_table(path) or path.name.lower().removesuffix(".gz").endswith(".parquet"):
        return False
    try:
        names = column_names(path)
    except FormatError:
        return False  # whoever reads the table says what is wrong with it
    return {"cellTime", "cell", "time", "x", "y", "z"} <= set(names) or (
        {"cell", "time", "x", "y", "z"} <= set(names) and _names_cells(path)
    )


def mother_of(name: str) -> str | None:
    """Return the name of a cell's mother, None for P0 and for names that are not Sulston's."""
    if name in MOTHERS or name == "P0":
        return MOTHERS.get(name)
    return name[:-1] if NAME.fullmatch(name) else None


def _names_cells(path: Path) -> bool:
    """Tell whether the first row of a table has a Sulston name in its column of cells."""
    row = first_row(path)
    return row is not None and bool(NAME.fullmatch(row.get("cell", "")) or row.get("cell") in MOTHERS)


def _few(names: list[str]) -> str:
    return ", ".join(sorted(names)[:8]) + (", ..." if len(names) > 8 else "")
