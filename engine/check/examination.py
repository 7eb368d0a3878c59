"""Everything that could be wrong with a store, looked at once: tables, pixels, the log of answers, work left undone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from ...errors import StoreDamagedError
from ...storage import catalogue, tables
from ...storage.arrays import ARRAYS, digest
from ...storage.commit_notes import loss, notes
from ...storage.commits import mending
from ...storage.connection import PATIENCE_S
from ...storage.decision_log import NO_DECISION, merged_decisions
from ...storage.decisions import MENDING
from ...storage.founding import GRAPH
from ...storage.log_files import read_log
from ...storage.migrations import fault_of_meta
from ...storage.posteriors import posteriors
from ...storage.promises import PROMISES, Owner, Promise
from ...storage.quarantine import unread_lines
from ...storage.strays import WRITE_ARRAYS, strays
from ...storage.within import require_own, strange_below
from ..progress import Progress, Silent
from .labels import LABELS, relabelled
from .outcomes import ORDER, broken_outcomes
from .problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ...storage.duckdb_store import DuckDBStore

COPY: Final = "restore the store from a copy"
NAMED: Final = 3  # things of which a problem tells the names
AGAIN: Final = {
    Owner.POSTERIOR: "trackdb drop STORE posterior {name}, then trackdb posterior",
    Owner.SOLUTION: "trackdb drop STORE solution {name} --with-dependents, then solve or import it again",
    Owner.SCORES: "trackdb drop STORE scores {name} --with-dependents, then score again",
    Owner.DETECTIONS: COPY,
    Owner.DATASET: COPY,
    Owner.NOBODY: COPY,
}
"""What helps where rows are wrong: what follows from others can be made again."""
NEWER: Final = "pip install --upgrade trackdb"
REPAIR: Final = "trackdb check STORE --repair"


def check(store: DuckDBStore, progress: Progress | None = None) -> list[Problem]:
    """Look at everything in a store and list what is wrong.

    Reading every column also reads the checksum of every block, so a damaged file shows.

    Raises
    ------
    StoreError
        If there is no store, the database cannot be opened at all, or it is not of this trackdb.
    """
    progress = progress or Silent()
    damaged = _damaged_meta(store)
    lost = [] if damaged else _lost_commits(store)
    damaged += _damaged_tables(store, progress, but=tables.meta.name if damaged else "")
    problems = [*_strangers(store), *damaged, *_broken_promises(store, progress, doubtful=bool(damaged))]
    problems += _strange_runs(store) + altered_arrays(store, progress)
    problems += _strays(store) + _unread_log(store) + _unfinished(store)
    return lost + [replace(problem, remedy=problem.remedy.replace("STORE", str(store.path))) for problem in problems]


def _damaged_meta(store: DuckDBStore) -> list[Problem]:
    """Look whether the store is one, and of this trackdb; where nothing but table `meta` is wrong, say that."""
    try:
        store.check_version(whole=False)
    except StoreDamagedError:
        wrong = fault_of_meta(store.path / GRAPH, patience_s=PATIENCE_S)
        if wrong is None:
            raise
        return [Problem(f"table {tables.meta.name} {wrong}", 1, COPY)]
    return []


def _strangers(store: DuckDBStore) -> list[Problem]:
    """Name links out of the store, pipes and devices, wherever they stand in it; none is opened."""
    problems = []
    for path in strange_below(store.path):
        try:
            require_own(path, store.path)
        except StoreDamagedError as error:
            problems.append(Problem(error.message, 1, error.details.get("try", COPY)))
    return problems


def _lost_commits(store: DuckDBStore) -> list[Problem]:
    """Compare what was committed with what the database knows of it."""
    noted = notes(store.path)  # before the counter, which may rise meanwhile
    lost = loss(noted, int(store.meta()["commits"]))
    return [] if lost is None else [Problem(f"the store has lost {lost}", 1, mending(store.path))]


def _damaged_tables(store: DuckDBStore, progress: Progress, *, but: str) -> list[Problem]:
    """Read every column of every table `but` one; after an error the database is opened anew: it answers no more."""
    left = [name for name in tables.metadata.tables if name != but]
    progress.start("blocks", len(left))
    problems = []
    while left:
        try:
            with store.reading() as connection:
                while left:
                    name = left.pop(0)
                    progress.advance()
                    told = f"select count(*), sum(cast(hash(t) as hugeint)) from {name} t"
                    connection.exec_driver_sql(told).one()
        except StoreDamagedError as error:
            reason = error.details.get("reason", error.message)
            problems.append(Problem(f"table {name} cannot be read: {reason}", 1, COPY))
    return problems


@dataclass(frozen=True, slots=True)
class _Breach:
    """A promise that is broken: what is wrong, of what, how often, whose rows they are, and whether that mends."""

    what: str
    of: Owner
    count: int
    owners: tuple[int, ...]
    mendable: bool


def _broken_promises(store: DuckDBStore, progress: Progress, *, doubtful: bool) -> list[Problem]:
    """Ask for every promise; with `doubtful` some tables cannot be read, and what asks for them is left out."""
    progress.start("tables", len(PROMISES) + 1)
    if doubtful:
        return [_told(breach, {}) for breach in _legible_breaches(store, progress)]
    with store.reading() as connection:
        return broken_promises(connection, progress)


def broken_promises(connection: sa.Connection, progress: Progress) -> list[Problem]:
    """List the promises that the tables break; `progress` is told of each that was asked for."""
    found = []
    for promise in PROMISES:
        found += _breaches(connection, promise)
        progress.advance()
    found += _of_labels(connection) + _of_outcomes(connection)
    progress.advance()
    names = owner_names(connection) if found else {}
    return [_told(breach, names) for breach in found]


def _breaches(connection: sa.Connection, promise: Promise) -> list[_Breach]:
    """Ask for one promise."""
    if promise.quick and not connection.exec_driver_sql(promise.quick).scalar_one():
        return []
    distinct = "list(distinct owner order by owner) filter (owner is not null)"
    count, owners = connection.exec_driver_sql(f"select count(*), {distinct} from ({promise.query})").one()
    return [_Breach(promise.what, promise.of, count, tuple(owners or ()), bool(promise.mending))] if count else []


def count_breaches(connection: sa.Connection, promise: Promise) -> int:
    """Count how often a promise is broken."""
    return sum(breach.count for breach in _breaches(connection, promise))


def _legible_breaches(store: DuckDBStore, progress: Progress) -> Iterator[_Breach]:
    for promise in PROMISES:
        try:
            with store.reading() as connection:
                yield from _breaches(connection, promise)
        except StoreDamagedError:  # the table is named already
            pass
        progress.advance()


def _of_labels(connection: sa.Connection) -> list[_Breach]:
    wrong = {}
    for info in catalogue.solutions(connection):
        made = relabelled(connection, info)
        if made is not None and made[1]:
            wrong[info.id] = made[1]
    return [_Breach(LABELS, Owner.SOLUTION, sum(wrong.values()), tuple(wrong), True)] if wrong else []


def _of_outcomes(connection: sa.Connection) -> list[_Breach]:
    wrong: dict[str, dict[int, int]] = {}
    for info in posteriors(connection):
        for what, n in broken_outcomes(connection, info).items():
            wrong.setdefault(what, {})[info.id] = n
    return [
        _Breach(what, Owner.POSTERIOR, sum(counts.values()), tuple(counts), what == ORDER)
        for what, counts in wrong.items()
    ]


def owner_names(connection: sa.Connection) -> dict[Owner, dict[int, str]]:
    """Return how things of a store are called, by their numbers."""
    t = tables
    columns = {
        Owner.DATASET: (t.dataset.c.dataset_id, t.dataset.c.name),
        Owner.DETECTIONS: (t.detection_set.c.set_id, t.detection_set.c.name),
        Owner.SCORES: (t.run.c.run_id, t.run.c.name),
        Owner.SOLUTION: (t.solution.c.solution_id, t.solution.c.name),
        Owner.POSTERIOR: (t.posterior.c.posterior_id, t.posterior.c.name),
    }
    return {of: dict(iter(connection.execute(sa.select(*pair)))) for of, pair in columns.items()}


def _told(breach: _Breach, names: Mapping[Owner, Mapping[int, str]]) -> Problem:
    """Return a breach as a problem, with what helps."""
    called = [names.get(breach.of, {}).get(number, f"number {number}") for number in breach.owners[:NAMED]]
    more = ", ..." if len(breach.owners) > NAMED else ""
    whose = f" ({breach.of} {', '.join(called)}{more})" if called and breach.of is not Owner.NOBODY else ""
    remedy = AGAIN[breach.of].format(name=called[0]) if called else COPY
    return Problem(breach.what + whose, breach.count, REPAIR if breach.mendable else remedy, breach.mendable)


def _strange_runs(store: DuckDBStore) -> list[Problem]:
    """Name the runs whose settings cannot be those that trackdb kept."""
    try:
        with store.reading() as connection:
            wrong = catalogue.strange_runs(connection)
    except StoreDamagedError:  # the table is named already
        return []
    return [Problem(what, 1, COPY) for what in wrong]


def altered_arrays(store: DuckDBStore, progress: Progress) -> list[Problem]:
    """Read all pixels once and compare their digests; content that serves twice is read once."""
    try:
        refs = {ref.path: ref for ref in store.all_arrays()}
    except StoreDamagedError:  # the table is named already
        return []
    progress.start("pixels", len(refs))
    problems = []
    for path, ref in refs.items():
        if path == f"{ARRAYS}/{ref.sha256}":  # else a promise names it, and it might lead anywhere
            wrong = _what_is_wrong(store.path / path, ref.sha256)
            problems += [Problem(f"the {ref.kind} in {path} {wrong}", 1, "restore the folder from a copy")] * bool(
                wrong
            )
        progress.advance()
    return problems


def _what_is_wrong(folder: Path, sha256: str) -> str:
    """Return in words what is wrong with the files of an array; empty where nothing is."""
    if not folder.is_dir():
        return "are missing"
    if any(strange_below(folder)):  # named already, and not to be opened
        return ""
    try:
        return "" if digest(folder)[0] == sha256 else "were altered"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"


def _unread_log(store: DuckDBStore) -> list[Problem]:
    """Name the lines of the log that nobody can read, and rows of its table."""
    try:
        unread = unread_lines(store.path)
    except StoreDamagedError as error:
        return [Problem(error.message, 1, MENDING)]
    if not unread:
        return _unlike_merged(store)
    return [
        Problem(f"{lines.file} line {_listed(lines.numbers)}: {lines.reason}", len(lines.numbers), NEWER)
        if lines.newer
        else Problem(
            f"{lines.file} line {_listed(lines.numbers)} is no decision: {lines.reason}",
            len(lines.numbers),
            MENDING,
            True,
        )
        for lines in unread
    ]


def _unlike_merged(store: DuckDBStore) -> list[Problem]:
    """Compare the log with what the table holds of it: each keeps the other from being altered unseen."""
    with store.reading() as connection:
        try:
            merged = {decision.key: decision for decision in merged_decisions(connection)}
        except StoreDamagedError as error:  # a table that cannot be read is named already
            reason = error.details.get("reason", "")
            return [Problem(f"{error.message}: {reason}", 1, COPY)] if error.message == NO_DECISION else []
    unlike = [d.key for d in read_log(store.path) if d != merged.get(d.key, d)]
    if not unlike:
        return []
    what = f"entries of the log are not those that were merged: {', '.join(unlike[:NAMED])}"
    return [Problem(what, len(unlike), "restore the file from a copy; until then what was merged counts")]


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:NAMED])) + (", ..." if len(numbers) > NAMED else "")


def _strays(store: DuckDBStore) -> list[Problem]:
    """Find arrays that no row refers to, and parts that no work waits for."""
    try:
        with store.reading() as connection:
            found = strays(connection, store.path)
    except StoreDamagedError:
        return []
    verb = {True: "nothing refers to", False: "nothing waits for"}
    return [Problem(f"{verb[path.startswith(ARRAYS)]} {path}", 1, f"{REPAIR} removes it", True) for path in found]


def _unfinished(store: DuckDBStore) -> list[Problem]:
    try:
        left = [run for run, alive in store.unfinished() if not alive]
    except StoreDamagedError:
        return []
    return [
        Problem(
            f"{run.kind} {run.name} was not finished by {run.process}",
            1,
            "give the same command again",
            run.kind not in WRITE_ARRAYS,
        )
        for run in left
    ]
