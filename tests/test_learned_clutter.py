"""False points that stay for some frames: how the learned cost tells their short tracks from cells."""

import numpy as np
import pytest

from trackdb.engine.candidates import edges_of, link_nearest
from trackdb.engine.costs.learned import learn
from trackdb.engine.costs.learned.clutter import LONGEST, Clutter, Lasting
from trackdb.engine.costs.learned.lineage import NOBODY, Lineage
from trackdb.engine.costs.learned.rates import LearnedRates, count_rates, with_lasting
from trackdb.engine.costs.learned.surroundings import surroundings_of
from trackdb.engine.evidence import LearnedConfig
from trackdb.solvers import open_solver
from trackdb.testing.movies import cells

from .learned_movies import sheet, tracked

N_FRAMES = 25


def with_clutter(seed, lengths, *, n=40, n_frames=N_FRAMES, **options):
    """A sheet and false points that stay for some of the frames `lengths` each; return both, and which are false."""
    rng = np.random.default_rng(seed)
    old = sheet(seed, n_frames=n_frames, **options).detections
    low, high = old.position_px.min(axis=0), old.position_px.max(axis=0)
    frame, place = [old.frame], [old.position_px]
    for _ in range(n):
        stays, begins = rng.choice(lengths), rng.integers(1, n_frames - 1 - max(lengths))
        frame.append(begins + np.arange(stays))
        step = np.r_[np.zeros((1, 2)), rng.normal(0, 0.6, (stays - 1, 2))]
        place.append(rng.uniform(low + 5, high - 5) + step.cumsum(axis=0))
    frame, place = np.concatenate(frame), np.concatenate(place)
    order = np.argsort(frame, kind="stable")
    return cells(frame[order], place[order], old.scale_um), order >= len(old)


def test_false_points_that_stay_for_some_frames_are_left_out():
    movie, false = with_clutter(1, [1, 2, 3, 4, 5])
    learned, _, found = tracked(movie, max_gap=3)
    assert (~found.node[false]).mean() > 0.8
    assert found.node[~false].mean() > 0.995
    assert learned.model.rates.stays == pytest.approx(2 / 3, abs=0.15)  # 10 of 15 points follow another one
    assert learned.estimates()["false_again_per_false_detection"] == learned.model.rates.stays


def test_where_false_points_do_not_stay_no_track_is_doubted():
    movie, false = with_clutter(2, [1])
    learned, _, found = tracked(movie)
    assert learned.model.clutter is None
    assert learned.model.rates.stays == 0
    assert (~found.node[false]).mean() > 0.9


def test_cells_that_come_and_go_for_longer_are_kept():
    movie, visitors = with_clutter(3, [8, 9, 10])
    _, _, found = tracked(movie)
    assert found.node[visitors].all()


def test_where_all_detections_are_cells_none_is_doubted():
    movie, _ = with_clutter(1, [1, 2, 3, 4, 5])
    read = LearnedConfig(optional=False)
    edges = link_nearest(movie, max_gap=1)
    learned = learn(movie, edges, read)
    assert learned.model.clutter is None
    assert open_solver("ilp").solve(learned.problem(movie, edges)).node.all()


def test_the_same_movie_is_doubted_alike():
    """The posterior learns again what the solution learned."""
    movie, _ = with_clutter(1, [1, 2, 3, 4, 5])
    (one, edges, found), (other, _, _) = (tracked(movie, max_gap=3) for _ in range(2))
    assert one.model.clutter is not None
    again = open_solver("ilp").solve(other.problem(movie, edges))
    assert again.objective == found.objective
    assert (again.edge == found.edge).all()


def movie_of(frame, links, *, cell=None):
    """Cells in these frames, and a lineage of these links (source, target), ordered by source."""
    n = len(frame)
    movie = cells(frame, [[7.0 * i, 3.0 * (i % 3)] for i in range(n)])
    source, target = np.array(links, dtype=np.int64).reshape(-1, 2).T
    edges = edges_of(movie, source, target)
    first, second = np.full((2, n), NOBODY)
    for row, u in enumerate(source):
        (first if first[u] < 0 else second)[u] = row
    node = np.ones(n, dtype=bool) if cell is None else np.asarray(cell)
    return surroundings_of(movie), Lineage(first, second, node, edges.source, edges.target)


