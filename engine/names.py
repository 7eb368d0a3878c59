"""What was done already to some detections, and names that are free."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConfigError, MissingRowsError, StoreExistsError
from ..storage import tables
from ..storage.posteriors import posterior_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..storage.catalogue import DetectionSet, RunInfo
    from ..storage.duckdb_store import DuckDBStore


LONGEST_NAME = 200  # letters; names stand in tables, and in names of files and columns of exports


def require_name(name: str) -> None:
    """Raise ConfigError unless a name can be shown, and be asked for again."""
    if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        shown = repr(name if len(name) <= LONGEST_NAME else name[:40] + "...")
        wanted = f"1 to {LONGEST_NAME} letters that can be seen"
        raise ConfigError(f"{shown} cannot be a name", expected=wanted, **{"try": "another --name"})


def linked(store: DuckDBStore, chosen: DetectionSet) -> bool:
    """Return whether the detection set was linked."""
    return bool(done(store, chosen, "link"))


def linked_gap(store: DuckDBStore, chosen: DetectionSet) -> int:
    """Return over how many missing frames the detection set was linked, -1 if it was not."""
    return max((int(run.params["max_gap"]) for run in done(store, chosen, "link")), default=-1)


def require_linked(store: DuckDBStore, chosen: DetectionSet) -> None:
    """Raise MissingRowsError unless the detection set was linked, or a table or a model brought candidates."""
    if not linked(store, chosen) and not store.count_candidates(chosen):
        raise MissingRowsError(
            f"{store.path} has no candidates yet",
            **{"try": f"trackdb link {store.path}, or trackdb solve {store.path}, which links first"},
        )


def named_scores(store: DuckDBStore, chosen: DetectionSet, name: str) -> RunInfo:
    """Return the score run of that name, or raise MissingRowsError."""
    known = {run.name: run for run in done(store, chosen, "score")}
    if name not in known:
        raise MissingRowsError(f"there are no scores named {name}", known=", ".join(known) or "none")
    return known[name]


def done(store: DuckDBStore, chosen: DetectionSet, kind: str) -> list[RunInfo]:
    """Return the finished runs of a kind over some detections, oldest first."""
    r = tables.run
    return store.runs(r.c.kind == kind, r.c.set_id == chosen.id, r.c.state == "done")


def free_score_name(store: DuckDBStore, chosen: DetectionSet, asked: str | None, scorer: str) -> str:
    """Return the name for new scores: the one asked for, else the scorer's with a number where it is taken."""
    taken = {run.name for run in done(store, chosen, "score")}
    if asked is not None:
        require_name(asked)
        if asked in taken:
            raise StoreExistsError(f"there are already scores named {asked}", **{"try": "another --name"})
        return asked
    return next(n for n in _numbered(scorer, first_bare=True) if n not in taken)


def free_solution_name(store: DuckDBStore, chosen: DetectionSet, asked: str | None, linker: str) -> str:
    """Return the name for a new solution: the one asked for, else the linker's with a number."""
    with store.looking():
        at_work = {run.name for run, alive in store.unfinished() if alive and run.kind == "solve"}
        taken = store.solution_names(chosen)
    if asked is not None:
        require_name(asked)
        if asked in taken:
            raise StoreExistsError(f"there is already a solution named {asked}", **{"try": "another --name"})
        return asked
    return next(n for n in _numbered(linker) if n not in taken | at_work)


def free_posterior_name(store: DuckDBStore, chosen: DetectionSet, asked: str | None) -> str:
    """Return the name for a new posterior: the one asked for, else ``posterior`` with a number."""
    with store.looking():
        at_work = {run.name for run, alive in store.unfinished() if alive and run.kind == "posterior"}
        taken = posterior_names(store, chosen)
    if asked is not None:
        require_name(asked)
        if asked in taken:
            raise StoreExistsError(f"there is already a posterior named {asked}", **{"try": "another --name"})
        return asked
    return next(n for n in _numbered("posterior") if n not in taken | at_work)


def _numbered(word: str, *, first_bare: bool = False) -> Iterator[str]:
    """Yield ``word-1``, ``word-2``, ...; the first without its number if asked."""
    number = 1
    while True:
        yield word if first_bare and number == 1 else f"{word}-{number}"
        number += 1
