"""What the data model promises of every store: queries that return a row for each time a promise is broken.

Each row tells in `owner` the number of what it belongs to, so that a problem can be named with what is to be done. Some
breaches can be mended without loss: rows that stand twice as a whole, rows that no view can reach, numbers that follow
from others. What a promise costs is one pass over its tables; the labels of solutions and the outcomes of posteriors
are looked at elsewhere, in arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from . import tables


class Owner(StrEnum):
    """Whose rows break a promise, if they do."""

    DATASET = "dataset"
    DETECTIONS = "detections"
    SCORES = "scores"
    SOLUTION = "solution"
    POSTERIOR = "posterior"
    NOBODY = ""


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise.

    Parameters
    ----------
    what : str
        What is wrong where it is broken.
    of : Owner
        What `owner` is the number of.
    query : str
        Returns a row with a column `owner` for each breach.
    mending : str
        Statement that mends what can be mended of it; empty where nothing can.
    mended : str
        What that does, in words.
    quick : str
        Counts rows as a sign: where it counts none the promise holds, and `query` need not be asked. Empty where there
        is no such short cut.
    """

    what: str
    of: Owner
    query: str
    mending: str = ""
    mended: str = ""
    quick: str = ""


def _twice(what: str, of: Owner, table: str, key: str, owner: str = "null") -> Promise:
    """Return the promise that a key stands once; rows that are the same as a whole are mended."""
    columns = ", ".join(f'"{name}"' for name in tables.metadata.tables[table].columns.keys())  # noqa: SIM118
    return Promise(
        what,
        of,
        f"select any_value({owner}) as owner from {table} group by {key} having count(*) > 1",
        f"""delete from {table} where rowid in (
            select twin from (select rowid as twin, row_number() over (partition by {columns} order by rowid) as k
                from {table}) where k > 1)""",
        "one of the equal rows was kept",
        f"""select count(*) from (
            select {key}, {", ".join(f"lag({k}) over () as before_{k}" for k in key.split(", "))} from {table}
        ) where {_not_above(key.split(", "))}""",
    )


def _not_above(keys: list[str]) -> str:
    """Return the condition that a row is not above the one before it: rows that all are stand in order, and once."""
    first, *rest = keys
    if not rest:
        return f"{first} <= before_{first}"
    return f"{first} < before_{first} or ({first} = before_{first} and ({_not_above(rest)}))"


def _unreachable(
    what: str, table: str, key: str, target: str, of: Owner = Owner.NOBODY, owner: str = "null"
) -> Promise:
    """Return the promise that rows belong to something that is there; those that no view shows are removed."""
    return Promise(
        what,
        of,
        f"select {owner} as owner from {table} where {key} not in (select {key} from {target})",
        f"delete from {table} where {key} not in (select {key} from {target})",
        "the rows, which nothing shows, were removed",
    )


def _dangling(what: str, of: Owner, table: str, key: str, target: str, owner: str) -> Promise:
    """Return the promise that rows refer to something that is there; what is lost cannot be mended."""
    return Promise(what, of, f"select {owner} as owner from {table} anti join {target} using ({key})")


OF_DETECTIONS: Final = (
    _twice("a detection stands twice", Owner.DETECTIONS, "detection", "det_id", "set_id"),
    Promise(
        "a label stands twice in a frame",
        Owner.DETECTIONS,
        "select set_id as owner from detection group by set_id, t, label having count(*) > 1",
    ),
    Promise(
        "a detection has no place",
        Owner.DETECTIONS,
        """select set_id as owner from detection
            where not isfinite(y) or not isfinite(x) or not isfinite(coalesce(z, 0))""",
    ),
    Promise(
        "a detection stands outside of the frames of its movie",
        Owner.DETECTIONS,
        """select set_id as owner from detection c join detection_set s using (set_id) join dataset d using (dataset_id)
            where c.t < 0 or c.t >= d.n_frames""",
    ),
    Promise(
        "detections are not numbered in the order of their frames",
        Owner.DETECTIONS,
        """select set_id as owner from (
            select set_id, min(det_id) as first, lag(max(det_id)) over (partition by set_id order by t) as before
            from detection group by set_id, t) where first <= before""",
    ),
    _dangling("a detection belongs to no set", Owner.NOBODY, "detection", "set_id", "detection_set", "null"),
    _twice("the features of a detection stand twice", Owner.NOBODY, "detection_feature", "det_id"),
    _unreachable("features belong to no detection", "detection_feature", "det_id", "detection"),
    Promise(
        "a box holds no pixel",
        Owner.NOBODY,
        """select null as owner from detection_feature
            where bbox_y0 >= bbox_y1 or bbox_x0 >= bbox_x1 or coalesce(bbox_z0 >= bbox_z1, false)""",
    ),
    _twice("an intensity stands twice", Owner.NOBODY, "detection_intensity", "det_id, channel"),
    _unreachable("an intensity belongs to no detection", "detection_intensity", "det_id", "detection"),
    Promise(
        "an intensity lies outside of its bounds",
        Owner.NOBODY,
        """select null as owner from detection_intensity
            where min > max or mean < min - 1e-6 * abs(min) or mean > max + 1e-6 * abs(max)""",
    ),
    _twice("a property stands twice", Owner.NOBODY, "detection_property", "det_id, name"),
    _unreachable("a property belongs to no detection", "detection_property", "det_id", "detection"),
    Promise(
        "a property is neither a number nor a text",
        Owner.NOBODY,
        "select null as owner from detection_property where (value is null) = (text is null)",
    ),
    Promise(
        "a conflict is not between two detections that are there",
        Owner.DETECTIONS,
        """select set_id as owner from conflict where det_a = det_b
            or det_a not in (select det_id from detection) or det_b not in (select det_id from detection)""",
    ),
)

