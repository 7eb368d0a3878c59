"""What the data model promises of every store, each as a query that counts the rows that break it."""

from __future__ import annotations

from typing import Final

PROMISES: Final[dict[str, str]] = {
    "a detection stands twice": "select count(*) - count(distinct det_id) from detection",
    "a label stands twice in a frame": """
        select count(*) from (select 1 from detection group by set_id, t, label having count(*) > 1)""",
    "a detection has no place": """
        select count(*) from detection where not isfinite(y) or not isfinite(x) or not isfinite(coalesce(z, 0))""",
    "a detection belongs to no set": """
        select count(*) from detection d anti join detection_set s using (set_id)""",
    "the features of a detection stand twice": "select count(*) - count(distinct det_id) from detection_feature",
    "features belong to no detection": """
        select count(*) from detection_feature anti join detection using (det_id)""",
    "a box holds no pixel": """
        select count(*) from detection_feature
        where bbox_y0 >= bbox_y1 or bbox_x0 >= bbox_x1 or coalesce(bbox_z0 >= bbox_z1, false)""",
    "an intensity stands twice": """
        select count(*) from (select 1 from detection_intensity group by det_id, channel having count(*) > 1)""",
    "an intensity belongs to no detection": """
        select count(*) from detection_intensity anti join detection using (det_id)""",
    "an intensity lies outside of its bounds": """
        select count(*) from detection_intensity
        where min > max or mean < min - 1e-6 * abs(min) or mean > max + 1e-6 * abs(max)""",
    "a property stands twice": """
        select count(*) from (select 1 from detection_property group by det_id, name having count(*) > 1)""",
    "a property belongs to no detection": """
        select count(*) from detection_property anti join detection using (det_id)""",
    "a property is neither a number nor a text": """
        select count(*) from detection_property where (value is null) = (text is null)""",
    "a candidate stands twice": """
        select count(*) from (select 1 from edge group by source, target having count(*) > 1)""",
    "a candidate ties a detection that is not there": """
        select count(*) from edge e where not exists (select 1 from detection d where d.det_id = e.source)
            or not exists (select 1 from detection d where d.det_id = e.target)""",
    "a candidate does not run forward in time": "select count(*) from edge where dt < 1 or source >= target",
    "a score belongs to no candidate": "select count(*) from edge_score anti join edge using (edge_id)",
    "a score is not a number": "select count(*) from edge_score where score is null or isnan(score)",
    "a link of a solution is no candidate": "select count(*) from solution_edge anti join edge using (edge_id)",
    "a cell of a solution has two parents": """
        select count(*) from (select 1 from solution_edge l join edge e using (edge_id) where l.kind < 2
            group by l.solution_id, e.target having count(*) > 1)""",
    "a cell of a solution has more than two daughters": """
        select count(*) from (
            select 1 from solution_edge l join edge e using (edge_id) join solution s using (solution_id)
            where l.kind < 2 and s.objective is not null  -- an imported tracking may tell of three
            group by l.solution_id, e.source having count(*) > 2)""",
    "a link ties what is not a cell of its solution": """
        with ends as (
            select l.solution_id, unnest([e.source, e.target]) as det_id
            from solution_edge l join edge e using (edge_id)
        ) select count(*) from ends anti join solution_node using (solution_id, det_id)""",
    "a cell stands in a track that is not there": """
        select count(*) from solution_node v anti join track k
            on v.solution_id = k.solution_id and v.track_id = k.track_id and v.pre = k.pre""",
    "the interval labels do not nest": """
        select count(*) from track k join track p on k.solution_id = p.solution_id and k.parent_id = p.track_id
        where not (p.pre < k.pre and k.last <= p.last and k.generation = p.generation + 1)""",
    "a track's daughters are not counted right": """
        select count(*) from track p left join (
            select solution_id, parent_id, count(*) as n from track group by all
        ) c on c.solution_id = p.solution_id and c.parent_id = p.track_id
        where p.n_children <> coalesce(c.n, 0)""",
    "a continuing link changes the track": """
        select count(*) from solution_edge l join edge e using (edge_id)
            join solution_node a on a.solution_id = l.solution_id and a.det_id = e.source
            join solution_node b on b.solution_id = l.solution_id and b.det_id = e.target
        where (l.kind = 0) <> (a.track_id = b.track_id) and l.kind < 2""",
    "a posterior belongs to no solution": "select count(*) from posterior anti join solution using (solution_id)",
    "a probability stands twice": """
        select count(*) from (select 1 from edge_probability group by posterior_id, edge_id having count(*) > 1)""",
    "a probability belongs to no candidate": "select count(*) from edge_probability anti join edge using (edge_id)",
    "a probability belongs to no posterior": """
        select (select count(*) from edge_probability anti join posterior using (posterior_id))
            + (select count(*) from cell_outcome anti join posterior using (posterior_id))""",
    "a probability is not between 0 and 1": """
        with told as (select probability as p from edge_probability union all select probability from cell_outcome)
        select count(*) from told where not isfinite(p) or p < 0 or p > 1 + 1e-5""",
    "the mothers of a cell are together likelier than 1": """
        select count(*) from (select 1 from edge_probability join edge using (edge_id)
            group by posterior_id, target having sum(cast(probability as double)) > 1 + 1e-3)""",
    "an outcome belongs to no detection": "select count(*) from cell_outcome anti join detection using (det_id)",
    "the outcomes of a cell do not sum to 1": """
        select count(*) from (select 1 from cell_outcome group by posterior_id, det_id
            having abs(sum(cast(probability as double)) - 1) > 1e-3)""",
    "the outcomes of a cell are not in the order of their ranks": """
        select count(*) from (
            select rank <> row_number() over cell or probability > 1e-6 + lag(probability) over cell as wrong
            from cell_outcome window cell as (partition by posterior_id, det_id order by rank)) where wrong""",
    "a link is not as likely as the outcomes that hold it": """
        with held as (
            select posterior_id, det_id as source, unnest(cast(daughters as bigint[])) as target,
                cast(probability as double) as p from cell_outcome
        ), summed as (select posterior_id, source, target, sum(p) as p from held group by all
        ), asked as (select distinct posterior_id, det_id as source from cell_outcome)
        select count(*) from edge_probability v join edge e using (edge_id)
            semi join asked a on a.posterior_id = v.posterior_id and a.source = e.source
            full join summed s on s.posterior_id = v.posterior_id and s.source = e.source and s.target = e.target
        where abs(coalesce(v.probability, 0) - coalesce(s.p, 0)) > 1e-3""",
    "a solution is cheaper than its own bound": "select count(*) from solution where objective < lower_bound - 1e-6",
}
