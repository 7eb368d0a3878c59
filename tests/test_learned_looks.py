"""Areas and brightness in the learned model: their densities, what they decide, and what is recovered of them."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from scipy.stats import norm
from scipy.stats import t as student

from trackdb.engine.candidates import link_nearest
from trackdb.engine.config import Config, SolveConfig
from trackdb.engine.costs.learned import Trait, learn, told
from trackdb.engine.costs.learned.bell import Bell
from trackdb.engine.costs.learned.hazard import at_rank, ratios_by_rank
from trackdb.engine.costs.learned.traits import CLASSES, Inheritance
from trackdb.engine.evidence import EVERYTHING
from trackdb.engine.ingest import ingest
from trackdb.engine.looks import traits_of
from trackdb.engine.names import done
from trackdb.engine.pipeline import solve
from trackdb.engine.posterior.problem import priced_again
from trackdb.engine.progress import Silent
from trackdb.solvers import open_solver
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import SourceOptions

from .command_line import answer, run
from .learned_movies import f1, sheet
from .movies import CENTRES, SHAPE, write_rows

pytestmark = pytest.mark.usefixtures("own_home_and_log")

BELLS = Inheritance(
    (Bell(0.1, 0.9, 0.05, 7.0),) * CLASSES, Bell(0.1, 0.9, 0.05, 7.0), Bell(0.2, 0.8, 0.1), Bell(0.0, 0.0, 0.3)
)


def areas_of(movie, seed, *, noise=0.05, kept=1.0):
    """Areas of the rows of a sheet: they wander by `noise` a frame, two daughters share `kept` of their mother's."""
    rng = np.random.default_rng(seed)
    n = len(movie.detections)
    log_area = np.log(400) + rng.normal(0, 0.25, n)
    parent, children = np.full(n, -1), np.bincount(movie.link[:, 0], minlength=n)
    parent[movie.link[:, 1]] = movie.link[:, 0]
    share = {}
    for row in np.flatnonzero(parent >= 0):
        u = parent[row]
        log_area[row] = log_area[u] + rng.normal(0, noise)
        if children[u] == 2:
            half = share.pop(u, None)
            if half is None:
                half = rng.uniform(0.4, 0.6)
                share[u] = 1 - half
            log_area[row] += np.log(kept * half)
    return np.exp(log_area)


def tracked(detections, *traits):
    edges = link_nearest(detections, max_gap=1)
    learned = learn(detections, edges, traits=traits)
    return learned, edges, open_solver("ilp").solve(learned.problem(detections, edges))


def divisions(edges, found):
    """Mothers with both daughters, as rows."""
    chosen = np.flatnonzero(found.edge)
    source = edges.source[chosen]
    return {
        (int(u), *sorted(edges.target[chosen[source == u]].tolist())) for u in np.flatnonzero(np.bincount(source) == 2)
    }


def true_divisions(movie):
    source, target = movie.link.T
    return {(int(u), *sorted(target[source == u].tolist())) for u in np.flatnonzero(np.bincount(source) == 2)}


def test_the_density_among_all_cells_is_that_of_normals_around_each():
    """Against the sum over all cells, the width by hand: Silverman's, of the middle half."""
    area = np.exp(np.random.default_rng(0).normal(3, 0.4, 300))
    trait = Trait.of("area", area, adds_up=True)
    value = np.log(area) - np.median(np.log(area))
    low, high = np.quantile(value, [0.25, 0.75])
    width = (high - low) / 1.349 * 300**-0.2
    density = norm(scale=width).pdf(value[:, None] - value).mean(axis=1)
    assert trait.value == pytest.approx(value)
    assert trait.log_any == pytest.approx(np.log(density), abs=0.06)


def test_the_evidence_of_a_link_is_that_of_the_child_given_its_parent_against_any_cell():
    trait = Trait.of("area", np.array([100.0, 110.0, 240.0, 90.0]), adds_up=True)
    x = trait.value
    found = BELLS.log_child(trait, np.array([0, 0]), np.array([1, 2]))
    z = (x[[1, 2]] - 0.1 - 0.9 * x[0]) / 0.05
    assert found == pytest.approx(student(7).logpdf(z) - np.log(0.05) - trait.log_any[[1, 2]])
    assert found[0] > 0 > found[1]


