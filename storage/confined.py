"""Where a user's query runs: a process of its own for each, which the system keeps within its limits.

DuckDB's own settings are the first wall: read-only, no files, no network, nothing to be changed. They do not bind
every function of it (``repeat`` pays heed neither to time nor to memory), so the system holds a second one: so many
seconds of the clock and of the processor, so much memory, and no further file or connection can be opened at all. A
query that breaks either ends this process and nothing else.

`serve` runs in a process that has all the libraries loaded and forks for each question, so that a question need not
wait for them. What it is sent over its line is two file descriptors: one for the question and its answer, one for how
the process that answered it has ended.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import duckdb
import pyarrow as pa

from ..errors import QueryError, TrackdbError
from .instance import draw_no_bar
from .log_files import rows_to_merge
from .turns import give_way

LENGTH: Final = struct.Struct("<Q")  # before a question, and behind a verdict
STATUS: Final = struct.Struct("<i")  # how a process has ended, as `os.waitpid` tells it
IDLE_S: Final = 300.0  # without a question, after which nothing is kept ready
GRACE_S: Final = 1.0  # more than DuckDB is given, before the system ends a query
BATCH_ROWS: Final = 100_000
BASE_MB: Final = 384  # of address space, for the stacks of threads and what allocators set aside
THREADS: Final = 4
DEEPEST: Final = 30  # lists within lists, of what is handed out
CHANGED: Final = re.compile(r"\b(UHUGEINT|BIGNUM|BIT|TIME WITH TIME ZONE|TIMETZ)\b")
"""Types that Arrow knows in part: a number beyond its range turns negative, an offset from UTC is lost."""
NAMED: Final = re.compile(r"""'[^']*'|"[^"]*\"""")  # fields and members of a type
LOCKED: Final = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_unsigned_extensions": "false",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
}


@dataclass(frozen=True, slots=True)
class Question:
    """A statement of a user, and what it may use; field by field as in `sandbox.Limits`."""

    graph: str
    query: str
    parameters: dict[str, int | float | str | bool | None]
    timeout_s: float
    memory_mb: int
    max_rows: int | None
    answer_mb: int
    patience_s: float


def serve(line: socket.socket) -> None:
    """Fork for each question until the other end of the line is closed, or none came for a while."""
    import pyarrow.compute  # noqa: F401  # what is not loaded now cannot be loaded when no file can be opened

    bell, ringer = os.pipe()
    os.set_blocking(ringer, False)
    signal.set_wakeup_fd(ringer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    at_work: dict[int, int] = {}  # where to tell of the end of each process
    watched: list[socket.socket | int] = [line, bell]
    while True:
        ready, _, _ = select.select(watched, [], [], None if at_work else IDLE_S)
        if not ready:
            return
        if bell in ready:
            os.read(bell, 1024)
        _tell_of_the_ended(at_work)
        if line not in ready:
            continue
        came, handles, *_ = socket.recv_fds(line, 1, 2)
        if not came:
            return
        exchange, end = handles
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for handle in (line.fileno(), bell, ringer, end, *at_work.values()):
                os.close(handle)
            _answer_and_end(socket.socket(fileno=exchange))
        os.close(exchange)
        at_work[pid] = end


def _tell_of_the_ended(at_work: dict[int, int]) -> None:
    while at_work:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        end = at_work.pop(pid)
        os.write(end, STATUS.pack(status))
        os.close(end)


def _answer_and_end(exchange: socket.socket) -> None:
    """Answer the one question of this process; it never returns."""
    try:
        length = LENGTH.unpack(_taken(exchange, LENGTH.size))[0]
        question = Question(**json.loads(_taken(exchange, length)))
        threading.Thread(target=_end_with, args=(exchange,), daemon=True).start()
        with exchange.makefile("wb") as out:
            verdict = json.dumps(answer(question, out)).encode()
            out.write(verdict + LENGTH.pack(len(verdict)))
        os._exit(0)
    finally:  # whatever happened, this is no copy of the process that it was forked from
        os._exit(1)


def _taken(exchange: socket.socket, n_bytes: int) -> bytes:
    parts = []
    while n_bytes:
        part = exchange.recv(min(n_bytes, 1 << 20))
        if not part:
            os._exit(0)  # whoever asked is gone
        parts.append(part)
        n_bytes -= len(part)
    return b"".join(parts)


def _end_with(exchange: socket.socket) -> None:
    """End this process when whoever asked does not wait any more."""
    exchange.recv(1)
    os._exit(0)


def answer(question: Question, out: IO[bytes]) -> dict[str, Any]:
    """Write the rows of an answer as an Arrow stream, and return the verdict on it.

    Returns
    -------
    verdict : dict
        ``truncated`` and ``seconds``; or ``error``, the name of its class, with its ``text`` and ``details``, and
        whether it came of ``opening`` the store.
    """
    started = time.perf_counter()
    try:
        connection = opened(question)
    except (duckdb.Error, TrackdbError) as error:
        return _told(error) | {"opening": True}
    n_threads = connection.execute("select current_setting('threads')").fetchall()[0][0]
    confine(question, n_threads)
    try:
        statements = connection.extract_statements(question.query)
        if len(statements) != 1:
            text = "give one SQL statement at a time" if statements else "the query is empty: give one SQL statement"
            return {"error": "QueryError", "text": text}
        relation = connection.sql(question.query, params=question.parameters)
        if relation is not None:
            _require_kept(relation)
        truncated = relation is not None and _write_rows(relation, question, out)
    except Exception as error:  # whatever a stranger's text brings about is told, not raised
        return _told(error)
    return {"truncated": truncated, "seconds": time.perf_counter() - started}


def _told(error: Exception) -> dict[str, Any]:
    text = error.message if isinstance(error, TrackdbError) else str(error)
    details = error.details if isinstance(error, TrackdbError) else {}
    return {"error": type(error).__name__, "text": text, "details": details}


def opened(question: Question) -> duckdb.DuckDBPyConnection:
    """Open the tables with all of DuckDB's locks, waiting a while for a process that is just writing."""
    settings: dict[str, str | bool | int | float | list[str]] = {
        **LOCKED,
        "memory_limit": f"{question.memory_mb}MB",
        "threads": str(min(THREADS, os.cpu_count() or 1)),
        "max_execution_time": str(max(1, round(1000 * question.timeout_s))),
    }
    deadline = time.monotonic() + question.patience_s
    give_way(Path(question.graph).parent)
    while True:
        try:
            connection = duckdb.connect(question.graph, read_only=True, config=settings)
            break
        except duckdb.IOException as error:
            if "(PID" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.05)
    show_unmerged(connection, Path(question.graph).parent)
    draw_no_bar(connection)
    connection.sql("select 1 as one").to_arrow_reader().read_all()  # loads whatever is loaded when it is needed
    connection.execute("set lock_configuration = true")
    return connection


