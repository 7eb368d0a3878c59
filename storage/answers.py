"""Answers of queries as files."""

from __future__ import annotations

import json
import os
from typing import IO, TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from ..errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from .sandbox import Answer


def write_csv(answer: Answer, stream: IO[bytes]) -> None:
    """Write an answer as CSV; lists and structs, which CSV does not know, are written as JSON."""
    columns = [_as_text(column) if pa.types.is_nested(column.type) else column for column in answer.rows.columns]
    pyarrow.csv.write_csv(pa.table(columns, names=answer.rows.column_names), stream)


def write_parquet(answer: Answer, path: Path) -> None:
    """Write an answer as a Parquet file, which appears when it is whole.

    Raises
    ------
    ConfigError
        If the file cannot be written, or two columns have one name.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        pyarrow.parquet.write_table(answer.rows, partial)
        partial.replace(path)
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"{path} cannot be written", reason=str(error)) from error
    finally:
        partial.unlink(missing_ok=True)


def _as_text(column: pa.ChunkedArray) -> pa.Array:
    return pa.array([None if v is None else json.dumps(v, default=str) for v in column.to_pylist()], pa.string())