@pytest.mark.parametrize("adds_up", [True, False])
def test_the_evidence_of_daughters_is_that_of_both_together_and_of_their_difference(adds_up):
    """Areas of 60 and 50 are 110 together; a brightness of 60 and one of 50 are their geometric mean."""
    trait = Trait.of("look", np.array([100.0, 60.0, 50.0, 200.0]), adds_up=adds_up)
    middle = np.median(np.log([100, 60, 50, 200]))
    both = np.log(110 if adds_up else np.sqrt(60 * 50)) - middle
    z = (both - 0.2 - 0.8 * (np.log(100) - middle)) / 0.1
    expected = student(4).logpdf(z) - np.log(0.1) + student(4).logpdf(np.log(60 / 50) / 0.3) - np.log(0.3)
    expected -= trait.log_any[1] + trait.log_any[2]
    one, two, mother = np.array([1]), np.array([2]), np.array([0])
    assert BELLS.log_daughters(trait, mother, one, two) == pytest.approx(expected)
    assert BELLS.log_daughters(trait, mother, two, one) == pytest.approx(expected)


def test_what_is_not_known_is_no_evidence():
    trait = Trait.of("area", np.array([100.0, np.nan, 60.0, 0.0, 50.0]), adds_up=True)
    assert not trait.known[[1, 3]].any()
    zero, two, four = np.array([0]), np.array([2]), np.array([4])
    for unknown in (np.array([1]), np.array([3])):
        assert BELLS.log_child(trait, zero, unknown) == 0
        assert BELLS.log_child(trait, unknown, zero) == 0
        assert BELLS.log_daughters(trait, unknown, two, four) == 0
        assert BELLS.log_daughters(trait, zero, two, unknown) == 0


def test_markers_of_one_size_are_no_trait():
    """A few are cut by the border; a spread of ten per cent is one."""
    size = np.full(100, 221.0)
    size[:20] = 150
    assert not Trait.of("area", size, adds_up=True).known.any()
    assert Trait.of("area", size * np.exp(np.random.default_rng(0).normal(0, 0.1, 100)), adds_up=True).known.all()


def test_where_no_look_is_known_the_costs_are_those_of_points():
    movie = sheet(3, division=0.02, missed=0.02, false=0.02).detections
    plain, edges, _ = tracked(movie)
    blind, _, _ = tracked(movie, Trait.of("area", np.full(len(movie), np.nan), adds_up=True))
    one, other = plain.problem(movie, edges), blind.problem(movie, edges)
    assert np.array_equal(one.edge_cost, other.edge_cost)
    assert np.array_equal(one.disappear_cost, other.disappear_cost)
    assert np.array_equal(one.pairs.cost, other.pairs.cost)
    assert told(plain.estimates()) == told(blind.estimates())


def test_a_unit_of_area_changes_nothing():
    movie = sheet(8, division=0.02, missed=0.02)
    area = areas_of(movie, 8)
    _, _, found = tracked(movie.detections, Trait.of("area", area, adds_up=True))
    _, _, same = tracked(movie.detections, Trait.of("area", area * 1e-6, adds_up=True))
    assert np.array_equal(found.edge, same.edge)


def test_what_daughters_keep_of_their_mother_is_recovered():
    """A child within 5 % of its parent; daughters together .8 of their mother, each 40 to 60 % of it, +-5 %."""
    movie = sheet(5, side=10, n_frames=25, division=0.02)
    area = areas_of(movie, 5, kept=0.8)
    learned, _, _ = tracked(movie.detections, Trait.of("area", area, adds_up=True))
    [inherited] = learned.model.looks.inherited
    assert movie.divisions > 40
    assert np.exp(inherited.kept) == pytest.approx(0.8, abs=0.03)
    assert inherited.deviation == pytest.approx(0.036, abs=0.02)
    assert inherited.usual_child.scale == pytest.approx(0.05, abs=0.006)
    assert inherited.usual_child.slope == pytest.approx(1, abs=0.05)


