"""What leaves a store on purpose: solutions, scores, posteriors, detections, datasets, each in one transaction.

Rows go, the run that made them stays in the log as ``dropped``, and so does every answer of a person: an answer whose
cells are gone is listed as unattached, and found again by its place when the movie comes back. Numbers are never given
again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from ..errors import StoreExistsError, StoreLockedError
from . import catalogue, tables
from .catalogue import the_one
from .choosing import the_set
from .leases import is_held, lease_name
from .posteriors import posteriors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from .catalogue import DetectionSet

DROPPED: Final = "dropped"  # state of a run whose rows are gone


class Kind(StrEnum):
    """What can be dropped."""

    SOLUTION = "solution"
    SCORES = "scores"
    POSTERIOR = "posterior"
    DETECTIONS = "detections"
    DATASET = "dataset"


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """One thing that a store holds under a name.

    Parameters
    ----------
    kind : Kind
        What it is.
    name : str
        Its name.
    id : int
        Its number: of scores that of their run.
    run_id : int
        The run that made it.
    """

    kind: Kind
    name: str
    id: int
    run_id: int

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes together.

    Parameters
    ----------
    part : Part
        What is to be dropped.
    dataset, detections : str
        Its dataset, and the detection set by which it was found.
    dependents : tuple of Part
        What hangs on it, and cannot stay without it.
    sets : tuple of int
        Numbers of the detection sets that go with it; empty unless it is one or a dataset.
    rows : dict of str to int
        How many rows of each table go; tables that lose none are left out.
    """

    part: Part
    dataset: str
    detections: str
    dependents: tuple[Part, ...]
    sets: tuple[int, ...]
    rows: dict[str, int]

    @property
    def parts(self) -> tuple[Part, ...]:
        """All that goes."""
        return (*self.dependents, self.part)


def plan_drop(
    connection: sa.Connection, kind: Kind, name: str, dataset: str | None = None, detections: str | None = None
) -> Plan:
    """Find what is named, and all that hangs on it.

    Parameters
    ----------
    connection : sa.Connection
        The tables.
    kind : Kind
        What is to be dropped.
    name : str
        Its name.
    dataset, detections : str or None
        Of which movie, and of which of its detection sets scores are.

    Raises
    ------
    MissingRowsError
        If there is none of that name.
    StoreExistsError
        If it is the only detections of a dataset, which cannot be without.
    """
    if kind is Kind.DATASET:
        sets = catalogue.detection_sets(connection)  # unfinished ones too
        first = the_one({s.movie.name: s for s in reversed(sets)}, name, "dataset")
        whole = [s for s in sets if s.dataset_id == first.dataset_id]
        run_id = connection.execute(
            sa.select(tables.dataset.c.run_id).where(tables.dataset.c.dataset_id == first.dataset_id)
        ).scalar_one()
        part, gone = Part(kind, name, first.dataset_id, run_id), tuple(s.id for s in whole)
    else:
        sets = catalogue.detection_sets(connection, tables.run.c.state == "done")
        first = the_set(sets, dataset, detections if kind is Kind.SCORES else None)
        whole = [s for s in sets if s.dataset_id == first.dataset_id]
        part = _named(connection, kind, name, first, whole)
        gone = (part.id,) if kind is Kind.DETECTIONS else ()
    dependents = _dependents(connection, part, gone, [s.id for s in whole])
    draft = Plan(part, first.movie.name, first.name, dependents, gone, {})
    rows = {table.name: _count(connection, table, where) for table, where in _doomed(draft)}
    return replace(draft, rows={name: n for name, n in rows.items() if n})


