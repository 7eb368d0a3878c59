"""A linker that opens on what a store holds follows answers as a store does that was told the same and solved again."""

from dataclasses import replace

import numpy as np
import pytest

import trackdb
from trackdb.engine.config import Config, LinkConfig, SolveConfig
from trackdb.engine.pipeline import solve
from trackdb.errors import InfeasibleError, MissingRowsError, SchemaError

from .movies import copied

pytestmark = pytest.mark.usefixtures("own_home_and_log")

NEAR = Config(link=LinkConfig(neighbors=3, max_gap=1))


@pytest.fixture
def db(jostling_over_gaps, tmp_path):
    return trackdb.open(copied(jostling_over_gaps.path, tmp_path / "movie.trackdb"), write=True)


def links_of(solution):
    return {(row["source"], row["target"]) for row in solution.links.rows.to_pylist()}


def links_in(linker):
    return set(zip(*(ends.tolist() for ends in linker.links), strict=True))


def change_prices(db, *statements):
    with db._store.writing() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def again_of(linker):
    """Return how many places were matched again; None if all."""
    if linker.opened.startswith("matched afresh"):
        return None
    return int(linker.opened.split("from its prices, ")[1].split(" of ")[0].replace(",", ""))


def crossing(solution, linker):
    """Return two links a -> b, c -> d of the solution for which a -> d is a candidate, too."""
    chosen = links_in(linker)
    mother = {target: source for source, target in chosen}
    source, target = (linker._ids[ends] for ends in (linker._edges.source, linker._edges.target))
    daughters = dict(chosen)
    for a, d in zip(source.tolist(), target.tolist(), strict=True):
        if a in daughters and d in mother and mother[d] != a:
            return (a, daughters[a]), (mother[d], d)
    raise AssertionError("no two links cross in this movie")


def test_an_opened_linker_is_what_is_stored(db):
    solution = db.solution()
    linker = solution.open()
    places = 3 * len(db.detections())
    assert linker.opened == f"from its prices, 0 of {places} places matched again"
    assert repr(linker) == f"<linker of ilp-1, {linker.opened}; 0 answers>"
    assert links_in(linker) == links_of(solution)
    assert linker.objective == linker.lower_bound == solution.objective
    assert np.array_equal(linker.cells, db.detections().id)


@pytest.mark.parametrize("kind", ["choose", "divide", "ends", "reject", "begins", "not_a_cell"])
def test_an_answer_does_what_an_annotation_and_a_solve_do(db, kind):
    solution = db.solution()
    linker = solution.open()
    (a, b), (_, d) = crossing(solution, linker)
    cell, daughters = {
        "choose": (a, [d]),
        "divide": (a, sorted([b, d])),
        "ends": (a, []),
        "reject": (a, [b]),
        "begins": (b, None),
        "not_a_cell": (b, None),
    }[kind]
    if kind in ("choose", "divide", "ends"):
        followed = linker.choose(cell, daughters)
    elif kind == "reject":
        followed = linker.reject(cell, *daughters)
    else:
        followed = getattr(linker, kind)(cell)
    assert links_in(linker) == (links_of(solution) - set(followed.unlinked)) | set(followed.linked)
    assert followed.dropped == ((b,) if kind == "not_a_cell" else ())
    db.annotate(cell, daughters=daughters, kind={"divide": "choose", "ends": "choose"}.get(kind, kind), who="ana")
    fresh = db.solve()
    assert linker.objective == pytest.approx(fresh.objective, abs=1e-9)
    assert (fresh.objective > solution.objective) == (kind != "not_a_cell")  # what is no cell costs nothing
    later = solution.open()
    assert 0 < again_of(later) < 30  # the annotation is newer than the solution
    assert later.objective == linker.objective
    assert again_of(fresh.open()) == 0
    back = linker.undo()
    assert (set(back.linked), set(back.unlinked)) == (set(followed.unlinked), set(followed.linked))
    assert links_in(linker) == links_of(solution)
    with pytest.raises(MissingRowsError, match="no answer to take back"):
        linker.undo()


def test_twenty_answers_one_after_the_other_are_those_of_a_fresh_solve(db):
    linker, rng = db.solution().open(), np.random.default_rng(0)
    ids, told = db.detections().id, 0
    while told < 20:
        a = int(rng.choice(linker.links[0]))
        candidates = [d for d in ids.tolist() if rng.random() < 0.5 and abs(d - a) < 30]
        daughters = candidates[: rng.integers(0, 2)]
        try:
            linker.choose(a, daughters)
        except InfeasibleError:
            continue
        db.annotate(a, daughters=daughters, who="ana")
        told += 1
    fresh = db.solve()
    assert linker.objective == pytest.approx(fresh.objective, abs=1e-9)
    assert len(linker) == 20


