"""A store with everything that an export has to carry, drawn by hand, and ways to compare what comes out again."""

from datetime import datetime

import numpy as np
import sqlalchemy as sa

from trackdb.engine.config import Config, LinkConfig
from trackdb.engine.exports.tracking import tracking_of
from trackdb.engine.ingest import ingest
from trackdb.engine.lineages import solution_table
from trackdb.engine.pipeline import solve
from trackdb.storage import catalogue, tables
from trackdb.storage.additions import insert_solution
from trackdb.storage.catalogue import SolutionInfo
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import SourceOptions

from .movies import write_rows

# Nine cells, numbers are ids in the table. Cell 2 divides into 4 and 5, cell 4 is missed in frame 2, 8 stands alone:
#
#   frame 0     1     2     3
#
#         1 --- 3 --- 6 --- 9           7 -> 9 is told by a second solution alone, in which 6 and 7 merge into 9
#         2 --- 4 --------- 10
#           \-- 5 --- 7
#                     8
ROWS = [
    (0, 10, 10, 1, "", "Alice", 0.5),
    (0, 20, 10, 2, "", "=1+1", ""),
    (1, 10, 11, 3, 1, "<b>&\"'", 0.25),
    (1, 18, 11, 4, 2, "naïve 🐭", -3.5),
    (1, 24, 11, 5, 2, "", 1e-12),
    (2, 10.3, 12, 6, 3, "a,b", ""),
    (2, 16, 12, 7, 5, "two\nlines", ""),
    (2, 40, 30, 8, "", "", ""),
    (3, 10.7, 13, 9, 6, "", ""),
    (3, 19, 13, 10, 4, "", ""),
]
HEADER = "t,y,x,id,parent,name,brightness"
LINKS = {(1, 3), (2, 4), (2, 5), (3, 6), (5, 7), (6, 9), (4, 10)}
SCALE_UM, INTERVAL_S = (0.65, 0.5), 30.0


def rich_store(folder, *, name="rich", scale_um=SCALE_UM, interval_s=INTERVAL_S):
    """Return a store of the drawn cells with names, numbers, a posterior, answers of people, and other solutions.

    Solutions: ``truth`` as drawn; ``merged`` with the link 7 -> 9 besides; ``ilp-1``, solved.
    """
    rows = [[f'"{str(v).replace(chr(34), 2 * chr(34))}"' if i == 5 else v for i, v in enumerate(row)] for row in ROWS]
    table = write_rows(folder / f"{name}.csv", rows, header=HEADER)
    store = DuckDBStore(folder / f"{name}.trackdb")
    options = SourceOptions(scale_um=scale_um, interval_s=interval_s, keep=("all",))
    ingest(table, store, options=options)
    solve(store, store.detection_set(), Config(link=LinkConfig(max_gap=1)))
    chosen, truth = store.find_solution(name="truth")
    detections, table, ends = store.detections(chosen), store.solution(truth), store.link_ends(truth)
    number = dict(zip(detections.label.tolist(), detections.id.tolist(), strict=True))
    with store.writing() as connection:
        add_merge(connection, chosen, detections, table, ends, number)
        edge_of = dict(zip(zip(*(end.tolist() for end in ends), strict=True), table.edge.tolist(), strict=True))
        edge_of = {link: edge_of[number[link[0]], number[link[1]]] for link in LINKS}
        add_posterior(connection, truth, "older", {edge_of[2, 4]: 0.1})
        add_posterior(connection, truth, "newer", {edge_of[2, 4]: 0.75, edge_of[1, 3]: 0.5})
        add_posterior(connection, truth, "unfinished", {edge_of[2, 4]: 0.2}, state="pending")
        answer(connection, "k1", "choose", number[2], [number[4]])
        answer(connection, "k2", "choose", number[2], [number[4], number[5]], who="bob")
        answer(connection, "k2-undo", "undo", who="bob", undo_of="k1")
        answer(connection, "k3", "choose", number[1], [number[3]])
        answer(connection, "k4", "undo", undo_of="k3")
        answer(connection, "k5", "choose", number[3], [number[6]])
        answer(connection, "k6", "undo", undo_of="k5")
        answer(connection, "k7", "undo", undo_of="k6")
        answer(connection, "k8", "reject", number[6], [number[9]])
    return store


def ids(store):
    """Return the number in the store of each id in the table."""
    detections = store.detections(store.detection_set())
    return dict(zip(detections.label.tolist(), detections.id.tolist(), strict=True))


def add_merge(connection, chosen, detections, truth, ends, number):
    """Add a solution in which cells 6 and 7 merge into 9."""
    link = {"edge_id": 999, "set_id": chosen.id, "source": number[7], "target": number[9], "t": 2, "dt": 1}
    connection.execute(sa.insert(tables.edge).values(**link, distance=5.0, candidate=False))
    source, target = (np.append(end, number[cell]) for end, cell in zip(ends, (7, 9), strict=True))
    merged = solution_table(
        detections,
        detections.row_of(truth.node),
        detections.row_of(source),
        detections.row_of(target),
        np.append(truth.edge, 999),
        merge=target == number[9],
    )
    run = catalogue.insert_run(connection, "import", "merged", {}, set_id=chosen.id, process="test")
    catalogue.close_run(connection, run.id, "done", {})
    insert_solution(connection, SolutionInfo(0, chosen.id, run.id, "merged", "imported", None, None, None), merged)


def add_posterior(connection, info, name, probability, *, state="done"):
    """Add a posterior of a solution with the probabilities of some edges."""
    run = catalogue.insert_run(connection, "posterior", name, {}, set_id=info.set_id, process="test")
    catalogue.close_run(connection, run.id, state, {})
    facts = {"set_id": info.set_id, "solution_id": info.id, "run_id": run.id, "name": name}
    method = {"method": "exact", "temperature": 1.0, "calibrated": False}
    connection.execute(sa.insert(tables.posterior).values(posterior_id=run.id, **facts, **method))
    for edge, p in probability.items():
        row = {"edge_id": edge, "probability": p, "how": "exact"}
        connection.execute(sa.insert(tables.edge_probability).values(posterior_id=run.id, **row))


def answer(connection, key, kind, cell=None, daughters=None, *, who="ana", undo_of=None):
    """Add what a person said of a cell, a second after the one before."""
    seq = connection.execute(sa.select(sa.func.count()).select_from(tables.annotation)).scalar_one()
    entry = {
        "key": key,
        "seq": seq,
        "at": datetime(2026, 1, 31, 10, 0, seq),
        "who": who,
        "kind": kind,
        "dataset": "rich",
        "det_id": cell,
        "daughters": None if daughters is None else [{"id": daughter} for daughter in daughters],
        "undo_of": undo_of,
    }
    connection.execute(sa.insert(tables.annotation).values(entry))


def tracking(store, name="truth"):
    """Return a solution with all that is known of it."""
    return tracking_of(store, *store.find_solution(name=name))


def links_by_label(store, name="truth"):
    """Return the links of a solution as pairs of the ids in the table."""
    found = tracking(store, name)
    label = found.cells.label
    return {*zip(label[found.source].tolist(), label[found.target].tolist(), strict=True)}


def shape_of(found):
    """Return cells as (frame, place) and links as pairs of them, whatever the numbers of the cells."""
    place = [(int(t), *p) for t, p in zip(found.cells.frame, found.position_px.tolist(), strict=True)]
    links = {(place[a], place[b]) for a, b in zip(found.source.tolist(), found.target.tolist(), strict=True)}
    return set(place), links