def show_unmerged(connection: duckdb.DuckDBPyConnection, store: Path) -> None:
    """Put a temporary table with all decisions before that of the store, if the log holds some that were not merged."""
    merged = {key for (key,) in connection.execute("select key from annotation").fetchall()}
    rows = rows_to_merge(store, merged)
    if rows:
        columns = [column[0] for column in connection.execute("select * from annotation limit 0").description]
        names = ", ".join(f'"{name}"' for name in columns)
        connection.execute("create temp table annotation as select * from annotation")
        connection.executemany(
            f"insert into annotation ({names}) values ({', '.join('?' * len(columns))})",
            [[_as_stored(row[name]) for name in columns] for row in rows],
        )


def _as_stored(value: object) -> object:
    return json.dumps(value) if isinstance(value, list | dict) else value


def confine(question: Question, n_threads: int) -> None:
    """Let the system hold this process to its limits from now on; nothing in it can take them back."""
    import resource  # where there is a fork, there is this

    def limit(what: int, most: int) -> None:
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))

    seconds = question.timeout_s + GRACE_S
    address_space = _address_space() + (BASE_MB + question.memory_mb * 5 // 4 << 20)
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_FSIZE, 0)
    limit(resource.RLIMIT_NOFILE, 0)  # what is open stays open; no file, no connection, no process can be opened
    limit(resource.RLIMIT_CPU, int(n_threads * seconds) + 1)
    limit(resource.RLIMIT_AS, address_space)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _address_space() -> int:
    """Return the bytes of address space that this process has taken already; nothing where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 1 << 30


def _require_kept(relation: duckdb.DuckDBPyRelation) -> None:
    """Raise QueryError where a column is of a type whose values become others on the way out."""
    for name, kind in zip(relation.columns, map(str, relation.types), strict=True):
        changed = CHANGED.search(NAMED.sub("", kind))
        if changed:
            raise QueryError(f"column {name} holds values of type {changed[0]}", **{"try": "cast it: x::varchar"})


class TooLargeError(Exception):
    """The answer has more bytes than were allowed."""


def _write_rows(relation: duckdb.DuckDBPyRelation, question: Question, out: IO[bytes]) -> bool:
    """Write the first rows of a result, and return whether there are more; what is left out is never computed."""
    left = question.max_rows
    n_bytes = 0
    reader = relation.to_arrow_reader(BATCH_ROWS if left is None else min(left + 1, BATCH_ROWS))
    schema = pa.schema([field.with_type(_plain(field.type)) for field in reader.schema])
    with pa.ipc.new_stream(out, schema) as stream:
        for batch in reader:
            whole = left is None or batch.num_rows <= left
            kept = batch if whole else batch.slice(0, left)
            kept = kept if kept.schema == schema else kept.cast(schema)
            n_bytes += kept.nbytes
            if n_bytes > question.answer_mb << 20:
                raise TooLargeError
            stream.write_batch(kept)
            if not whole:
                return True
            left = None if left is None else left - kept.num_rows
    return False


def _plain(kind: pa.DataType, depth: int = 0) -> pa.DataType:
    """Return a type without dictionaries, in which a few bytes may stand for any number of long texts."""
    if depth > DEEPEST:
        raise ValueError(f"a column holds lists within lists more than {DEEPEST} deep")
    if pa.types.is_dictionary(kind):
        return kind.value_type
    if pa.types.is_list(kind):
        return pa.list_(_plain(kind.value_type, depth + 1))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_plain(kind.value_type, depth + 1), kind.list_size)
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain(field.type, depth + 1)) for field in kind])
    return kind