@pytest.mark.parametrize(
    ("damage", "most"),
    [
        ("update solution_dual set dual = dual - 30 where det_id = {cell}", 20),
        ("update solution_dual set dual = dual + 0.001 where det_id = {cell}", 20),
        ("update solution_dual set dual = 'nan' where det_id = {cell}", 20),
        ("update solution_dual set dual = 7 where det_id = {cell}", 20),
        ("delete from solution_dual where det_id = {cell}", 20),
        ("delete from solution_edge where edge_id = (select min(edge_id) from solution_edge)", 20),
    ],
)
def test_what_is_damaged_is_noticed_and_put_right(db, damage, most):
    solution = db.solution()
    with db._store.reading() as connection:
        cell = connection.exec_driver_sql("select arg_min(det_id, dual) from solution_dual").scalar_one()
    change_prices(db, damage.format(cell=cell))
    linker = solution.open()
    assert 0 < again_of(linker) < most
    assert linker.objective == linker.lower_bound == solution.objective
    n = len(db.detections())
    assert linker.opened.endswith(f"1 of {n} detections have none") == damage.startswith("delete from solution_dual")


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (("delete from solution_dual",), "it holds no prices"),
        (("update solution_dual set det_id = 100000 where det_id = 5",), "of other detections: detection 100000"),
        (("update solution_dual set det_id = 6 where det_id = 5",), "some of its detections have two prices"),
        (("insert into solution_dual select * from solution_dual limit 9",), "some of its detections have two prices"),
        (("update solution_dual set dual = -9.5 - det_id % 3",), "most of its prices do not hold"),
    ],
)
def test_prices_that_do_not_fit_are_told_and_everything_is_matched_afresh(db, damage, why):
    solution = db.solution()
    change_prices(db, *damage)
    linker = solution.open()
    assert linker.opened.startswith("matched afresh: ")
    assert why in linker.opened
    assert linker.objective == solution.objective
    assert links_in(linker) == links_of(solution)


def test_prices_of_all_detections_are_kept_those_that_are_no_cells_among_them(db):
    db.annotate(5, kind="not_a_cell", who="ana")
    fresh = db.solve()
    with db._store.reading() as connection:
        count = connection.exec_driver_sql(f"select count(*) from solution_dual where solution_id = {fresh._info.id}")
        assert count.scalar_one() == len(db.detections())
    linker = fresh.open()
    assert again_of(linker) == 0
    assert len(linker.cells) == len(db.detections()) - 1
    assert linker.objective == fresh.objective


def test_a_solution_by_windows_opens_from_the_prices_of_its_windows(db):
    store = db._store
    config = replace(NEAR, solve=SolveConfig(window=3, window_context=2))
    solve(store, store.detection_set(), config, scores="distance", name="windows")
    linker = db.solution("windows").open()
    assert again_of(linker) is not None
    assert linker.objective == pytest.approx(db.solution("ilp-1").objective, abs=1e-9)


def test_links_that_were_not_chosen_by_cost_open_on_the_cheapest_ones(db):
    linker = db.solve("lap").open()
    assert linker.opened == "matched afresh: it holds no prices"
    assert linker.objective == db.solution("ilp-1").objective


@pytest.mark.parametrize("cost", ["learned", "two-distance"])
def test_pairs_of_daughters_are_refused_and_it_is_told_what_opens(db, cost):
    store = db._store
    solve(store, store.detection_set(), replace(NEAR, solve=SolveConfig(cost=cost)), name="pairs")
    with pytest.raises(SchemaError, match=f"pairs goes by the cost {cost}, which prices daughters in pairs") as refused:
        db.solution("pairs").open()
    assert refused.value.details["try"] == f'trackdb solve {store.path} --simple, or db.solve(cost="density").open()'
    assert db.solve(cost="density").open().opened.startswith("from its prices")


def test_what_contradicts_is_refused_in_numbers_of_cells(db):
    solution = db.solution()
    linker = solution.open()
    (a, b), _ = crossing(solution, linker)
    linker.choose(a, [b])
    now = links_in(linker)

    def refusals(linker):
        yield lambda: linker.choose(a, [])
        yield lambda: linker.reject(a, b)
        yield lambda: linker.begins(b)
        yield lambda: linker.not_a_cell(b)

    for refused in refusals(linker):
        with pytest.raises(InfeasibleError, match=r"earlier answer.*cell \d+"):
            refused()
    with pytest.raises(MissingRowsError, match="no cell 100000"):
        linker.choose(100000, [])
    with pytest.raises(InfeasibleError, match="no candidate"):
        linker.choose(a, [a])
    assert links_in(linker) == now
    assert len(linker) == 1
    db.annotate(a, daughters=[b], who="ana")
    for refused in refusals(solution.open()):
        with pytest.raises(InfeasibleError, match="annotation"):
            refused()
