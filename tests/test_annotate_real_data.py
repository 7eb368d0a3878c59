"""A person who knows the truth corrects a real movie: what was said holds in every later solution, and helps."""

import pytest

from trackdb.engine.annotations.answers import Annotator
from trackdb.engine.config import Config, SolveConfig
from trackdb.engine.diff import difference
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.storage.duckdb_store import DuckDBStore

pytestmark = [pytest.mark.data, pytest.mark.slow]
ANSWERS = 60


def children(store, name):
    """Return the children of each cell of a solution, and the solution."""
    _, info = store.find_solution(name=name)
    found = {cell: set() for cell in store.solution(info).node.tolist()}
    for mother, daughter in zip(*(ends.tolist() for ends in store.link_ends(info)), strict=True):
        found[mother].add(daughter)
    return found, info


def test_what_somebody_who_knows_says_of_the_epidermis_holds(data_dir, tmp_path):
    store = DuckDBStore(tmp_path / "epidermis.trackdb")
    ingest(data_dir / "mouse_epidermis_area1_apache" / "02_GT", store)
    chosen = store.detection_set()
    solve(store, chosen)
    truth, true = children(store, "truth")
    solved, before = children(store, "ilp-1")
    wrong = [cell for cell, daughters in truth.items() if solved.get(cell, set()) != daughters]
    asked = wrong[:: len(wrong) // ANSWERS][:ANSWERS]
    annotator = Annotator(store, chosen)
    for cell in asked:
        annotator.answer("choose", cell, sorted(truth[cell]), who="oracle", add_candidate=True)
    for linker in ("ilp", "greedy", "lap"):
        report = solve(store, chosen, Config(solve=SolveConfig(linker=linker)))
        now, after = children(store, report.solution)
        assert report.pins == ANSWERS
        assert {cell: now.get(cell, set()) for cell in asked} == {cell: truth[cell] for cell in asked}
        if linker == "ilp":
            assert report.proven
            lost = len(difference(store, true, before).only_a), len(difference(store, true, after).only_a)
            assert lost[1] < lost[0]
