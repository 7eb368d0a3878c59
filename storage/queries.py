"""What a biologist sees: views with one row per thing, and macros that walk a lineage.

The names and columns are the contract of the SQL interface. Every view shows finished runs alone. Positions are in
micrometres where the voxel size is known (``datasets.unit`` says which), ``t`` is the frame, ``time_s`` seconds where
the frame interval is known.
"""

from __future__ import annotations

from typing import Final

VIEWS: Final[dict[str, str]] = {
    "datasets": """
        select d.name as dataset, d.n_frames, d.ndim, d.unit, d.scale_z, d.scale_y, d.scale_x, d.frame_interval_s,
            d.shape, d.source
        from dataset d join run r using (run_id) where r.state = 'done'
    """,
    "cells": """
        select d.name as dataset, s.name as detections, c.det_id as cell, c.t, c.t * d.frame_interval_s as time_s,
            c.z * coalesce(d.scale_z, 1) as z, c.y * coalesce(d.scale_y, 1) as y, c.x * coalesce(d.scale_x, 1) as x,
            c.label, c.area, f.bbox_z0, f.bbox_y0, f.bbox_x0, f.bbox_z1, f.bbox_y1, f.bbox_x1
        from detection c join detection_set s using (set_id) join dataset d using (dataset_id)
            join run r on r.run_id = s.run_id left join detection_feature f on f.det_id = c.det_id
        where r.state = 'done'
    """,
    "candidates": """
        select d.name as dataset, s.name as detections, e.source, e.target, e.t, e.dt, e.distance
        from edge e join detection_set s using (set_id) join dataset d using (dataset_id)
        where e.candidate
    """,
    "scores": """
        select r.name as scores, e.source, e.target, v.score
        from edge_score v join run r using (run_id) join edge e using (edge_id) where r.state = 'done'
    """,
    "solutions": """
        select d.name as dataset, n.name as detections, s.name as solution, s.linker, s.objective, s.lower_bound,
            s.proven, r.finished, r.params
        from solution s join detection_set n using (set_id) join dataset d using (dataset_id)
            join run r on r.run_id = s.run_id where r.state = 'done'
    """,
    "links": """
        with newest as (
            select solution_id, max(posterior_id) as posterior_id
            from posterior p join run r on r.run_id = p.run_id where r.state = 'done' group by solution_id
        )
        select d.name as dataset, s.name as solution, e.source, e.target, e.t,
            ['continue', 'divide', 'merge'][l.kind + 1] as kind, p.probability
        from solution_edge l join solution s using (solution_id) join detection_set n using (set_id)
            join dataset d using (dataset_id) join run r on r.run_id = s.run_id join edge e on e.edge_id = l.edge_id
            left join newest w on w.solution_id = s.solution_id
            left join edge_probability p on p.posterior_id = w.posterior_id and p.edge_id = l.edge_id
        where r.state = 'done'
    """,
    "probabilities": """
        select p.name as posterior, e.source, e.target, v.probability, v.how
        from edge_probability v join posterior p using (posterior_id) join run r on r.run_id = p.run_id
            join edge e using (edge_id) where r.state = 'done'
    """,
    "outcomes": """
        select p.name as posterior, o.det_id as cell, o.rank, o.daughters, o.probability, o.how
        from cell_outcome o join posterior p using (posterior_id) join run r on r.run_id = p.run_id
        where r.state = 'done'
    """,
    "tracked": """
        select d.name as dataset, s.name as solution, v.det_id as cell, v.track_id as track,
            k.lineage_id as lineage, c.t, c.t * d.frame_interval_s as time_s, c.z * coalesce(d.scale_z, 1) as z,
            c.y * coalesce(d.scale_y, 1) as y, c.x * coalesce(d.scale_x, 1) as x, c.area
        from solution_node v join solution s using (solution_id) join detection_set n using (set_id)
            join dataset d using (dataset_id) join run r on r.run_id = s.run_id
            join track k on k.solution_id = v.solution_id and k.track_id = v.track_id
            join detection c on c.det_id = v.det_id
        where r.state = 'done'
    """,
    "tracks": """
        select d.name as dataset, s.name as solution, k.track_id as track, k.parent_id as parent,
            k.lineage_id as lineage, k.t_first as first_t, k.t_last as last_t, k.generation, k.n_children
        from track k join solution s using (solution_id) join detection_set n using (set_id)
            join dataset d using (dataset_id) join run r on r.run_id = s.run_id where r.state = 'done'
    """,
    "divisions": """
        select d.name as dataset, s.name as solution, v.track_id as track, e.source as cell, e.t,
            e.t * d.frame_interval_s as time_s, list(e.target order by e.target) as daughters
        from solution_edge l join edge e using (edge_id) join solution s using (solution_id)
            join detection_set n on n.set_id = s.set_id join dataset d using (dataset_id)
            join run r on r.run_id = s.run_id
            join solution_node v on v.solution_id = l.solution_id and v.det_id = e.source
        where r.state = 'done' and l.kind = 1
        group by d.name, s.name, v.track_id, e.source, e.t, d.frame_interval_s
    """,
    "annotations": """
        select a.dataset, a.det_id as cell, a.kind, a.who, a."at", a.daughters, a.shown, a.solution, a.posterior,
            a.blind, a.ms, a.key, a.undo_of
        from annotation a
    """,
}

