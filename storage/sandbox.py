"""The user's own SQL, in a process of its own: read-only, no files, no network, so much time, memory and rows.

Whatever text reaches the database as a query comes through `ask`. What keeps it in is told in `confined`.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from .. import errors
from ..errors import QueryError, TrackdbError
from . import questions
from .confined import Question
from .connection import PATIENCE_S, explained, require_store
from .dataframes import Tabular, plain_value
from .founding import GRAPH
from .html import fitting, html_line, html_table
from .instance import put_right
from .plain import as_table, plural
from .within import require_own

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    Parameter = int | float | str | bool | None

SHOWN = 20  # rows of an answer in a notebook, or as text
LONGEST_QUERY = 1_000_000  # letters; the engine's parser takes time and memory for each
# what DuckDB says of a query that writes: to a table; to a view, which it refuses before it looks at the lock
WOULD_CHANGE = (
    "attached in read-only mode",
    "Can only update base table",
    "Can only delete from base",
    "is not an table",
)
NAMES = (
    "describe cells, which names the columns of a view; trackdb sql STORE without a query lists views and macros; "
    "a text stands in single quotes"
)
_NO_MEMORY = ("OutOfMemoryException", "MemoryError", "ArrowMemoryError")
_DAMAGE = ("IOException", "SerializationException", "FatalException")
_NO_TIME = (signal.SIGALRM, signal.SIGXCPU)


@dataclass(frozen=True, slots=True, eq=False)
class Answer(Tabular):
    """What a query returned.

    Parameters
    ----------
    rows : pyarrow.Table
        Its rows, at most as many as were asked for.
    truncated : bool
        Whether there were more.
    seconds : float
        How long it took.
    """

    rows: pa.Table
    truncated: bool
    seconds: float

    def arrow(self) -> pa.Table:
        """Return the rows as an Arrow table."""
        return self.rows

    def rows_by_position(self) -> list[list[object]]:
        """Return the rows as lists in the order of the columns, several of which may have one name."""
        return _by_position(self.rows)

    def __repr__(self) -> str:
        return f"<{self._counted()} of {', '.join(self.rows.column_names)}>"

    def __str__(self) -> str:
        """Return the first rows as text in columns."""
        return f"{as_table(self.rows.column_names, _by_position(self.rows[:SHOWN]))}\n{self._counted(SHOWN)}"

    def _repr_html_(self) -> str:
        """Return the first rows for a notebook."""
        first = _by_position(self.rows[:SHOWN])

        def made(shown: int) -> str:
            return html_table(self.rows.column_names, first[:shown]) + html_line(self._counted(shown))

        return fitting(made, len(first))

    def _counted(self, shown: int | None = None) -> str:
        """Return in words how many rows there are, and of how many `shown` is a part."""
        there = self.rows.num_rows
        several = f"{there:,} or more rows" if self.truncated else plural(there, "row")
        return several if shown is None or shown >= there else f"{shown} of {several}"


def _by_position(rows: pa.Table) -> list[list[object]]:
    return [list(row) for row in zip(*map(_as_python, rows.columns), strict=True)]


def _as_python(column: pa.ChunkedArray) -> list[object]:
    """Return the values of a column; as text where Python has no such date."""
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError):
        return list(map(plain_value, column))


@dataclass(frozen=True, slots=True)
class Limits:
    """What a query may use; the system ends the process of one that takes more.

    Parameters
    ----------
    timeout_s : float
        Seconds that it may run.
    memory_mb : int
        Memory of the database in megabytes.
    max_rows : int or None
        Rows to hand out; None for all.
    answer_mb : int or None
        Megabytes of the rows that are handed out; None for as many as its memory.
    """

    timeout_s: float = 60.0
    memory_mb: int = 2000
    max_rows: int | None = None
    answer_mb: int | None = None


def ask(
    store: Path, query: str, parameters: Mapping[str, Parameter] | None = None, limits: Limits | None = None
) -> Answer:
    """Run one statement of a user's SQL over the views of a store.

    Parameters
    ----------
    store : Path
        Folder of the store.
    query : str
        One statement; ``$name`` stands for a parameter.
    parameters : mapping
        Value of each parameter.
    limits : Limits
        What it may use.

    Raises
    ------
    QueryError
        If the statement is wrong, not a single one, forbidden, or takes too much.
    StoreError
        If the store is missing, locked or damaged.
    """
    limits = limits or Limits()
    started = time.perf_counter()
    graph = store / GRAPH
    require_store(graph)
    require_own(graph, store)
    _require_text(query)
    put_right(graph)  # who answers may write nothing
    question = Question(
        graph=str(graph.absolute()),
        query=query,
        parameters={name: _plain(name, value) for name, value in (parameters or {}).items()},
        timeout_s=limits.timeout_s,
        memory_mb=limits.memory_mb,
        max_rows=limits.max_rows,
        answer_mb=limits.memory_mb if limits.answer_mb is None else limits.answer_mb,
        patience_s=PATIENCE_S,
    )
    try:
        reply = questions.put(question)
    except TimeoutError:
        raise _took_too_long(limits) from None
    verdict = reply.verdict
    if verdict is None:
        raise _ended(reply.status, limits)
    if "error" in verdict:
        raise _refusal(verdict, graph, limits, answer_mb=question.answer_mb)
    return Answer(_table(reply.rows), bool(verdict["truncated"]), time.perf_counter() - started)


def _require_text(query: str) -> None:
    if len(query) > LONGEST_QUERY:
        raise QueryError(f"the query has {len(query):,} letters", expected=f"{LONGEST_QUERY:,} at most")
    try:
        query.encode()
    except UnicodeEncodeError as error:
        raise QueryError("the query is no text", reason=str(error)) from None


def _plain(name: str, value: object) -> Parameter:
    """Return the value of a parameter as Python's own, numbers of numpy included."""
    value = value.item() if hasattr(value, "item") else value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise QueryError(
        f"parameter {name} is a {type(value).__name__}", expected="a number, a text, a truth value or None"
    )


