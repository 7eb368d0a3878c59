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
            c.label, c.area,
            case d.ndim when 2 then sqrt(4 * c.area / pi()) else cbrt(6 * c.area / pi()) end as equivalent_diameter,
            f.border_px as border, f.intensity_mean,
            f.bbox_z0, f.bbox_y0, f.bbox_x0, f.bbox_z1, f.bbox_y1, f.bbox_x1
        from detection c join detection_set s using (set_id) join dataset d using (dataset_id)
            join run r on r.run_id = s.run_id left join detection_feature f on f.det_id = c.det_id
        where r.state = 'done'
    """,
    "intensities": """
        select d.name as dataset, s.name as detections, i.det_id as cell, i.channel, i.mean, i.min, i.max
        from detection_intensity i join detection c using (det_id) join detection_set s using (set_id)
            join dataset d using (dataset_id) join run r on r.run_id = s.run_id
        where r.state = 'done'
    """,
    "properties": """
        select d.name as dataset, s.name as detections, p.det_id as cell, p.name, p.value, p.text
        from detection_property p join detection c using (det_id) join detection_set s using (set_id)
            join dataset d using (dataset_id) join run r on r.run_id = s.run_id
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
        select p.name as posterior, e.source, e.target, v.probability, v.how, v.error
        from edge_probability v join posterior p using (posterior_id) join run r on r.run_id = p.run_id
            join edge e using (edge_id) where r.state = 'done'
    """,
    "outcomes": """
        select p.name as posterior, o.det_id as cell, o.rank, o.daughters, o.probability, o.how, o.error
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
        with taken_back as (  -- from the newest undoing on: one that is itself undone takes nothing back
            select list_reduce(
                list([key, undo_of] order by "at" desc, seq desc, key desc),
                lambda found, undoing: case when list_contains(found, undoing[1]) then found
                    else list_append(found, undoing[2]) end,
                []::varchar[]
            ) as keys from annotation where undo_of is not null
        )
        select a.dataset, a.det_id as cell, a.kind, a.who, a."at", a.daughters, a.shown, a.solution, a.posterior,
            a.blind, a.ms, a.seq, a.key, a.undo_of, a.note, a.model,
            coalesce(list_contains((select keys from taken_back), a.key), false) as undone
        from annotation a
    """,
}

# A macro's arguments are put into its text as they are written, and may be columns of the query around it. They are
# named once, where no table is in sight, so that no column in here can be taken for one of them.
_ARGUMENTS = "with args as (select solution_ as the_solution, {cells})"
_SOLUTION = """
    one as (
        select s.solution_id as sid from solution s join run r using (run_id)
        where s.name = (select the_solution from args) and r.state = 'done'
            and s.set_id = (select d.set_id from detection d where d.det_id = (select {cell} from args))
    )"""
_PLACE = """
    {place} as (
        select v.pre as own, c.t as born from solution_node v join detection c on c.det_id = v.det_id
        where v.solution_id = (select sid from one) and v.det_id = (select {cell} from args)
    )"""
# The bounds are scalar subqueries, which DuckDB prunes by zone maps: `solution_node` is sorted by `pre`.
_DOWN = """
    select v.det_id as cell, v.track_id as track, c.t
    from solution_node v join detection c on c.det_id = v.det_id
    where v.solution_id = (select sid from one)
        and v.pre between (select own from place) and (
            select k.last from track k where k.solution_id = (select sid from one) and k.pre = (select own from place)
        )
        and (v.pre > (select own from place) or c.t >= (select born from place))"""
_UP = """
    select v.det_id as cell, v.track_id as track, c.t
    from solution_node v join detection c on c.det_id = v.det_id
    where v.solution_id = (select sid from one) and c.t <= (select born from {place}) and v.pre in (
        select k.pre from track k where k.solution_id = (select sid from one)
            and k.pre <= (select own from {place}) and k.last >= (select own from {place})
    )"""


def macro_statements() -> list[str]:
    """Return the statements that make the table macros.

    Interval labels make each of them one range scan: a cell's tracklet has number `pre` and its subtree ends at `last`.
    """
    arguments = _ARGUMENTS.format(cells="cell_ as the_cell")
    one = ",".join([arguments, _SOLUTION.format(cell="the_cell"), _PLACE.format(place="place", cell="the_cell")])
    during = one.replace("cell_ as the_cell", "cell_ as the_cell, t0_ as the_start, t1_ as the_end")
    at = one.replace("cell_ as the_cell", "cell_ as the_cell, t_ as the_time")
    two = ",".join(
        [
            _ARGUMENTS.format(cells="a_ as cell_a, b_ as cell_b"),
            _SOLUTION.format(cell="cell_a"),
            _PLACE.format(place="place_a", cell="cell_a"),
            _PLACE.format(place="place_b", cell="cell_b"),
        ]
    )
    up_a, up_b = _UP.format(place="place_a"), _UP.format(place="place_b")
    return [
        f"create or replace macro descendants(solution_, cell_) as table {one} {_DOWN}",
        f"create or replace macro ancestors(solution_, cell_) as table {one} {_UP.format(place='place')}",
        f"create or replace macro subtree(solution_, cell_, t0_, t1_) as table {during} {_DOWN} "
        "and c.t between (select the_start from args) and (select the_end from args)",
        f"create or replace macro mrca(solution_, a_, b_) as table {two} "
        f"select * from ({up_a}) semi join ({up_b}) other using (cell) order by t desc limit 1",
        f"create or replace macro clone_size(solution_, cell_, t_) as table {at} "
        f"select count(*) as cells from ({_DOWN} and c.t = (select the_time from args))",
    ]


def view_statements() -> list[str]:
    """Return the statements that make the views."""
    return [f"create or replace view {name} as {body}" for name, body in VIEWS.items()]


# what `trackdb info` shows: everything counted
COUNTED_DATASETS: Final = """
    select d.name as dataset, n_frames as frames, unit, s.name as detections_name,
        (select count(*) from detection c where c.set_id = s.set_id) as detections,
        (select count(*) from edge e where e.set_id = s.set_id and e.candidate) as candidates,
        coalesce(replace(trim(cast(shape as varchar), '[]'), ', ', ' x '), 'points') as size,
        frame_interval_s, d.source, concat_ws(' x ', scale_z, scale_y, scale_x) as voxel_um,
        coalesce((select string_agg(trim(kind || ' ' || channel), ', ' order by array_id)
            from array_ref a where a.dataset_id = d.dataset_id), '') as pixels
    from dataset d join detection_set s using (dataset_id) join run r on r.run_id = s.run_id
    where r.state = 'done' order by d.dataset_id, s.set_id
"""
COUNTED_SOLUTIONS: Final = """
    select s.name as solution, d.name as dataset, s.linker, s.objective, s.lower_bound, s.proven, r.params,
        (select count(*) from solution_edge l where l.solution_id = s.solution_id) as links,
        (select count(*) from track k where k.solution_id = s.solution_id) as tracks,
        (select count(*) from track k where k.solution_id = s.solution_id and k.n_children > 1) as divisions
    from solution s join detection_set n using (set_id) join dataset d using (dataset_id)
        join run r on r.run_id = s.run_id where r.state = 'done' order by s.solution_id
"""
FINISHED_RUNS: Final = "select r.name from run r where r.kind = '{kind}' and r.state = 'done' order by r.run_id"