# The solution of that name which holds the cell: names are unique in a dataset, cells in the store.
_SOLUTION_OF = """(
    select s.solution_id from solution s join run r using (run_id)
    where s.name = {solution} and r.state = 'done'
        and s.set_id = (select d.set_id from detection d where d.det_id = {cell})
)"""
_COLUMNS = "v.det_id as cell, v.track_id as track, c.t"


def _descendants(solution: str, cell: str) -> str:
    """Return the query for a cell and all that came of it.

    Interval labels make this one range scan: the cell's tracklet has number `pre`, its subtree ends at `last`, and
    ``solution_node`` is sorted by `pre`. The bounds are scalar subqueries, which DuckDB prunes by zone maps; a join
    would be five times slower.
    """
    sid = _SOLUTION_OF.format(solution=solution, cell=cell)
    pre = f"(select v.pre from solution_node v where v.solution_id = {sid} and v.det_id = {cell})"
    last = f"(select k.last from track k where k.solution_id = {sid} and k.pre = {pre})"
    born = f"(select c.t from detection c where c.det_id = {cell})"
    return f"""
        select {_COLUMNS} from solution_node v join detection c using (det_id)
        where v.solution_id = {sid} and v.pre between {pre} and {last} and (v.pre > {pre} or c.t >= {born})
    """


def _ancestors(solution: str, cell: str) -> str:
    """Return the query for a cell and all that it came from: the tracklets whose interval holds its number."""
    sid = _SOLUTION_OF.format(solution=solution, cell=cell)
    pre = f"(select v.pre from solution_node v where v.solution_id = {sid} and v.det_id = {cell})"
    seen = f"(select c.t from detection c where c.det_id = {cell})"
    return f"""
        select {_COLUMNS} from solution_node v join detection c using (det_id)
        where v.solution_id = {sid} and c.t <= {seen} and v.pre in (
            select k.pre from track k where k.solution_id = {sid} and k.pre <= {pre} and k.last >= {pre}
        )
    """


def macro_statements() -> list[str]:
    """Return the statements that make the table macros.

    The arguments end in an underscore: a macro's argument must not share a column's name.
    """
    down = _descendants("solution_", "cell_")
    up_a, up_b = _ancestors("solution_", "a_"), _ancestors("solution_", "b_")
    return [
        f"create or replace macro descendants(solution_, cell_) as table {down}",
        f"create or replace macro ancestors(solution_, cell_) as table {_ancestors('solution_', 'cell_')}",
        f"create or replace macro subtree(solution_, cell_, t0_, t1_) as table "
        f"select * from ({down}) where t between t0_ and t1_",
        f"create or replace macro mrca(solution_, a_, b_) as table "
        f"select * from ({up_a}) semi join ({up_b}) other using (cell) order by t desc limit 1",
        f"create or replace macro clone_size(solution_, cell_, t_) as table "
        f"select count(*) as cells from ({down}) where t = t_",
    ]


def view_statements() -> list[str]:
    """Return the statements that make the views."""
    return [f"create or replace view {name} as {body}" for name, body in VIEWS.items()]
