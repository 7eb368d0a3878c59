"""The learned model as a whole: drawn movies with the answer by hand, recovered parameters, and bad input."""

import numpy as np
import pytest

from trackdb.engine.candidates import link_nearest
from trackdb.engine.costs.learned import learn
from trackdb.solvers import open_solver
from trackdb.testing.movies import cells

from .learned_movies import Sheet, f1, linked, sheet, tracked


def with_points(movie, frame, place):
    """Add points to a sheet, rows of the sheet first; return the detections and the row of each of the sheet's rows."""
    old = movie.detections
    frames = np.append(old.frame, frame)
    order = np.argsort(frames, kind="stable")
    places = np.concatenate([old.position_px, np.atleast_2d(place)])[order]
    return cells(frames[order], places, old.scale_um), np.argsort(order)


def without(movie, gone):
    """Take detections out of a sheet; return what is left and the row of each of the sheet's rows, -1 where gone."""
    old = movie.detections
    kept = ~np.isin(np.arange(len(old)), gone)
    return cells(old.frame[kept], old.position_px[kept], old.scale_um), np.where(kept, np.cumsum(kept) - 1, -1)


def test_a_false_point_beside_a_track_is_left_out_and_the_track_goes_on():
    movie = sheet(1)
    inside = 7 * 64 + 27
    detections, row = with_points(movie, 7, movie.detections.position_px[inside] + 4)
    _, edges, found = tracked(detections)
    assert not found.node[row[-1]]
    assert found.node.sum() == len(movie.detections)
    assert {tuple(row[list(link)]) for link in movie.link.tolist()} == linked(edges, found)
    assert found.proven


def test_a_missed_frame_is_bridged():
    movie = sheet(2)
    cell = 27
    detections, row = without(movie, [7 * 64 + cell])
    _, edges, found = tracked(detections)
    assert (row[6 * 64 + cell], row[8 * 64 + cell]) in linked(edges, found)


def test_cells_that_hide_for_three_frames_come_back_as_themselves():
    movie = sheet(2, n_frames=20, step=1.5)
    hidden = [(5 + k, 9 * k + 4) for k in range(7)]  # first frame out of sight, and the cell
    detections, row = without(movie, [(t + k) * 64 + cell for t, cell in hidden for k in range(3)])
    learned, edges, found = tracked(detections, max_gap=3)
    over = {(row[(t - 1) * 64 + cell], row[(t + 3) * 64 + cell]) for t, cell in hidden}
    assert over <= linked(edges, found)
    assert np.bincount(edges.source[found.edge]).max() == 1
    assert learned.model.rates.again > 0.3
    assert learned.spans.reach == 3


def test_where_misses_do_not_come_in_runs_links_reach_over_one_missed_frame_alone():
    movie = sheet(2, n_frames=20, missed=0.03, division=0.01)
    learned, wide, found = tracked(movie.detections, max_gap=3)
    _, edges, same = tracked(movie.detections, max_gap=1)
    assert learned.spans.reach == 1
    assert len(wide) > len(edges)
    assert linked(wide, found) == linked(edges, same)


def test_divisions_are_found_with_both_daughters():
    movie = sheet(3, division=0.015, n_frames=20)
    _, edges, found = tracked(movie.detections)
    true = set(map(tuple, movie.link.tolist()))
    assert movie.divisions > 10
    assert len(linked(edges, found) & true) > 0.99 * len(true)


def test_one_cell_that_divides_among_cells_that_never_do_has_two_daughters():
    """Cell 27 parts in frame 8: daughters go on 3.5 um to both sides of where it would be."""
    movie = sheet(1)
    mother = 7 * 64 + 27
    one = [t * 64 + 27 for t in range(8, 15)]
    old = movie.detections
    place = old.position_px.copy()
    other = place[one] - [0.0, 3.5]
    place[one] += [0.0, 3.5]
    parted = Sheet(cells(old.frame, place, old.scale_um), movie.link, movie.real)
    detections, row = with_points(parted, old.frame[one], other)
    _, edges, found = tracked(detections)
    children = edges.target[found.edge & (edges.source == row[mother])]
    assert set(children.tolist()) == {row[one[0]], row[len(place)]}
    assert (np.bincount(edges.source[found.edge]) == 2).sum() == 1
    assert found.node.all()


