"""`trackdb sql` and `lineage`: ask the store."""

import sys
from io import BytesIO
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError
from ..storage.plain import as_table, plural
from .options import CELL, Dataset, Solution, Store, open_solution, open_store
from .parsing import parse_cell
from .view import Face, command

VIEWS = """select view_name as name, 'view' as kind from duckdb_views() where not internal union all
select function_name || '(' || list_aggregate(parameters, 'string_agg', ', ') || ')', 'macro'
from duckdb_functions() where not internal order by kind desc, name"""
SHOWN_ROWS = 1000  # of a table for people; files and --json get more
JSON_ROWS = 100_000
SHOWN_MB, JSON_MB = 16, 64  # of rows that become text all at once; CSV and Parquet are written bit by bit


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    for function in (sql, lineage):
        command(app)(function)


def sql(
    face: Face,
    store: Store,
    query: Annotated[
        str,
        typer.Argument(
            help="One SQL statement; - reads it from stdin; none lists views and macros.", show_default=False
        ),
    ] = VIEWS,
    csv: Annotated[bool, typer.Option("--csv", help="CSV on stdout.")] = False,
    parquet: Annotated[Path | None, typer.Option(help="Write the rows to this Parquet file.")] = None,
    param: Annotated[list[str] | None, typer.Option(help="Value of $NAME, as NAME=VALUE; repeatable.")] = None,
    timeout: Annotated[float, typer.Option(min=0.001, max=1e6, help="Seconds that the query may run.")] = 60.0,
    memory: Annotated[int, typer.Option(min=16, max=10**9, help="Memory for the query in megabytes.")] = 2000,
    limit: Annotated[
        int | None,
        typer.Option(
            min=0, help="Rows to return at the most; without it a table shows 1000, JSON 100000, CSV and Parquet all."
        ),
    ] = None,
) -> None:
    """Query lineages with SQL: read-only, no files, no network.

    Example: trackdb sql movie.trackdb "select t, count(*) n from cells group by t order by t"

    Example: trackdb sql movie.trackdb "from descendants('ilp-1', 17)" --csv
    """
    from ..storage.answers import write_csv, write_parquet
    from ..storage.sandbox import Limits, ask

    open_store(store, face.command)
    everything = csv or parquet is not None
    max_rows = limit if limit is not None or everything else JSON_ROWS if face.json else SHOWN_ROWS
    largest = None if everything else min(memory, JSON_MB if face.json else SHOWN_MB)
    text = read_stdin() if query == "-" else query
    answer = ask(store, text, parse_parameters(param or []), Limits(timeout, memory, max_rows, largest))
    columns = answer.rows.column_names
    more = ", and more" if answer.truncated else ""
    line = f"{plural(answer.rows.num_rows, 'row')}{more}, {answer.seconds:.2f} s"
    payload = {"columns": columns, "rows": [], "truncated": answer.truncated, "seconds": answer.seconds}
    if parquet is not None:
        write_parquet(answer, parquet)
        face.show("", f"{line}, written to {parquet}", payload)
    elif csv and not face.json and not on_terminal():
        write_csv(answer, sys.stdout.buffer)
        face.show("", line, payload)
    elif csv and not face.json:  # shown to a person, and so without what would steer the terminal
        written = BytesIO()
        write_csv(answer, written)
        face.show(written.getvalue().decode().rstrip("\n"), line, payload)
    else:
        rows = answer.rows_by_position()
        face.show(as_table(columns, rows) if columns else "", line, {**payload, "rows": rows})


def on_terminal() -> bool:
    """Return whether a person sees what is written to stdout."""
    return sys.stdout.isatty()


def read_stdin() -> str:
    """Return what stands on stdin, or raise ConfigError if it is closed or no text."""
    if sys.stdin is None:
        raise ConfigError("there is nothing on stdin", **{"try": "a query in place of -"})
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise ConfigError("what stands on stdin is no text", reason=str(error)) from None


def lineage(
    face: Face,
    store: Store,
    cell: Annotated[str, typer.Argument(help=CELL)],
    up: Annotated[bool, typer.Option("--up", help="Only where it came from.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Only what came of it.")] = False,
    format_: Annotated[str, typer.Option("--format", help="tree, newick or json.")] = "tree",
    dataset: Dataset = None,
    solution: Solution = None,
) -> None:
    """Show the lineage of a cell: its ancestors and descendants.

    Example: trackdb lineage movie.trackdb 17 --down --format newick

    Example: trackdb lineage movie.trackdb 3:8
    """
    from dataclasses import replace

    from ..engine.family import as_newick, as_text, family_of
    from ..storage.families import number_of

    if format_ not in ("tree", "newick", "json"):
        raise ConfigError(f"--format: unknown {format_!r}", expected="tree, newick or json")
    named = parse_cell(cell)  # before a store is opened for it
    opened, chosen, info = open_solution(store, dataset, solution, face.command)
    number = number_of(opened, chosen, named)
    family = family_of(opened, info, number, up=up or not down, down=down or not up)
    columns = (family.id.tolist(), family.frame.tolist(), family.track.tolist())
    payload = {
        "cell": number,
        "nodes": [{"cell": c, "t": t, "track": k} for c, t, k in zip(*columns, strict=True)],
        "edges": [list(ends) for ends in zip(family.source.tolist(), family.target.tolist(), strict=True)],
    }
    drawn = {"tree": as_text, "newick": as_newick}.get(format_)
    line = f"solution {info.name}: {plural(len(family.id), 'cell')} in {plural(len(family.branch), 'track')}"
    face = replace(face, json=face.json or format_ == "json")
    face.show(drawn(family) if drawn else "", line, payload)


def parse_parameters(texts: list[str]) -> dict[str, int | float | str | bool | None]:
    """Return ``NAME=VALUE`` texts as a mapping; a value that reads as a number is one."""
    parameters: dict[str, int | float | str | bool | None] = {}
    for text in texts:
        key, sep, value = text.partition("=")
        if not sep or not key.isidentifier():
            raise ConfigError(f"--param: cannot read {text!r}", expected="NAME=VALUE")
        parameters[key] = _number_or_text(value)
    return parameters


def _number_or_text(value: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value