OF_CANDIDATES: Final = (
    _twice("a candidate stands twice", Owner.DETECTIONS, "edge", "source, target", "set_id"),
    _twice("the number of a candidate stands twice", Owner.DETECTIONS, "edge", "edge_id", "set_id"),
    Promise(
        "a candidate ties a detection that is not there",
        Owner.DETECTIONS,
        """select set_id as owner from edge e where not exists (select 1 from detection d where d.det_id = e.source)
            or not exists (select 1 from detection d where d.det_id = e.target)""",
    ),
    Promise(
        "a candidate does not run forward in time",
        Owner.DETECTIONS,
        "select set_id as owner from edge where dt < 1 or source >= target",
    ),
    Promise(
        "a candidate does not fit the frames of its detections",
        Owner.DETECTIONS,
        """select e.set_id as owner from edge e join detection a on a.det_id = e.source
            join detection b on b.det_id = e.target
            where e.dt >= 1 and (e.t <> a.t or e.dt <> b.t - a.t or e.set_id <> a.set_id or e.set_id <> b.set_id)""",
    ),
    Promise(
        "a candidate has no length",
        Owner.DETECTIONS,
        "select set_id as owner from edge where not isfinite(distance) or distance < 0",
    ),
)

OF_SCORES: Final = (
    _dangling("a score belongs to no candidate", Owner.SCORES, "edge_score", "edge_id", "edge", "run_id"),
    _unreachable("a score belongs to no run", "edge_score", "run_id", "run"),
    _twice("a score stands twice", Owner.SCORES, "edge_score", "run_id, edge_id", "run_id"),
    Promise(
        "a score is not a number",
        Owner.SCORES,
        "select run_id as owner from edge_score where score is null or isnan(score)",
    ),
)

OF_SOLUTIONS: Final = (
    Promise(
        "a solution belongs to no detections",
        Owner.SOLUTION,
        "select solution_id as owner from solution anti join detection_set using (set_id)",
    ),
    *(
        _unreachable(f"{rows} belong to no solution", table, "solution_id", "solution")
        for table, rows in (
            ("solution_node", "cells"),
            ("solution_edge", "links"),
            ("solution_dual", "prices"),
            ("track", "tracks"),
        )
    ),
    _twice("a cell of a solution stands twice", Owner.SOLUTION, "solution_node", "solution_id, det_id", "solution_id"),
    _twice("a link of a solution stands twice", Owner.SOLUTION, "solution_edge", "solution_id, edge_id", "solution_id"),
    _twice("a price of a solution stands twice", Owner.SOLUTION, "solution_dual", "solution_id, det_id", "solution_id"),
    _dangling(
        "a cell of a solution is no detection", Owner.SOLUTION, "solution_node", "det_id", "detection", "solution_id"
    ),
    _dangling(
        "a link of a solution is no candidate", Owner.SOLUTION, "solution_edge", "edge_id", "edge", "solution_id"
    ),
    Promise(
        "a cell of a solution has two parents",
        Owner.SOLUTION,
        """select l.solution_id as owner from (select distinct solution_id, edge_id, kind from solution_edge) l
            join edge e using (edge_id) where l.kind < 2 group by l.solution_id, e.target having count(*) > 1""",
    ),
    Promise(
        "a cell of a solution has more than two daughters",
        Owner.SOLUTION,
        """select l.solution_id as owner from (select distinct solution_id, edge_id, kind from solution_edge) l
            join edge e using (edge_id) join solution s using (solution_id)
            where l.kind < 2 and s.objective is not null  -- an imported tracking may tell of three
            group by l.solution_id, e.source having count(*) > 2""",
    ),
    Promise(
        "a link ties what is not a cell of its solution",
        Owner.SOLUTION,
        """with ends as (
            select l.solution_id, unnest([e.source, e.target]) as det_id
            from solution_edge l join edge e using (edge_id)
        ) select solution_id as owner from ends anti join solution_node using (solution_id, det_id)""",
    ),
    Promise(
        "a solution is cheaper than its own bound",
        Owner.SOLUTION,
        "select solution_id as owner from solution where objective < lower_bound - 1e-6",
    ),
    Promise(
        "two solutions of a dataset have one name",
        Owner.SOLUTION,
        """select max(solution_id) as owner from solution s join detection_set n using (set_id) join run r
            on r.run_id = s.run_id where r.state = 'done' group by n.dataset_id, s.name having count(*) > 1""",
    ),
)

