"""Costs without truth: rates that movies were drawn with are found again, and what they change is carried elsewhere."""

from dataclasses import replace

import numpy as np
import pytest

from trackdb.engine.candidates import link_nearest
from trackdb.engine.costs import fit, problem_from
from trackdb.engine.costs.shifts import CostShifts
from trackdb.engine.posterior.expectation import LARGEST, Expected, expected_at, learn_without_truth, scores_of
from trackdb.engine.posterior.unlabelled import UnlabelledFit, average, fit_without_truth, shifts_between
from trackdb.engine.scorers import open_scorer
from trackdb.engine.scorers.distance import Motion, fit_motion
from trackdb.errors import CalibrationError, ConfigError
from trackdb.solvers.posterior.marginals import estimate
from trackdb.testing.movies import cells, walk

FRAMES, SIDE = 10, 300.0


def drawn(seed, *, division=0.0, end=0.0, step=1.0, apart=1.0, side=SIDE, n=250):
    """Cells that walk, end, are born elsewhere as often as they end, and divide: what they did, and the movie.

    ::

        frame 0    o        o        o        o
                   |       / \\       |
        frame 1    o      o   o      x    n   o
    """
    rng = np.random.default_rng(seed)
    frames, place, divisions, ends, mothers = [], rng.uniform(0, side, (n, 2)), 0, 0, 0
    for t in range(FRAMES):
        frames.append(place)
        if t == FRAMES - 1:
            break
        fate = rng.random(len(place))
        gone, twice = fate < end, fate > 1 - division
        new = rng.uniform(0, side, (np.count_nonzero(gone), 2))
        second = place[twice] + rng.normal(0, apart, (np.count_nonzero(twice), 2))
        first = place[~gone] + rng.normal(0, step, (np.count_nonzero(~gone), 2))
        place = np.concatenate([first, second, new])
        divisions, ends, mothers = divisions + twice.sum(), ends + gone.sum(), mothers + len(fate)
    frame = np.repeat(np.arange(FRAMES), [len(of) for of in frames])
    movie = cells(frame, np.concatenate(frames))
    return movie, link_nearest(movie, max_distance=12 * step), divisions / mothers, ends / mothers


def fitted(movie, edges):
    motion = fit_motion(movie, edges)
    return motion, fit(movie, edges, scores_of(movie, edges, motion))


def wrong(rates):
    """Rates that are off by factors of two to five, and daughters that are what any cell is."""
    return replace(rates, division=0.1, disappear=0.01, appear=0.01, daughter_bonus=0.0)


@pytest.mark.parametrize("seed", [0, 1])
def test_rates_and_steps_that_a_movie_was_drawn_with_are_found(seed):
    """From wrong numbers: divisions and ends within a tenth of those that there were, steps within a fiftieth."""
    movie, edges, division, end = drawn(seed, division=0.03, end=0.05)
    _, rates = fitted(movie, edges)
    found = learn_without_truth(movie, edges, Motion(2.5), wrong(rates))
    assert found.rates.division == pytest.approx(division, rel=0.1)
    assert found.rates.disappear == pytest.approx(end, rel=0.1)
    assert found.motion.sigma == pytest.approx(1.0, rel=0.02)
    assert not found.kept_division
    again = learn_without_truth(movie, edges, found.motion, found.rates, rounds=1)
    assert again.rates.division == pytest.approx(found.rates.division, rel=0.01)


def test_where_nobody_divides_the_rate_of_divisions_is_kept_and_the_others_are_found():
    movie, edges, _, end = drawn(0, end=0.03, side=900.0)
    _, rates = fitted(movie, edges)
    found = learn_without_truth(movie, edges, Motion(2.5), wrong(rates))
    assert found.kept_division
    assert found.rates.division == 0.1
    assert found.rates.disappear == pytest.approx(end, rel=0.1)
    assert found.motion.sigma == pytest.approx(1.0, rel=0.02)
    assert fit_without_truth(movie, edges, Motion(2.5), wrong(rates)).shifts.division == 0


def test_scores_by_others_stay_and_rates_are_found():
    """The right densities, told as somebody else's: what they say of steps is not touched."""
    movie, edges, division, end = drawn(2, end=0.05, division=0.03)
    _, rates = fitted(movie, edges)
    found = fit_without_truth(movie, edges, scores_of(movie, edges, Motion(1.0)), wrong(rates))
    assert found.learned.motion is None
    assert found.shifts.temperature == pytest.approx(1.0)
    assert found.learned.rates.disappear == pytest.approx(end, rel=0.1)
    assert found.learned.rates.division == pytest.approx(division, rel=0.1)


