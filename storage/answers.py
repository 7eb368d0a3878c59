"""Answers of queries as files."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from ..errors import ConfigError
from .dataframes import plain_value
from .folders import appearing_file
from .writers.formulas import guarded

if TYPE_CHECKING:
    from pathlib import Path

    from .sandbox import Answer

BATCH_ROWS = 100_000  # that are made text of at a time


def write_csv(answer: Answer, stream: IO[bytes]) -> None:
    """Write an answer as CSV; what CSV does not know is written as text: lists as JSON, bytes in hex.

    Texts that a spreadsheet would run are guarded (see `writers.formulas`).
    """
    fields = answer.rows.schema
    names = guarded(pa.array(fields.names, pa.string())).to_pylist()
    kinds = [kind if _is_plain(kind) else pa.string() for kind in fields.types]
    schema = pa.schema(list(zip(names, kinds, strict=True)))
    with pyarrow.csv.CSVWriter(stream, schema) as writer:
        for batch in answer.rows.to_batches(max_chunksize=BATCH_ROWS):
            columns = [column if _is_plain(column.type) else _as_text(column) for column in batch.columns]
            writer.write_batch(pa.record_batch([_guarded(column) for column in columns], schema=schema))


def write_parquet(answer: Answer, path: Path) -> None:
    """Write an answer as a Parquet file, which appears when it is whole.

    Raises
    ------
    ConfigError
        If the file cannot be written, or two columns have one name.
    """
    if not path.name:
        raise ConfigError(f"{path} is no name of a file", **{"try": "--parquet rows.parquet"})
    try:
        with appearing_file(path) as partial:
            pyarrow.parquet.write_table(answer.rows, partial)
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"{path} cannot be written", reason=str(error)) from error


def _is_plain(kind: pa.DataType) -> bool:
    """Return whether CSV knows the type."""
    t = pa.types
    known = (t.is_integer, t.is_floating, t.is_boolean, t.is_string, t.is_large_string, t.is_date, t.is_timestamp)
    return any(is_kind(kind) for is_kind in (*known, t.is_decimal, t.is_null))


def _guarded(column: pa.Array) -> pa.Array:
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    return guarded(column) if is_text else column


def _as_text(column: pa.Array) -> pa.Array:
    values = map(plain_value, column)
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return json.dumps(value, default=str) if isinstance(value, list | dict) else str(value)