OF_POSTERIORS: Final = (
    Promise(
        "a posterior belongs to no solution",
        Owner.POSTERIOR,
        "select posterior_id as owner from posterior anti join solution using (solution_id)",
    ),
    _unreachable("a probability belongs to no posterior", "edge_probability", "posterior_id", "posterior"),
    _unreachable("an outcome belongs to no posterior", "cell_outcome", "posterior_id", "posterior"),
    Promise(
        "a posterior has a temperature that is not above 0",
        Owner.POSTERIOR,
        "select posterior_id as owner from posterior where not (isfinite(temperature) and temperature > 0)",
    ),
    _twice("a probability stands twice", Owner.POSTERIOR, "edge_probability", "posterior_id, edge_id", "posterior_id"),
    _dangling(
        "a probability belongs to no candidate", Owner.POSTERIOR, "edge_probability", "edge_id", "edge", "posterior_id"
    ),
    Promise(
        "a probability is not between 0 and 1",
        Owner.POSTERIOR,
        """with told as (
            select posterior_id, probability as p from edge_probability
            union all select posterior_id, probability from cell_outcome
        ) select posterior_id as owner from told where not isfinite(p) or p < 0 or p > 1 + 1e-5""",
    ),
    Promise(
        "a probability does not say how it was got",
        Owner.POSTERIOR,
        """with told as (
            select posterior_id, how, error from edge_probability
            union all select posterior_id, how, error from cell_outcome
        ) select posterior_id as owner from told
            where how not in ('exact', 'pruned', 'belief', 'sampled') or not coalesce(error, 0) >= 0""",
    ),
    Promise(
        "the mothers of a cell are together likelier than 1",
        Owner.POSTERIOR,
        """select posterior_id as owner from edge_probability join edge using (edge_id)
            group by posterior_id, target having sum(cast(probability as double)) > 1 + 1e-3""",
    ),
    _dangling(
        "an outcome belongs to no detection", Owner.POSTERIOR, "cell_outcome", "det_id", "detection", "posterior_id"
    ),
    Promise(
        "a posterior does not hold as many links as its run tells",
        Owner.POSTERIOR,
        """select p.posterior_id as owner from posterior p join run r using (run_id) left join (
                select posterior_id, count(*) as n from edge_probability group by posterior_id
            ) held using (posterior_id)
            where r.state = 'done' and try_cast(r.params ->> 'links' as bigint) <> coalesce(held.n, 0)""",
    ),
)

_COUNTED: Final = {
    "dataset": "dataset_id",
    "array_ref": "array_id",
    "run": "run_id",
    "detection_set": "set_id",
    "detection": "det_id",
    "edge": "edge_id",
    "solution": "solution_id",
    "posterior": "posterior_id",
}
FACTS: Final = ("schema_version", "oldest_reader", "commits", *(f"next_{table}" for table in _COUNTED))
"""What table `meta` has to tell, each a whole number from 1."""
_NUMBERS: Final = " union all ".join(
    f"select 'next_{table}' as key, max({key}) + 1 as next from {table}" for table, key in _COUNTED.items()
)

OF_THE_STORE: Final = (
    Promise(
        "a number counts as free that was given",
        Owner.NOBODY,
        f"select null as owner from ({_NUMBERS}) join meta using (key) where try_cast(value as bigint) < next",
        f"""update meta set value = cast(n.next as varchar) from ({_NUMBERS}) n
            where meta.key = n.key and try_cast(meta.value as bigint) < n.next""",
        "the next number to be given is above all that are there",
    ),
    Promise(
        "a run has no state that is known",
        Owner.NOBODY,
        """select null as owner from run where state not in ('pending', 'done', 'failed', 'dropped')
            or (state = 'done' and finished is null)""",
    ),
    Promise(
        "a dataset belongs to no run",
        Owner.DATASET,
        "select dataset_id as owner from dataset anti join run using (run_id)",
    ),
    Promise(
        "detections belong to no dataset or run",
        Owner.NOBODY,
        """select null as owner from detection_set
            where dataset_id not in (select dataset_id from dataset) or run_id not in (select run_id from run)""",
    ),
    Promise(
        "a dataset has no detections",
        Owner.DATASET,
        "select dataset_id as owner from dataset anti join detection_set using (dataset_id)",
    ),
    Promise(
        "pixels belong to no dataset",
        Owner.NOBODY,
        "select null as owner from array_ref anti join dataset using (dataset_id)",
        "delete from array_ref where dataset_id not in (select dataset_id from dataset)",
        "the rows, which nothing shows, were removed",
    ),
    Promise(
        "pixels are not named by their digest",
        Owner.DATASET,
        "select dataset_id as owner from array_ref where path <> 'arrays/' || sha256",
    ),
)

PROMISES: Final = (*OF_THE_STORE, *OF_DETECTIONS, *OF_CANDIDATES, *OF_SCORES, *OF_SOLUTIONS, *OF_POSTERIORS)