def test_tracks_inside_the_movie_are_found_and_those_at_its_ends_are_not():
    """Frames 0 .. 3: tracks 0-2, 1, 3-5-7, 4-6, 8; of the third only 4-6 and 1 neither begin first nor end last."""
    around, found = movie_of([0, 1, 1, 1, 1, 2, 2, 3, 3], [(0, 2), (3, 5), (4, 6), (5, 7)])
    clutter = Clutter.none(9).of(around, found)
    assert clutter.length.tolist() == [0, 1, 0, 0, 2, 0, 0, 0, 0]
    assert clutter.end.tolist() == [-1, 1, -1, -1, 6, -1, -1, -1, -1]
    assert clutter.steps.tolist() == [2]
    assert clutter.before.tolist() == [-1, -1, -1, -1, -1, -1, 4, -1, -1]


def test_a_daughter_that_ends_soon_is_doubted_and_a_mother_is_not():
    """0 goes on as 1, which divides into 2 and 3; only 2 goes on to the last frame."""
    around, found = movie_of([0, 1, 2, 2, 3, 3, 4], [(0, 1), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6)])
    clutter = Clutter.none(7).of(around, found)
    assert clutter.length.tolist() == [0, 0, 0, 2, 0, 0, 0]
    assert clutter.before.tolist() == [-1, -1, -1, -1, -1, 3, -1]


@pytest.mark.parametrize("length", range(1, LONGEST + 4))
def test_tracks_are_short_up_to_five_points(length):
    frame = np.r_[0, 1 + np.arange(length), length + 1]
    around, found = movie_of(frame, [(1 + k, 2 + k) for k in range(length - 1)])
    clutter = Clutter.none(length + 2).of(around, found)
    assert clutter.length[1] == (length if length <= LONGEST else 0)
    assert (clutter.edge >= 0).sum() == (length - 1 if length <= LONGEST else 0)


def test_what_was_left_out_is_remembered_as_long_as_it_is_left_out():
    frame, links = [0, 1, 2, 3, 4], [(1, 2), (2, 3)]
    around, found = movie_of(frame, links)
    doubted = Clutter.none(5).of(around, found).with_steps(np.array([-1.0, -2.0]))
    assert doubted.log_step.tolist() == [0, 0, -1, -2, 0]
    _, kept = movie_of(frame, [])
    assert doubted.of(around, kept).n_left == 0
    _, out = movie_of(frame, [], cell=[True, False, False, False, True])
    left = doubted.of(around, out)
    assert left.n_left == 2
    assert left.before.tolist() == [-1, -1, 1, 2, -1]
    assert left.log_step.tolist() == [0, 0, -1, -2, 0]
    assert left.of(around, found).n_left == 0


def test_a_false_track_costs_its_beginning_and_the_steps_of_a_point_that_stays():
    around, found = movie_of([0, 1, 2, 3, 4], [(1, 2), (2, 3)])
    rates = LearnedRates(0.01, np.full(2, 0.01), np.full(2, 0.01), 0.02, 0.01, stays=0.4)
    clutter = Clutter.none(5).of(around, found).with_steps(np.array([-1.0, -2.0]))
    alone = np.log(0.02 * 0.6**2) + around.log_density
    expected = [alone[0], alone[1], np.log(0.4) - 1, np.log(0.4) - 2, alone[4]]
    assert clutter.log_false(around, rates) == pytest.approx(expected)
    # against a cell that appears, goes on twice and leaves: the densities of the steps and of the detections fall out
    lasting = Lasting.of(clutter, np.ones(5, dtype=bool))
    assert lasting.begin.tolist() == [1]
    cell = 0.01 * (1 - 0.01 - 0.01) ** 2 * 0.01
    assert lasting.odds(around, rates, 0) == pytest.approx(0.02 * 0.6**2 * 0.4**2 / cell)


def test_shares_of_false_tracks_are_taken_from_the_ends_of_cells():
    """Of 5 cells, with a track of 3 points that is false by half: 1.5 are false, 1 of which follows another."""
    around, found = movie_of([0, 1, 2, 3, 4], [(1, 2), (2, 3)])
    lasting = Lasting.of(Clutter.none(5).of(around, found), np.ones(5, dtype=bool))
    counted = count_rates(around, found, np.zeros(2, dtype=np.int64), 0, 0.01)
    rates = with_lasting(counted, around, found, lasting, np.array([0.5]), 0)
    assert rates.false == pytest.approx((1.5 + 3) / 305)
    assert rates.stays == pytest.approx((1 + 2) / (1.5 + 20))
    border = int(around.border[3])
    n = (around.border == around.border[3]).sum()
    assert rates.disappear[border] == pytest.approx(counted.disappear[border] - 0.5 / (n + 300))
    assert rates.disappear[1 - border] == counted.disappear[1 - border]