def _named(
    connection: sa.Connection, kind: Kind, name: str, first: DetectionSet, whole: Sequence[DetectionSet]
) -> Part:
    """Return the part of a dataset that has a name."""
    in_sets = [s.id for s in whole]
    known: dict[str, Part]
    if kind is Kind.SOLUTION:
        found = catalogue.solutions(connection, tables.solution.c.set_id.in_(in_sets))
        known = {s.name: Part(kind, s.name, s.id, s.run_id) for s in found}
    elif kind is Kind.POSTERIOR:
        made = posteriors(connection, tables.posterior.c.set_id.in_(in_sets))
        known = {p.name: Part(kind, p.name, p.id, p.run_id) for p in made}
    elif kind is Kind.SCORES:
        known = {part.name: part for part in _scores(connection, [first.id])}
    else:
        s = tables.detection_set
        made_by = connection.execute(sa.select(s.c.set_id, s.c.run_id).where(s.c.set_id.in_(in_sets)))
        runs = {row.set_id: row.run_id for row in made_by}
        known = {s.name: Part(kind, s.name, s.id, runs[s.id]) for s in whole}
        if len(whole) == 1 and name in known:
            movie = first.movie.name
            raise StoreExistsError(
                f"detections {name} are the only ones of dataset {movie}, which cannot be without",
                **{"try": f"trackdb drop STORE dataset {movie}"},
            )
    return the_one(known, name, kind.value)


def _scores(connection: sa.Connection, sets: Sequence[int]) -> list[Part]:
    r = tables.run
    runs = catalogue.runs(connection, r.c.kind == "score", r.c.state == "done", r.c.set_id.in_(sets))
    return [Part(Kind.SCORES, run.name, run.id, run.id) for run in runs]


def _dependents(connection: sa.Connection, part: Part, gone: Sequence[int], in_sets: Sequence[int]) -> tuple[Part, ...]:
    """Return what hangs on a part: what was made of it, and what was made of that."""
    r = tables.run
    finished = {run.id: run for run in catalogue.runs(connection, r.c.state == "done")}
    solutions = catalogue.solutions(connection, tables.solution.c.set_id.in_(in_sets))
    weighed = posteriors(connection, tables.posterior.c.set_id.in_(in_sets))
    scores: list[Part] = []
    if part.kind in (Kind.DETECTIONS, Kind.DATASET):
        scores = _scores(connection, gone)
        solutions = [s for s in solutions if s.set_id in gone]
        weighed = [p for p in weighed if p.set_id in gone]
    elif part.kind is Kind.SCORES:
        of_set = finished[part.run_id].set_id
        by_it = {i for i, run in finished.items() if run.set_id == of_set and run.params.get("scores") == part.name}
        solutions = [s for s in solutions if s.run_id in by_it]
        weighed = [p for p in weighed if p.run_id in by_it or p.solution_id in {s.id for s in solutions}]
    else:
        solutions = []
        weighed = [p for p in weighed if part.kind is Kind.SOLUTION and p.solution_id == part.id]
    return (
        *(Part(Kind.POSTERIOR, p.name, p.id, p.run_id) for p in weighed),
        *(Part(Kind.SOLUTION, s.name, s.id, s.run_id) for s in solutions),
        *scores,
    )


def staying(connection: sa.Connection, plan: Plan, cells: Sequence[int]) -> set[int]:
    """Return those of some cells of the dataset that a plan leaves."""
    s, d = tables.detection_set, tables.detection
    of_movie = sa.select(tables.dataset.c.dataset_id).where(tables.dataset.c.name == plan.dataset)
    others = sa.select(s.c.set_id).where(s.c.dataset_id.in_(of_movie), s.c.set_id.not_in(plan.sets))
    return set(connection.execute(sa.select(d.c.det_id).where(d.c.set_id.in_(others), d.c.det_id.in_(cells))).scalars())


def _count(connection: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool]) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(table).where(where)).scalar_one())


