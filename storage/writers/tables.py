"""Write tables as CSV or Parquet: one file, or a folder of them with a file that tells what they are about.

In a CSV file texts that a spreadsheet would run are guarded (see `formulas`). Numbers are never touched, and Parquet
keeps all as it is.
"""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from ..folders import appearing, appearing_file
from .columns import as_arrow, is_text
from .formulas import count_formulas_in, guarded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

ABOUT = "about.json"
METADATA_KEY = "trackdb"  # of a Parquet file's schema: the same facts as in about.json


def write_table(path: Path, columns: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> None:
    """Write one table; the file appears when all of it is written.

    Parameters
    ----------
    path : Path
        File to make: Parquet if it is named ``.parquet``, else CSV.
    columns : dict of str to (n,) array
        Numbers, truth or text by name. NaN, ``""`` and what is masked are empty cells.
    about : dict
        Facts about the tables, for the metadata of a Parquet file.
    """
    with appearing_file(path, new=True) as partial:
        _write(partial, columns, about, parquet=path.suffix.lower() == ".parquet")


def write_tables(
    folder: Path, tables: Mapping[str, Mapping[str, NDArray[Any]]], about: Mapping[str, Any], suffix: str
) -> list[Path]:
    """Write tables and facts about them into a folder that appears when all of it is written.

    Parameters
    ----------
    folder : Path
        Folder to make.
    tables : dict of str to dict
        Columns of each table, as `write_table` takes them, by the name of its file.
    about : dict
        Facts for ``about.json``.
    suffix : str
        ``.csv`` or ``.parquet``.

    Returns
    -------
    files : list of Path
        What was written.
    """
    with appearing(folder) as partial:
        for name, columns in tables.items():
            _write(partial / f"{name}{suffix}", columns, about, parquet=suffix == ".parquet")
        (partial / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return sorted(folder.iterdir())


def count_formulas(columns: Mapping[str, NDArray[Any]]) -> int:
    """Return how many text cells of a CSV table get an apostrophe before them."""
    return sum(count_formulas_in(as_arrow(column)) for column in columns.values() if is_text(column))


def _write(path: Path, columns: Mapping[str, NDArray[Any]], about: Mapping[str, Any], *, parquet: bool) -> None:
    if parquet:
        table = pa.table({name: as_arrow(column) for name, column in columns.items()})
        facts = {**(table.schema.metadata or {}), METADATA_KEY: json.dumps(about)}
        pq.write_table(table.replace_schema_metadata(facts), path)
        return
    table = pa.table({name: _guarded(column) for name, column in columns.items()})
    with path.open("wb") as stream:
        stream.write(_header(list(columns)).encode())
        if table.num_rows:
            pa_csv.write_csv(table, stream, pa_csv.WriteOptions(include_header=False, quoting_style="needed"))


def _header(names: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(guarded(pa.array(names, pa.string())).to_pylist())
    return line.getvalue()


def _guarded(column: NDArray[Any]) -> Any:
    """Return a column for CSV."""
    array = as_arrow(column)
    return guarded(array) if is_text(column) else array