def test_a_daughter_that_is_missed_in_her_first_frame_is_her_mothers_all_the_same():
    movie = sheet(3, division=0.015, n_frames=20)
    mother = np.flatnonzero(np.bincount(movie.link[:, 0]) == 2)
    frame = movie.detections.frame[mother]
    mother = int(mother[(frame > 3) & (frame < 15)][0])
    one, other = movie.link[movie.link[:, 0] == mother, 1].tolist()
    grandchild = int(movie.link[movie.link[:, 0] == other, 1][0])
    detections, row = without(movie, [other])
    _, edges, found = tracked(detections)
    assert {(row[mother], row[one]), (row[mother], row[grandchild])} <= linked(edges, found)


def test_a_sheet_that_drifts_by_most_of_a_spacing_is_followed():
    movie = sheet(4, drift=(6.0, 3.0), n_frames=12)
    learned, edges, found = tracked(movie.detections)
    assert f1(movie, edges, found) > 0.99
    assert learned.model.motion.coefficient[3, 0] == pytest.approx(1, abs=0.1)


def test_two_cells_that_pass_each_other_keep_their_ways():
    """Among cells that stand, one goes right and one left by 2 um a frame, 1 um apart where they meet."""
    movie = sheet(5, n_frames=16, step=0.1)
    t = np.arange(16)
    right, left = np.c_[np.full(16, 33.0), 15 + 2.0 * t], np.c_[np.full(16, 34.0), 47 - 2.0 * t]
    still = movie.detections.position_px
    keep = ~(np.abs(still[:, 0] - 33.5) < 6)
    frames = np.r_[movie.detections.frame[keep], t, t]
    order = np.argsort(frames, kind="stable")
    detections = cells(frames[order], np.concatenate([still[keep], right, left])[order], (1.0, 1.0))
    row = np.argsort(order)
    _, edges, found = tracked(detections)
    n = int(keep.sum())
    ways = {(row[n + k + 16 * w], row[n + k + 1 + 16 * w]) for w in (0, 1) for k in range(15)}
    assert ways <= linked(edges, found)


@pytest.mark.parametrize("ndim", [2, 3])
def test_what_cells_do_is_recovered_from_a_simulated_movie(ndim):
    side, frames = (10, 30) if ndim == 2 else (5, 30)
    movie = sheet(6, side=side, ndim=ndim, n_frames=frames, division=0.01, missed=0.03, false=0.03)
    learned, edges, found = tracked(movie.detections)
    rates = learned.model.rates
    assert rates.division == pytest.approx(0.01, abs=0.003)
    assert rates.miss == pytest.approx(0.03, abs=0.01)
    assert rates.false == pytest.approx((~movie.real).mean(), abs=0.012)
    assert f1(movie, edges, found) > 0.97
    assert (~found.node & ~movie.real).sum() > 0.9 * (~movie.real).sum()


def test_where_nobody_divides_there_are_no_divisions():
    movie = sheet(7, n_frames=20)
    learned, edges, found = tracked(movie.detections)
    assert learned.model.rates.division < 0.001
    assert np.bincount(edges.source[found.edge]).max() == 1
    assert f1(movie, edges, found) > 0.995


def test_a_unit_of_length_changes_nothing():
    movie = sheet(8, division=0.02, missed=0.02, false=0.02).detections
    _, edges, found = tracked(movie)
    scaled = cells(movie.frame, movie.position_px, (1000.0, 1000.0))
    _, scaled_edges, same = tracked(scaled)
    assert linked(edges, found) == linked(scaled_edges, same)


@pytest.mark.parametrize("n_frames", [1, 2])
def test_a_movie_of_one_or_two_frames_is_tracked(n_frames):
    movie = sheet(9, n_frames=n_frames)
    _, edges, found = tracked(movie.detections)
    assert linked(edges, found) == set(map(tuple, movie.link.tolist()))


@pytest.mark.parametrize("max_gap", [0, 1, 3])
def test_three_cells_are_tracked(max_gap):
    rng = np.random.default_rng(10)
    place = np.array([[0, 0], [20, 0], [0, 20]]) + rng.normal(0, 0.5, (6, 3, 2))
    movie = cells(np.repeat(np.arange(6), 3), place.reshape(-1, 2), (1.0, 1.0))
    learned, edges, found = tracked(movie, max_gap=max_gap)
    assert linked(edges, found) == {(i, i + 3) for i in range(15)}
    assert 0 < learned.model.rates.division < 0.05