def test_what_changes_is_carried_over_exactly_where_steps_are_normal():
    """Marginals at the shifted costs are those at the learned ones: constants of links are part of what is new."""
    movie, edges, _, _ = drawn(3, division=0.05, end=0.05, step=1.5)
    _, rates = fitted(movie, edges)
    even = replace(rates, appear_border=rates.appear, disappear_border=rates.disappear, daughter_bonus=1.0)
    other = replace(even, division=0.09, appear=0.04, appear_border=0.04, disappear=0.11, disappear_border=0.11)
    steps = Motion(2.0), Motion(1.3)
    before, after = (
        problem_from(movie, edges, scores_of(movie, edges, motion), of)
        for motion, of in zip(steps, (even, other), strict=True)
    )
    wanted = expected_at(movie, edges, steps[1], other)
    shifts = shifts_between(before, after, wanted)
    assert shifts.temperature == pytest.approx((1.3 / 2.0) ** 2)
    assert shifts.motion_scale == pytest.approx(1.3 / 2.0)
    found = estimate(shifts.applied(before))
    assert found.link == pytest.approx(wanted.link, abs=1e-6)
    assert found.new == pytest.approx(wanted.new, abs=1e-6)
    assert np.abs(estimate(before).link - wanted.link).max() > 0.1


def test_with_tails_the_shifted_costs_come_nearer_to_the_learned_ones():
    movie, edges, _, _ = drawn(4, division=0.05, end=0.05, step=1.5, apart=6.0)
    motion, rates = fitted(movie, edges)
    heavy = replace(motion, tail=0.25)
    start = replace(rates, division=0.01, disappear=0.02)
    found = fit_without_truth(movie, edges, heavy, start)
    before = problem_from(movie, edges, scores_of(movie, edges, heavy), start)
    wanted = expected_at(movie, edges, found.learned.motion, found.learned.rates).link

    def off(problem):
        return np.abs(estimate(problem).link - wanted).sum()

    assert off(found.shifts.applied(before)) < 0.3 * off(before)


def test_costs_that_did_not_change_are_not_shifted():
    movie, edges, _, _ = drawn(5, division=0.03, end=0.03)
    motion, rates = fitted(movie, edges)
    problem = problem_from(movie, edges, scores_of(movie, edges, motion), rates)
    same = shifts_between(problem, problem, estimate(problem))
    assert (same.temperature, same.appear, same.division, same.end) == pytest.approx((1, 0, 0, 0), abs=1e-9)


def test_links_that_all_cost_the_same_have_no_temperature():
    movie, edges, _, _ = drawn(5, end=0.03)
    motion, rates = fitted(movie, edges)
    problem = problem_from(movie, edges, scores_of(movie, edges, motion), rates)
    flat, higher = (replace(problem, edge_cost=np.full(len(edges), cost)) for cost in (2.0, 5.0))
    shifts = shifts_between(flat, higher, estimate(flat))
    assert shifts.temperature == 1
    assert shifts.appear == pytest.approx(-3)  # that links are dearer makes new cells cheaper


def test_movies_count_by_their_cells_and_temperatures_by_their_logarithms():
    movie, edges, _, _ = drawn(0, end=0.03)
    _, rates = fitted(movie, edges)
    some = Expected(rates, None, 1, 9.0)
    fits = [
        UnlabelledFit(CostShifts(4.0, 1.0, 2.0, -1.0), rates, some, 300),
        UnlabelledFit(CostShifts(0.25, -1.0, 0.0, 3.0), rates, some, 100),
    ]
    assert average(fits) == CostShifts(pytest.approx(2.0), 0.5, 1.5, 0.0)


def test_too_few_cells_and_no_rounds_are_refused():
    few = walk(0, n_frames=3, n_cells=20)
    edges = link_nearest(few)
    rates = fit(few, edges, open_scorer("distance").score(few, edges))
    with pytest.raises(CalibrationError, match="too few to learn from, 200 needed"):
        learn_without_truth(few, edges, fit_motion(few, edges), rates)
    with pytest.raises(ConfigError, match="0 rounds"):
        learn_without_truth(few, edges, fit_motion(few, edges), rates, rounds=0)


def test_what_does_not_settle_is_refused():
    movie, edges, _, _ = drawn(0, division=0.03, end=0.05)
    _, rates = fitted(movie, edges)
    with pytest.raises(CalibrationError, match="did not settle in 2 rounds") as refused:
        learn_without_truth(movie, edges, Motion(5.0), rates, rounds=2)
    assert "divide in a frame" in refused.value.details["last"]


def test_a_rate_that_runs_away_is_refused():
    """Cells that are thrown anew in every frame: by their candidates all may have ended, and all be new."""
    rng = np.random.default_rng(0)
    movie = cells(np.repeat(np.arange(6), 100), rng.uniform(0, 1000, (600, 2)))
    edges = link_nearest(movie, max_distance=200.0)
    _, rates = fitted(movie, edges)
    with pytest.raises(CalibrationError, match=f"runs away to {LARGEST:g}|did not settle"):
        learn_without_truth(movie, edges, Motion(5.0), rates)
