"""The queries of docs/cookbook.md, and answers to hold them to that know no SQL."""

import re
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from trackdb.engine.config import Config, LinkConfig
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.storage import posteriors, tables
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import SourceOptions
from trackdb.storage.posteriors import CellOutcomes, LinkProbabilities, PosteriorInfo
from trackdb.storage.sandbox import ask

from .movies import write_rows

COOKBOOK = (Path(__file__).parents[1] / "docs" / "cookbook.md").read_text()
QUESTION = re.compile(r"^\*\*(\d+)\. .*?^```sql\n(.*?);\n```", flags=re.DOTALL | re.MULTILINE)
QUERIES = {int(number): query for number, query in QUESTION.findall(COOKBOOK)}
CURVE = "select age, cells, divided, undivided from survival order by age"


def store_of(folder, points, *, area=None, scale_um=None, solved=True):
    """Return a store of simulated points with their truth and, unless it is not wanted, an exact solution."""
    table = folder / "movie.csv"
    ids = np.arange(len(points.frame)) + 1
    parent = ["" if p < 0 else p + 1 for p in points.parent.tolist()]
    columns = [points.frame, *points.position_px.T, ids, parent, *([] if area is None else [area])]
    write_rows(table, zip(*columns, strict=True), header="t,y,x,id,parent" + (",area" if area is not None else ""))
    store = DuckDBStore(folder / "movie.trackdb")
    ingest(table, store, options=SourceOptions(scale_um=scale_um))
    if solved:
        solve(store, store.detection_set(), Config(link=LinkConfig(max_gap=1)))
    return store


def add_posterior(store, solution, edge, probability, outcomes=()):
    """Keep probabilities of edges, and outcomes (cell, a, b, probability) in the order of the cells, as a posterior."""
    chosen, info = store.find_solution(name=solution)
    known = [np.array(column) for column in zip(*outcomes, strict=True)] or [np.empty(0, dtype=np.int64)] * 4
    order = np.argsort(edge)
    with store.running("posterior", "posterior-1", {}, chosen=chosen) as run:
        about = PosteriorInfo(0, chosen.id, info.id, run.id, "posterior-1", "exact", 1.0, False)
        posteriors.add_posterior(
            store,
            run,
            about,
            LinkProbabilities(edge[order], probability[order], *exact(edge)),
            CellOutcomes(*known, *exact(known[0])),
            {},
        )


def exact(rows):
    """Return the columns `how` and `error` of rows that leave nothing out."""
    return np.zeros(len(rows), dtype=np.uint8), np.full(len(rows), np.nan)


def probabilities(store):
    """Return the probability of each edge."""
    with store.reading() as connection:
        return {r.edge_id: r.probability for r in connection.execute(tables.edge_probability.select())}


def answers(store, number, *, solution="ilp-1"):
    """Return the rows of a question of the cookbook."""
    return ask(store.path, QUERIES[number].replace("'ilp-1'", f"'{solution}'")).rows.to_pylist()


def followed_by_hand(store, solution="ilp-1"):
    """Read a solution link by link, and put its tracks together without any label that the store keeps of them.

    Tracks are lists of cells; their numbers are looked up at the end, to compare rows with.
    """
    chosen, info = store.find_solution(name=solution)
    detections, table, ends = store.detections(chosen), store.solution(info), store.link_ends(info)
    position = detections.position_px * (detections.scale_um or 1)
    daughters, mother = defaultdict(list), {}
    for source, target in zip(*(end.tolist() for end in ends), strict=True):
        daughters[source].append(target)
        mother[target] = source
    nodes = table.node.tolist()
    first = [c for c in nodes if len(daughters[mother.get(c)]) != 1]
    tracks = []
    for cell in first:
        path = [cell]
        while len(daughters[path[-1]]) == 1:
            path += daughters[path[-1]]
        tracks.append(path)
    at = {cell: i for i, cell in enumerate(detections.id.tolist())}
    number = dict(zip(nodes, table.track_id.tolist(), strict=True))
    return SimpleNamespace(
        nodes=nodes,
        t={c: int(detections.frame[i]) for c, i in at.items()},
        position={c: position[i] for c, i in at.items()},
        area={c: float(detections.area[i]) for c, i in at.items()},
        daughters=daughters,
        mother=mother,
        tracks={number[path[0]]: path for path in tracks},
        number=number,
        edge=dict(zip(zip(*(end.tolist() for end in ends), strict=True), table.edge.tolist(), strict=True)),
        last=int(detections.frame.max()),
    )


def with_curve(query):
    return query[: query.index("select (select min(age)")] + CURVE


def kaplan_meier(cells):
    """Return the share that has not divided after each age.

    A cell is how likely its birth is, the age at each of its frames that leads on, how sure the links out of it are,
    and whether the last of these is a division. Ages of which nothing is left are not in it.
    """
    at_risk, divided = defaultdict(float), defaultdict(float)
    for birth, ages, sure, divides in cells:
        for i, age in enumerate(ages):
            weight = birth * float(np.prod(sure[: i + 1]))
            at_risk[age] += weight
            if divides and i == len(ages) - 1:
                divided[age] += weight
    curve, undivided = {}, 1.0
    for age in sorted(at_risk):
        if at_risk[age] > 0:
            undivided *= 1 - divided[age] / at_risk[age]
            curve[age] = undivided
    return curve