def test_areas_find_divisions_that_places_do_not_tell():
    """Cells that move by a third of their spacing: who is whose daughter is seen by the areas."""
    movie = sheet(6, side=9, n_frames=20, step=2.4, division=0.02)
    true, area = true_divisions(movie), areas_of(movie, 6)
    _, edges, found = tracked(movie.detections)
    _, _, better = tracked(movie.detections, Trait.of("area", area, adds_up=True))
    assert f1(movie, edges, better) > f1(movie, edges, found) + 0.01
    assert len(divisions(edges, better) & true) > len(divisions(edges, found) & true) + 0.1 * len(true)


def test_large_cells_divide_and_small_ones_leave():
    """By rank: of a hundred cells the upper twenty divide four times as often as expected, nobody else."""
    value = np.random.default_rng(1).permutation(np.arange(100.0))
    seen = np.where(value >= 80, 8.0, 0.0)
    every = np.ones(100, dtype=bool)
    ratio = at_rank(value, ratios_by_rank(value, every, seen, np.full(100, 2.0)))
    assert ratio[value >= 90] == pytest.approx((15 * 8 + 3) / (15 * 2 + 3), rel=0.3)
    assert (ratio[value < 70] < 0.2).all()
    value[:5] = np.nan
    assert (at_rank(value, ratios_by_rank(value, every, seen, np.full(100, 2.0)))[:5] == 1).all()


@pytest.fixture(scope="module")
def movie():
    return sheet(21, side=7, division=0.03, missed=0.02, false=0.03)


@pytest.fixture
def store(tmp_path, movie):
    """A store of a sheet with areas."""
    cells_, area = movie.detections, areas_of(movie, 21, kept=0.9)
    rows = [(*row, i) for i, row in enumerate(np.c_[cells_.frame, cells_.position_px, area].tolist())]
    made = DuckDBStore(tmp_path / "sheet.trackdb")
    ingest(write_rows(tmp_path / "sheet.csv", rows, header="t,y,x,area,id"), made)
    return made


def test_areas_of_a_store_are_read_unless_they_are_left_out_and_told_in_words(store):
    solved = answer("solve", store.path, "--cost", "learned")
    assert solved["estimates"]["daughters_over_mother_area"] == pytest.approx(0.9, abs=0.05)
    said = told(solved["estimates"])
    assert "of the mother's area, +-" in said
    assert said in run("info", store.path).stdout
    blind = answer("solve", store.path, "--cost", "learned", "--without", "areas")
    assert "daughters_over_mother_area" not in blind["estimates"]
    assert done(store, store.detection_set(), "solve")[-1].params["learned"]["areas"] is False


def test_a_solution_is_weighed_with_the_areas_that_it_was_found_with(store):
    chosen = store.detection_set()
    made = {}
    for areas in (True, False):
        config = Config(solve=SolveConfig(cost="learned"))
        config = replace(config, learned=replace(config.learned, areas=areas))
        report = solve(store, chosen, config)
        info = store.solutions(chosen)[report.solution]
        again = priced_again(store, chosen, info, Config(), Silent()).problem
        chosen_edges = open_solver("ilp").solve(again)
        assert chosen_edges.objective == pytest.approx(info.objective)
        made[areas] = info.objective
    assert made[True] != made[False]


def test_brightness_is_read_where_there_are_images(drawn, tmp_path):
    """An image that tells its column: the mean of a square is the column of its centre, and zero is not known."""
    images = tmp_path / "x"
    images.mkdir()
    for t in range(len(CENTRES)):
        columns = np.broadcast_to(np.arange(SHAPE[1], dtype=np.uint16), SHAPE)
        tifffile.imwrite(images / f"t{t:03d}.tif", columns, photometric="minisblack")
    made = DuckDBStore(tmp_path / "bright.trackdb")
    ingest(drawn, made, options=SourceOptions(images={"x": images}))
    chosen = made.detection_set()
    cells_ = made.detections(chosen)
    [brightness] = traits_of(made, chosen, cells_, EVERYTHING)  # all squares are of one size
    assert (brightness.name, brightness.adds_up) == ("brightness_x", False)
    column = np.log(cells_.position_px[:, 1])
    assert brightness.value == pytest.approx(column - np.median(column))
    plain = replace(EVERYTHING, areas=False, intensity=False, outlines=False)
    assert traits_of(made, chosen, cells_, plain) == ()
    assert [trait.name for trait in traits_of(made, chosen, cells_, replace(EVERYTHING, areas=False))] == [
        "brightness_x"
    ]