def test_one_cell_and_none_are_tracked():
    one = cells([0, 1, 2], [[0, 0], [0, 1], [0, 2]], (1.0, 1.0))
    _, edges, found = tracked(one)
    assert linked(edges, found) == {(0, 1), (1, 2)}
    none = cells(np.empty(0), np.empty((0, 2)), (1.0, 1.0))
    assert not tracked(none)[2].edge.any()


def test_cells_that_are_all_new_in_each_frame_give_sane_parameters():
    rng = np.random.default_rng(11)
    movie = cells(np.repeat(np.arange(10), 50), rng.uniform(0, 100, (500, 2)), (1.0, 1.0))
    learned, _, found = tracked(movie)
    rates = learned.model.rates
    assert np.isfinite(found.objective)
    assert 0 < rates.division < 0.5
    assert 0 < rates.miss < 0.5
    assert (np.linalg.eigvalsh(learned.model.motion.scale) > 0).all()


def test_an_empty_frame_is_no_reason_to_end():
    movie = sheet(12, frames=[0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
    learned, edges, found = tracked(movie.detections)
    assert linked(edges, found) == set(map(tuple, movie.link.tolist()))
    assert learned.model.rates.miss < 0.01


def test_every_second_frame_number_is_the_same_movie():
    movie = sheet(13, division=0.02, missed=0.02)
    _, edges, found = tracked(movie.detections)
    doubled = cells(2 * movie.detections.frame, movie.detections.position_px, (1.0, 1.0))
    _, wide, same = tracked(doubled, max_gap=3)
    assert linked(edges, found) == linked(wide, same)


def test_intervals_that_change_are_followed():
    movie = sheet(14, frames=[0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15, 17, 19, 21])
    _, edges, found = tracked(movie.detections)
    assert linked(edges, found) == set(map(tuple, movie.link.tolist()))


def test_a_jump_of_the_stage_is_followed_as_drift():
    """All cells are 4 um off from frame 7 on, less than half a spacing."""
    movie = sheet(15)
    jumped = movie.detections.position_px + np.where(movie.detections.frame >= 7, 4.0, 0.0)[:, None]
    _, edges, found = tracked(cells(movie.detections.frame, jumped, (1.0, 1.0)))
    assert f1(movie, edges, found) > 0.99


def test_points_that_stand_twice_are_no_obstacle():
    movie = sheet(16)
    twice = [27, 5 * 64 + 3, 9 * 64 + 40]
    old = movie.detections
    detections, row = with_points(movie, old.frame[twice], old.position_px[twice])
    _, edges, found = tracked(detections)
    true = {tuple(row[list(link)]) for link in movie.link.tolist()}
    assert len(linked(edges, found) & true) >= len(true) - 2 * len(twice)


def test_cells_on_a_line_and_cells_that_stand_still_are_tracked():
    place = np.c_[np.zeros(30), 10.0 * np.arange(30)]
    movie = cells(np.repeat(np.arange(6), 30), np.tile(place, (6, 1)), (1.0, 1.0))
    _, edges, found = tracked(movie)
    assert linked(edges, found) == {(i, i + 30) for i in range(150)}


def test_rounds_end_where_nothing_changes_and_are_bounded_where_something_always_does(caplog):
    caplog.set_level("DEBUG", logger="trackdb.engine.costs.learned.schedule")
    tracked(sheet(1).detections)
    assert sum(record.message.startswith("round") for record in caplog.records) == 2
    caplog.clear()
    rng = np.random.default_rng(19)
    noise = cells(np.repeat(np.arange(8), 40), rng.uniform(0, 60, (320, 2)), (1.0, 1.0))
    tracked(noise, rounds=5)
    assert sum(record.message.startswith("round") for record in caplog.records) == 4


def test_the_same_movie_gets_the_same_answer():
    movie = sheet(17, division=0.02, missed=0.02, false=0.02).detections
    one, other = tracked(movie), tracked(movie)
    assert one[0].problem(movie, one[1]).edge_cost == pytest.approx(other[0].problem(movie, other[1]).edge_cost, abs=0)
    assert np.array_equal(one[2].edge, other[2].edge)


def test_candidates_without_an_edge_leave_cells_alone():
    movie = cells([0, 1], [[0, 0], [500, 500]], (1.0, 1.0))
    edges = link_nearest(movie, max_distance=1.0)
    problem = learn(movie, edges).problem(movie, edges)
    found = open_solver("ilp").solve(problem)
    assert not len(found.edge)
    assert np.isfinite(found.objective)