def _doomed(plan: Plan) -> list[tuple[sa.Table, sa.ColumnElement[bool]]]:
    """Return which rows of which tables go, those that others are found by last."""
    t = tables
    posterior, solution, scores = (
        [part.id for part in plan.parts if part.kind is kind] for kind in (Kind.POSTERIOR, Kind.SOLUTION, Kind.SCORES)
    )
    doomed: list[tuple[sa.Table, sa.ColumnElement[bool]]] = []
    if posterior:
        by_posterior = (t.edge_probability, t.cell_outcome, t.posterior)
        doomed += [(table, table.c.posterior_id.in_(posterior)) for table in by_posterior]
    if solution:
        by_solution = (t.solution_node, t.solution_edge, t.solution_dual, t.track, t.solution)
        doomed += [(table, table.c.solution_id.in_(solution)) for table in by_solution]
    if scores:
        doomed += [(table, table.c.run_id.in_(scores)) for table in (t.edge_score, t.mode)]
    arrays: list[sa.ColumnElement[bool]] = [t.array_ref.c.run_id.in_(scores)]  # embeddings
    if plan.sets:
        cells = sa.select(t.detection.c.det_id).where(t.detection.c.set_id.in_(plan.sets))
        by_cell = (t.detection_feature, t.detection_intensity, t.detection_property)
        doomed += [(table, table.c.det_id.in_(cells)) for table in by_cell]
        by_set = (t.conflict, t.edge, t.detection, t.detection_set)
        doomed += [(table, table.c.set_id.in_(plan.sets)) for table in by_set]
    if plan.part.kind is Kind.DETECTIONS:  # the images came with the dataset, and stay
        arrays.append(
            sa.and_(
                t.array_ref.c.run_id == plan.part.run_id,
                t.array_ref.c.run_id.not_in(sa.select(t.dataset.c.run_id)),
            )
        )
    if plan.part.kind is Kind.DATASET:
        arrays.append(t.array_ref.c.dataset_id == plan.part.id)
        doomed.append((t.dataset, t.dataset.c.dataset_id == plan.part.id))
    return [*doomed, (t.array_ref, sa.or_(*arrays))]


def delete(connection: sa.Connection, store: Path, plan: Plan) -> None:
    """Delete the rows of a plan, and say so in the log of runs.

    Parameters
    ----------
    connection : sa.Connection
        A transaction in which the plan was made.
    store : Path
        Folder of the store.
    plan : Plan
        What goes.

    Raises
    ------
    StoreLockedError
        If a living process is at work on the same detections.
    """
    require_nobody_at_work(connection, store, plan)
    for table, where in _doomed(plan):
        connection.execute(sa.delete(table).where(where))
    r = tables.run
    own = [part.run_id for part in plan.parts if part.kind is not Kind.DATASET and part.kind is not Kind.DETECTIONS]
    of_ingests = r.c.kind == "ingest"  # a truth came with its movie, which stays
    gone = sa.or_(sa.and_(r.c.run_id.in_(own), ~of_ingests), r.c.set_id.in_(plan.sets))
    connection.execute(sa.update(r).where(gone, r.c.state != "failed").values(state=DROPPED))


def require_nobody_at_work(connection: sa.Connection, store: Path, plan: Plan) -> None:
    """Raise StoreLockedError if a living process works on the detections that a plan is about."""
    r = tables.run
    sets = plan.sets or tuple(_sets_of(connection, plan.part))
    for run in catalogue.runs(connection, r.c.state == "pending", r.c.set_id.in_(sets)):
        if is_held(store, lease_name(run.id)):
            raise StoreLockedError(
                f"{store}: {run.kind} {run.name} is at work on the same detections",
                **{"held by": run.process, "try": "wait for it to end"},
            )


def _sets_of(connection: sa.Connection, part: Part) -> Iterable[int]:
    r = tables.run
    table = {Kind.SOLUTION: tables.solution, Kind.POSTERIOR: tables.posterior}.get(part.kind)
    if table is None:
        return connection.execute(sa.select(r.c.set_id).where(r.c.run_id == part.run_id)).scalars()
    return connection.execute(sa.select(table.c.set_id).where(table.c.run_id == part.run_id)).scalars()