def _table(rows: memoryview) -> pa.Table:
    if not rows:
        return pa.table({})
    found = pa.ipc.open_stream(pa.py_buffer(rows)).read_all()
    try:
        found.validate(full=True)  # it comes from where a stranger's query ran
    except pa.ArrowInvalid as error:  # a hugeint of 39 digits, the time 24:00
        raise QueryError(
            "the answer holds a value that cannot be handed out", reason=str(error), **{"try": "cast it: x::varchar"}
        ) from None
    return found


def _took_too_long(limits: Limits) -> QueryError:
    return QueryError(f"the query took longer than {limits.timeout_s:g} s", **{"try": "--timeout S"})


def _ended(status: int | None, limits: Limits) -> QueryError:
    """Say why the process of a query ended without a verdict."""
    number = os.WTERMSIG(status) if status is not None and os.WIFSIGNALED(status) else 0
    if number in _NO_TIME:
        return _took_too_long(limits)
    how = f"by {signal.Signals(number).name}" if number else "without a word"
    return QueryError("the query ended the process that answered it", reason=f"it ended {how}; the store is unchanged")


def _refusal(verdict: Mapping[str, object], graph: Path, limits: Limits, *, answer_mb: int) -> TrackdbError:
    """Say in the words of the user what a query did wrong, or the store."""
    kind, text = str(verdict["error"]), str(verdict["text"]).strip()
    ours = getattr(errors, kind, None)
    if isinstance(ours, type) and issubclass(ours, TrackdbError):
        details = verdict.get("details")
        return ours(text, **(details if isinstance(details, dict) else {}))
    reason = explained(RuntimeError(text), graph)
    if verdict.get("opening") or (kind in _DAMAGE and isinstance(reason, errors.StoreDamagedError)):
        return reason
    first = text.split("\n")[0]
    if kind == "TooLargeError":
        return QueryError(
            f"the answer is larger than {answer_mb} MB", **{"try": "ask for less, or write it: --csv, --parquet FILE"}
        )
    if kind == "InterruptException" or first.startswith("INTERRUPT Error"):
        return _took_too_long(limits)
    if kind in _NO_MEMORY or first.startswith("Out of Memory Error") or "bad_alloc" in first:
        return QueryError(f"the query needs more than {limits.memory_mb} MB", **{"try": "--memory MB"})
    if any(told in text for told in WOULD_CHANGE):
        return QueryError("a query may not change the store", reason=first)
    if "Too many open files" in text:
        return QueryError("the query cannot be answered", reason="a query may open no file, not even that of the store")
    unknown = {"try": NAMES} if first.startswith(("Binder Error: Referenced", "Catalog Error")) else {}
    return QueryError("the query cannot be answered", reason=text.replace("\n\n", "\n"), **unknown)
