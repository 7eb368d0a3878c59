"""Costs from truth: those that frames were drawn with are found again; gradients by differences; refusals."""

from dataclasses import replace

import numpy as np
import pytest

from trackdb.engine.metrics.calibration import NEW
from trackdb.engine.posterior import learning
from trackdb.engine.posterior.judging import TrueParents
from trackdb.engine.posterior.learning import CostShifts, TrainingMovie, fit_costs
from trackdb.errors import CalibrationError, SchemaError
from trackdb.solvers.posterior.marginals import estimate
from trackdb.testing.frame_pairs import frame_pair
from trackdb.testing.problems import small_problem, with_every_pair

AWAY = CostShifts(temperature=0.5, appear=-1.0, division=-1.2)
BACK = CostShifts(temperature=2.0, appear=1.0, division=1.2)


def movie(n, seed, *, known=1.0, shifts=AWAY, **rates):
    """Two frames drawn from the cost model, priced wrongly; a share of the daughters is known, and all mothers are."""
    pair = frame_pair(n, 0.25, seed, **rates)
    rng = np.random.default_rng(seed)
    mother = np.r_[np.full(pair.n_mothers, NEW), pair.parent]
    seen = np.r_[np.ones(pair.n_mothers, bool), rng.random(len(pair.parent)) < known]
    return TrainingMovie(shifts.applied(pair.problem), TrueParents(mother, seen))


def as_row(shifts):
    return np.array([np.log(shifts.temperature), shifts.appear, shifts.division])


def test_costs_that_were_moved_are_moved_back():
    """Within four standard errors of what the frames were drawn with, and likelier than before."""
    learned = fit_costs([movie(1500, seed) for seed in (0, 1)])
    error = np.array([learned.error.temperature, learned.error.appear, learned.error.division])
    assert np.all(np.abs(as_row(learned.shifts) - as_row(BACK)) < 4 * error)
    assert error.max() < 0.3
    assert learned.shifts.end == 0
    assert learned.nll_after < learned.nll_before - 0.02
    assert learned.shifts.motion_scale == pytest.approx(np.sqrt(learned.shifts.temperature))


def test_an_end_costs_what_a_new_cell_and_a_division_make_of_it():
    """Moved costs of ends change no probability that those of new cells and divisions could not change."""
    problem = frame_pair(80, 0.25, 5).problem
    dearer = replace(problem, disappear_cost=problem.disappear_cost + 0.7 * (problem.frame == 0))
    moved = CostShifts(appear=0.7, division=0.7).applied(problem)
    assert estimate(dearer).link == pytest.approx(estimate(moved).link, abs=1e-9)


def test_what_is_learned_helps_another_movie():
    learned = fit_costs([movie(1500, 0)])
    other = movie(800, 9)
    before, after = (
        learning._questions([other], [other.truth.mother], shifts) for shifts in (CostShifts(), learned.shifts)
    )
    nll = [learning.mean_nll(learning.answers(q).true_probability) for q in (before, after)]
    assert nll[1] < nll[0] - 0.02


def test_a_truth_of_half_of_the_daughters_says_the_same_less_surely():
    learned = fit_costs([movie(1500, seed, known=0.5) for seed in (0, 1)])
    assert as_row(learned.shifts) == pytest.approx(as_row(BACK), abs=0.45)
    assert learned.daughters < 1900


def test_the_gradient_is_that_of_the_likelihood():
    """Expected minus observed counts, against differences of ln Z, at costs that are neither right nor simple."""
    part = movie(60, 3, known=0.7, shifts=CostShifts())
    known = learning._Known.of(part)
    theta = np.array([0.2, -0.3, 0.4])

    def loss(theta):
        shifts = learning._shifts(theta)
        priced = known.priced(shifts)
        return estimate(shifts.applied(part.problem), width=20).log_z - estimate(priced, width=20).log_z

    shifts = learning._shifts(theta)
    counts = learning._counts(known.problem, known.priced(shifts))
    counts -= learning._counts(part.problem, shifts.applied(part.problem))
    slope = counts * np.array([-1 / shifts.temperature, 1, 1])
    near = [(loss(theta + 1e-4 * side) - loss(theta - 1e-4 * side)) / 2e-4 for side in np.eye(3)]
    # outcomes below a millionth are left out of the marginals, so counts are not exact to the last digit
    assert slope == pytest.approx(near, abs=0.01)


def test_of_a_truth_without_divisions_nothing_is_learned_of_what_one_costs():
    learned = fit_costs([movie(1500, 4, shifts=CostShifts(appear=-1.0), division=1e-9)])
    assert learned.divisions == 0
    assert learned.shifts.division == 0
    assert np.isnan(learned.error.division)
    assert learned.shifts.appear == pytest.approx(1.0, abs=4 * learned.error.appear)


def test_few_divisions_are_too_little_to_make_the_others_impossible():
    """The prior holds what one costs within reason."""
    learned = fit_costs([movie(1500, 4, shifts=CostShifts(), division=3e-3)])
    assert 0 < learned.divisions < 9
    assert 0 < abs(learned.shifts.division) < 6


def test_divisions_of_the_truth_are_counted():
    part = movie(200, 0)
    mother = part.truth.mother[part.truth.mother >= 0]
    twice = sum(np.count_nonzero(mother == m) == 2 for m in set(mother.tolist()))
    assert learning._divisions(part.truth) == twice > 0


def test_free_beginnings_and_ends_stay_free():
    problem = frame_pair(20, 0.2, 0).problem
    changed = BACK.applied(problem)
    assert np.all(changed.appear_cost[problem.frame == 0] == 0)
    assert np.all(changed.disappear_cost[problem.frame == 1] == 0)
    assert changed.appear_cost[problem.frame == 1] == pytest.approx(problem.appear_cost[problem.frame == 1] + 1)
    assert np.all(changed.division_cost + changed.disappear_cost >= 0)


def test_too_little_truth_is_refused():
    with pytest.raises(CalibrationError, match="too few"):
        fit_costs([movie(100, 0)])
    easy = movie(400, 0, division=1e-6, end=1e-6, appear=1e-6)
    far = replace(easy, problem=replace(easy.problem, edge_cost=np.where(_true_links(easy), -50.0, 50.0)))
    with pytest.raises(CalibrationError, match="without an error"):
        fit_costs([far])


def _true_links(part):
    return part.truth.mother[part.problem.target] == part.problem.source


def test_costs_of_pairs_are_refused():
    paired = with_every_pair(small_problem(0), 0)
    truth = TrueParents(np.full(paired.n_nodes, NEW), np.ones(paired.n_nodes, bool))
    with pytest.raises(SchemaError, match="priced as pairs"):
        fit_costs([TrainingMovie(paired, truth)])
