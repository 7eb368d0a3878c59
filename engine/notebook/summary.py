"""A store and a solution at a glance, for a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...errors import TrackdbError
from ...storage import catalogue
from ...storage.html import Markup, fitting, html_card, html_line, html_table
from ...storage.plain import plural
from ...storage.posteriors import posteriors
from ..contents import contents_of

if TYPE_CHECKING:
    from ...storage.catalogue import DetectionSet, SolutionInfo
    from ...storage.duckdb_store import DuckDBStore
    from ..contents import Contents

MOST_ROWS: Final = 20  # of each table
DATASETS: Final = ("dataset", "frames", "cells", "size", "voxel um", "interval s", "pixels", "candidates")
SOLUTIONS: Final = ("solution", "dataset", "linker", "links", "tracks", "divisions", "cost", "proven optimal")
POSTERIORS: Final = ("posterior", "of solution", "method", "temperature", "calibrated")


def store_html(store: DuckDBStore) -> str:
    """Return what a store holds; where it cannot be read, why."""
    try:
        contents = contents_of(store)
        weighed = [row for _, row in _posteriors(store)]
    except TrackdbError as error:
        return html_card(f"trackdb store {store.path}", html_line(str(error)))

    def made(shown: int) -> str:
        tables = (
            (DATASETS, contents.dataset_rows()),
            (SOLUTIONS, contents.solution_rows()),
            (POSTERIORS, weighed),
        )
        parts = [_first(columns, rows, shown) for columns, rows in tables if rows]
        return html_card(f"trackdb store {contents.path}", *parts, html_line(_facts(contents)))

    return fitting(made, MOST_ROWS)


def solution_html(store: DuckDBStore, chosen: DetectionSet, info: SolutionInfo, counts: dict[str, int]) -> str:
    """Return what a solution is, and what it consists of.

    Parameters
    ----------
    store, chosen, info
        The solution.
    counts : dict of str to int
        Things that it consists of, by name.
    """
    facts: dict[str, object] = {"dataset": chosen.movie.name, "by": info.linker, **counts}
    if info.objective is not None:
        facts |= {"cost": info.objective, "no cheaper than": info.lower_bound, "proven optimal": info.proven}
    sure = [row for solution, row in _posteriors(store) if solution == info.id]
    parts = [_first(POSTERIORS, sure, MOST_ROWS)] if sure else []
    return html_card(f"solution {info.name}", html_table(list(facts), [list(facts.values())]), *parts)


def _posteriors(store: DuckDBStore) -> list[tuple[int, list[object]]]:
    """Return a row for people for each posterior, with the number of its solution."""
    with store.reading() as connection:
        named = {info.id: info.name for info in catalogue.solutions(connection)}
        found = [info for info in posteriors(connection) if info.solution_id in named]
    return [(p.solution_id, [p.name, named[p.solution_id], p.method, p.temperature, p.calibrated]) for p in found]


def _first(columns: tuple[str, ...], rows: list[list[object]], shown: int) -> Markup:
    """Return the first rows as a table, and how many more there are."""
    more = f"and {len(rows) - shown} more" if len(rows) > shown else ""
    return Markup(html_table(columns, rows[:shown]) + (html_line(more) if more else ""))


def _facts(contents: Contents) -> str:
    said = [plural(contents.annotations, "annotation"), f"{contents.bytes / 1e6:,.1f} MB"]
    return ", ".join([*said, *(f"unfinished: {run}" for run in contents.unfinished[:3])])
