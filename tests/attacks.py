"""Queries that try to get out of the store, to change it, or to take the machine; by kind, each with what it is told.

``python -m tests.attacks`` puts all of them and prints the table of `docs/reliability.md`.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from trackdb.errors import QueryError
from trackdb.storage.sandbox import Limits, ask

LIMITS = Limits(timeout_s=0.5, memory_mb=300)
REFUSED = "cannot be answered"
CHANGE = "may not change the store|cannot be answered"
TOO_LONG = r"longer than 0.5 s"
TOO_LARGE = r"more than 300 MB|larger than 300 MB"
TOO_MUCH = f"{TOO_LONG}|{TOO_LARGE}"


@dataclass(frozen=True)
class Attack:
    """A query, and what its refusal says; "" where it is answered and does no harm."""

    query: str
    told: str = REFUSED


def _all(told: str, *queries: str) -> tuple[Attack, ...]:
    return tuple(Attack(query, told) for query in queries)


def nested(left: str, right: str, depth: int) -> str:
    return f"select {left * depth}1{right * depth}"


ATTACKS: dict[str, tuple[Attack, ...]] = {
    "read files of the machine": _all(
        REFUSED,
        *(
            f"from {function}('/etc/passwd')"
            for function in ("read_csv", "read_text", "read_blob", "read_json", "read_parquet", "sniff_csv", "glob")
        ),
        "from '/etc/passwd'",
        "from glob('/*')",
        "from read_text('/proc/self/environ')",
        "from read_text('graph.duckdb')",
        "copy meta from '/etc/passwd'",
        "import database '/tmp'",
        "from query('from read_text(''/etc/passwd'')')",
        "from json_execute_serialized_sql(json_serialize_sql('from read_text(''/etc/passwd'')'))",
        "with hidden as (from read_text('/etc/passwd')) from cells, hidden",
        "select (select content from read_text('/etc/passwd'))",
        "select getenv('HOME')",
        "create secret s (type s3, key_id 'a', secret 'b')",
    ),
    "write files": _all(
        REFUSED,
        "copy (select 1) to 'out.csv'",
        "copy (select 1) to '/dev/stdout'",
        "copy cells to 'cells.parquet' (format parquet)",
        "export database 'out'",
        "set log_query_path = 'queries.log'",
        "call enable_logging(storage = 'file', storage_path = 'log')",
        "pragma enable_logging",
        "pragma profiling_output = 'profile.json'",
        "pragma enable_profiling",
        "explain (format json) copy (select 1) to 'out.csv'",
    ),
    "reach the network, load code": _all(
        REFUSED,
        "from read_csv('https://example.org/x.csv')",
        "from 's3://bucket/x.parquet'",
        "attach 'https://example.org/x.duckdb'",
        "install httpfs",
        "install httpfs from community",
        "load httpfs",
        "load './mine.duckdb_extension'",
        "update extensions",
        "from duckdb_extensions()",
    ),
    "see variables of Python": _all(REFUSED, "from a_table_of_the_caller", "select * from a_frame_of_the_caller"),
    "change the limits": _all(
        "locked|cannot be answered",
        "set memory_limit = '99GB'",
        "set threads = 99",
        "set temp_directory = '/tmp'",
        "set max_execution_time = 0",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "set python_enable_replacements = true",
        "set max_expression_depth = 1000000",
        "reset memory_limit",
        "pragma memory_limit = '99GB'",
    ),
    "change the store": _all(
        CHANGE,
        "insert into meta values ('a', 'b')",
        "delete from detection",
        "update detection set t = 1",
        "create table x (a int)",
        "create view x as select 1",
        "create macro x() as 1",
        "create or replace view cells as select 1",
        "drop table detection",
        "drop view cells",
        "alter table detection add column x int",
        "truncate detection",
        "insert into cells values (1)",
        "update cells set t = 1",
        "delete from cells",
        "with gone as (delete from detection returning *) select * from gone",
        "with put as (insert into meta values ('a', 'b') returning *) select * from put",
        "merge into meta using (select 1) s on true when matched then delete",
        "detach graph",
        "copy from database graph to memory",
    ),
    "open databases": _all(
        REFUSED,
        "attach 'graph.duckdb' as again",
        "attach 'other.duckdb' as other",
        "attach ':memory:' as memory",
        "from read_duckdb('graph.duckdb', table_name = 'cells')",
        "attach '{graph}' as again",
        "from read_duckdb('{graph}', table_name = 'cells')",
        "use memory",
    ),
    "say several things": _all(
        "one SQL statement",
        "select 1; delete from detection",
        "begin; drop table detection; commit",
        "",
        "-- nothing",
        "select 1\0; drop table detection",
    ),
    "take time": _all(
        TOO_MUCH,
        "select count(*) from range(10000000000) a, range(100000) b",
        "with recursive r(n) as (select 1 union all select n + 1 from r) select max(n) from r",
        "from range(10000000000)",
        "from generate_series(timestamp '2000-01-01', timestamp '9999-01-01', interval 1 microsecond)",
        "select levenshtein(repeat('a', 200000), repeat('b', 200000))",
        "select sleep_ms(10000)",
        " union all ".join(["select 1"] * 20_000),
    ),
    "take memory": _all(
        TOO_MUCH,
        "select length(repeat('a', 3000000000))",
        "select length(repeat('a', 1500000000))",
        "select repeat('a', 3e9::bigint)",
        "select repeat('abc', 1000000) from range(1000)",
        "select list(i) from range(1000000000) t(i)",
        "select string_agg(repeat('a', 1000000), '') from range(10000)",
        "select list_aggregate(range(400000000), 'string_agg', ',')",
        "select range(4000000000)",
        "select list_transform(range(100000000), lambda x: repeat('a', 1000))",
        "select lpad('a', 2000000000, 'b')",
        "select printf('%2000000000d', 1)",
        "select format('{:>2000000000}', 'a')",
        "with recursive r(s) as (select 'x' union all select s || s from r) select max(length(s)) from r",
        f"select '{'a' * 100_000}'::enum('{'a' * 100_000}') from range(100000)",
    ),
    "break the parser": (
        *_all(
            f"{REFUSED}|{TOO_MUCH}|ended the process",
            nested("(", ")", 30_000),
            nested("[", "]", 30_000),
            nested("abs(", ")", 10_000),
            nested("not ", "", 100_000),
            nested("case when true then ", " end", 10_000),
            "select " + "+".join(["1"] * 100_000),
            "select * from " + "(select * from " * 3_000 + "cells" + ")" * 3_000,
            nested("[", "]", 500),
            "s\u00e9lect \u2603",
        ),
        Attack("select " + "a" * 1_000_001, "letters"),
        Attack("select '\ud800'", "no text"),
    ),
    "answered, and harmless": _all(
        "",
        "create temp table x as select 1 as a",
        "create temp macro x() as 1",
        "from duckdb_settings()",
        "select path from duckdb_databases()",
        "from duckdb_secrets()",
        "from which_secret('s3://bucket', 's3')",
        "from query_table('cells')",
        "prepare q as select 1",
        "begin transaction",
        "checkpoint",
        "vacuum",
        "select 'a\0b' as x",
        "select regexp_matches(repeat('a', 30000), '(a+)+$b')",
        "select timezone('Europe/Berlin', now()), uuid(), random()",
    ),
}


def tried(store: Path, attack: Attack) -> tuple[str, float]:
    """Put one to a store; return what was told, "" for an answer, and the seconds that it took."""
    started = time.perf_counter()
    try:
        limits = LIMITS if attack.told else Limits()
        ask(store, attack.query.replace("{graph}", str(store / "graph.duckdb")), limits=limits)
        told = ""
    except QueryError as error:
        told = str(error)
    return told, time.perf_counter() - started


def bytes_of(folder: Path) -> dict[str, str]:
    """Return the digest of each file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def main() -> None:
    """Put all of them to a store and print how many were stopped, and how long the longest took."""
    from .exported import rich_store

    with tempfile.TemporaryDirectory() as folder:
        store = rich_store(Path(folder)).path
        before = bytes_of(store)
        ask(store, "select 1")  # what is started once is no part of an attack
        print("| what they try | queries | stopped | longest, s |\n|---|---|---|---|")
        n_all = n_stopped = 0
        for kind, attacks in ATTACKS.items():
            results = [tried(store, attack) for attack in attacks]
            stopped = sum(bool(told) for told, _ in results)
            print(f"| {kind} | {len(attacks)} | {stopped} | {max(seconds for _, seconds in results):.1f} |")
            n_all, n_stopped = n_all + len(attacks), n_stopped + stopped
        same = "unchanged" if bytes_of(store) == before else "CHANGED"
        print(f"\n{n_all} queries, {n_stopped} stopped; the bytes of the store are {same}")


if __name__ == "__main__":
    main()
