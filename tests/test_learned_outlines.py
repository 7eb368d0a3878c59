"""Masks as evidence: how much of a child lay where its parent was, by hand, recovered, and from a store."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t as student

from trackdb.engine.candidates import link_nearest
from trackdb.engine.costs.learned import Outlines, learn
from trackdb.engine.costs.learned.bell import Bell
from trackdb.engine.evidence import EVERYTHING
from trackdb.engine.ingest import ingest
from trackdb.engine.looks import outlines_of
from trackdb.storage.duckdb_store import DuckDBStore

from .command_line import answer
from .learned_movies import sheet
from .movies import CENTRES, write_points

pytestmark = pytest.mark.usefixtures("own_home_and_log")


def made(covered, edges, n):
    return Outlines.unlearned(covered, np.full(n, 3.0), edges)


def test_the_evidence_is_a_quarter_of_the_density_relative_to_other_cells_at_the_same_distance():
    child, other = Bell(0.9, -1.0, 0.1), Bell(0.7, -1.0, 0.05)
    covered, apart = np.array([0.6, 0.2, 0.0, 0.5, np.nan, 0.5]), np.array([0.2, 0.6, 0.95, 1.2, 0.3, 0.3])
    next_ = np.array([True, True, True, True, True, False])
    outlines = Outlines(covered, np.ones(6), next_, apart, child, child, other)
    expected = np.zeros(6)
    for row in range(3):  # the others are too far apart, not known, or a frame too late
        at = [max(level - apart[row], 0) for level in (0.9, 0.7)]
        log = [student(4).logpdf((covered[row] - m) / s) - np.log(s) for m, s in zip(at, (0.1, 0.05), strict=True)]
        expected[row] = 0.25 * (log[0] - log[1])
    assert outlines.log_child(slice(None)) == pytest.approx(expected)
    assert outlines.log_daughter(np.array([1])) == pytest.approx(expected[[1]])


def test_lines_of_children_daughters_and_others_are_recovered():
    """In a simulated sheet: children are covered by .9 less their distance, daughters by 1.05, others by .7, +-.05."""
    movie = sheet(5, side=9, n_frames=20, step=1.5, division=0.02)
    cells_, edges = movie.detections, link_nearest(movie.detections, max_gap=1)
    step = np.linalg.norm(cells_.position_px[edges.target] - cells_.position_px[edges.source], axis=1)
    true, mothers = set(map(tuple, movie.link.tolist())), np.bincount(movie.link[:, 0], minlength=len(cells_)) == 2
    linked = np.array([pair in true for pair in zip(edges.source.tolist(), edges.target.tolist(), strict=True)])
    level = np.where(linked, np.where(mothers[edges.source], 1.05, 0.9), 0.7)
    covered = np.random.default_rng(1).normal(np.maximum(level - step / 12, 0), 0.05)
    outlines = Outlines.unlearned(covered, np.full(len(cells_), 6.0), edges)
    found = learn(cells_, edges, outlines=outlines).model.looks.outlines
    assert (found.child.level, found.child.slope) == pytest.approx((0.9, -1), abs=0.06)
    assert found.other.level == pytest.approx(0.7, abs=0.1)
    assert found.daughter.level == pytest.approx(1.05, abs=0.1)
    assert found.child.scale == pytest.approx(0.05 * 0.9, abs=0.015)


def test_where_no_mask_is_known_the_costs_are_those_of_points():
    movie = sheet(3, division=0.02, missed=0.02).detections
    edges = link_nearest(movie, max_gap=1)
    blind = made(np.full(len(edges), np.nan), edges, len(movie))
    one, other = (learn(movie, edges, outlines=known).problem(movie, edges) for known in (None, blind))
    assert np.array_equal(one.edge_cost, other.edge_cost)
    assert np.array_equal(one.pairs.cost, other.pairs.cost)


def test_what_a_store_has_of_masks_is_read(drawn, tmp_path):
    """Squares of 25 pixels: the share of the target that the source lies on, by hand; no drift with so few."""
    store = DuckDBStore(tmp_path / "drawn.trackdb")
    ingest(drawn, store)
    chosen = store.detection_set()
    cells_ = store.detections(chosen)
    edges = link_nearest(cells_, max_distance=50)
    found = outlines_of(store, chosen, cells_, edges, EVERYTHING)
    centre = np.array([CENTRES[t][label] for t, label in zip(cells_.frame, cells_.label, strict=True)])
    off = np.abs(centre[edges.target] - centre[edges.source])
    assert found.covered == pytest.approx(np.maximum(5 - off, 0).prod(axis=1) / 25)
    assert found.radius == pytest.approx(np.sqrt(25 / np.pi))
    assert outlines_of(store, chosen, cells_, edges, replace(EVERYTHING, outlines=False)) is None
    assert answer("solve", store.path, "--cost", "learned")["links"] > 0


def test_points_have_no_outlines(tmp_path):
    store = DuckDBStore(tmp_path / "points.trackdb")
    ingest(write_points(tmp_path / "points.csv"), store)
    chosen = store.detection_set()
    cells_ = store.detections(chosen)
    assert outlines_of(store, chosen, cells_, link_nearest(cells_), EVERYTHING) is None
