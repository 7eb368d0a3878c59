"""Each term of the learned cost by hand: what a price, a rate or a density counts, and what it leaves out."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import f as ratio_of_squares

from trackdb.engine.candidates import link_nearest
from trackdb.engine.costs.learned import Outlines, Trait, learn
from trackdb.engine.costs.learned import model as learned_model
from trackdb.engine.costs.learned.births import births_of, shares_of
from trackdb.engine.costs.learned.daughters import Daughters, Shapes, shapes_of
from trackdb.engine.costs.learned.drift import Drift, drift_of, predictors
from trackdb.engine.costs.learned.estimates import estimates_of
from trackdb.engine.costs.learned.lessons import late_daughters
from trackdb.engine.costs.learned.lineage import Lineage
from trackdb.engine.costs.learned.looks import NO_LOOKS
from trackdb.engine.costs.learned.model import Spans, log_densities, prices_of, problem_of
from trackdb.engine.costs.learned.motion import Motion, learn_motion
from trackdb.engine.costs.learned.rates import LearnedRates, count_rates
from trackdb.engine.costs.learned.surroundings import surroundings_of
from trackdb.testing.movies import cells

from .learned_movies import lineage, sheet

INSIDE_AND_BORDER = np.array([0.02, 0.05])
RATES = LearnedRates(0.03, INSIDE_AND_BORDER, INSIDE_AND_BORDER[::-1], 0.04, miss=0.06, again=0.3)


def at_random(frame, seed=0):
    """Cells of these frames at random places of a square of 100 um."""
    return cells(frame, np.random.default_rng(seed).uniform(0, 100, (len(frame), 2)), (1.0, 1.0))


@pytest.fixture
def priced():
    """A sheet of cells that divide and are missed, with looks and masks at random, and its learned model."""
    movie = sheet(3, n_frames=8, side=5, division=0.1, missed=0.04, false=0.04).detections
    edges = link_nearest(movie, max_gap=1)
    rng = np.random.default_rng(0)
    traits = [
        Trait.of("area", rng.uniform(50, 150, len(movie)), adds_up=True),
        Trait.of("brightness", rng.uniform(1, 3, len(movie)), adds_up=False),
    ]
    outlines = Outlines.unlearned(rng.uniform(0, 1, len(edges)), np.full(len(movie), 6.0), edges)
    return movie, edges, learn(movie, edges, traits=traits, outlines=outlines)


def test_links_beginnings_ends_and_false_points_cost_what_their_probabilities_say(priced):
    _, edges, learned = priced
    around, spans, rates = learned.around, learned.spans, replace(learned.model.rates, stays=0.2)
    found = prices_of(around, edges, spans, learned.drift, replace(learned.model, rates=rates, clutter=None))
    every = np.arange(len(edges))
    log = log_densities(around, edges, spans, learned.drift, learned.model.motion, every)
    log += learned.model.looks.log_child(every, edges.source, edges.target)
    log += np.log(1 - rates.miss) + np.log(rates.one_child(around))[edges.source]
    log += np.where(spans.missed == 1, np.log(rates.miss), 0.0)
    assert found.link == pytest.approx(np.minimum(-log, learned_model.DEAREST))
    assert found.appear == pytest.approx(-np.log(rates.new(around, 1)) - around.log_density)
    assert found.disappear == pytest.approx(-np.log(rates.last(around, 1)))
    assert found.false == pytest.approx(-np.log(rates.false) - 2 * np.log(1 - 0.2) - around.log_density)


def test_pricing_in_parts_changes_no_price(priced, monkeypatch):
    _, edges, learned = priced
    given = learned.around, edges, learned.spans, learned.drift, learned.model
    whole = prices_of(*given).link
    monkeypatch.setattr(learned_model, "AT_ONCE", 7)
    assert np.array_equal(prices_of(*given).link, whole)


def test_pairs_cost_places_looks_masks_and_missed_frames_together(priced):
    """Against all evidence of every two candidates of a mother, one or both of them a frame later."""
    _, edges, learned = priced
    around, spans, model = learned.around, learned.spans, learned.model
    n = len(around)
    model = replace(model, hazard=np.linspace(0.5, 2, n), open=np.arange(n) % 3 == 0, skipped_to=np.arange(n) % 7 == 0)
    problem = problem_of(around, edges, spans, learned.drift, model)
    both = [(a, b) for a, b in combinations(range(len(edges)), 2) if edges.source[a] == edges.source[b]]
    first, second = np.array(both).T
    mother, one, other = edges.source[first], edges.target[first], edges.target[second]
    time = spans.elapsed[first], spans.elapsed[second]
    shape = shapes_of(around, learned.drift, mother, one, other, time, model.motion.drift_coefficient)
    late = (spans.missed[first] == 1), (spans.missed[second] == 1)
    gain = model.daughters.log_density(shape) + np.log(model.rates.division * model.hazard[mother])
    gain += 2 * np.log(1 - model.rates.miss) + np.where(late[0] | late[1], np.log(model.rates.miss), 0.0)
    gain += model.looks.log_daughters((first, second), mother, one, other)
    pays = -gain < problem.appear_cost[one] + problem.appear_cost[other] + problem.disappear_cost[mother]
    born, offered = model.open, model.open | model.skipped_to
    may = (~late[0] | offered[one]) & (~late[1] | offered[other])
    may &= (~late[0] & ~late[1]) | (late[0] & born[one]) | (late[1] & born[other])
    listed = set(zip(problem.pairs.first.tolist(), problem.pairs.second.tolist(), strict=True))
    wanted = pays & may
    assert (wanted & late[0] & late[1]).any()
    assert (wanted & (late[0] != late[1])).any()
    assert listed == set(zip(first[wanted].tolist(), second[wanted].tolist(), strict=True))
    assert problem.pairs.cost_of(first[wanted], second[wanted], len(edges)) == pytest.approx(-gain[wanted])


def test_two_traits_and_both_masks_count_for_daughters(priced):
    """Each of two traits counts a quarter, and the masks of both daughters count."""
    _, edges, learned = priced
    looks, (a, b) = learned.model.looks, (np.array([0]), np.array([1]))
    mother, one, other = edges.source[a], edges.target[a], edges.target[b]
    traits = zip(looks.traits, looks.inherited, strict=True)
    parts = sum(0.25 * known.log_daughters(trait, mother, one, other) for trait, known in traits)
    parts += looks.outlines.log_daughter(a) + looks.outlines.log_daughter(b)
    assert looks.log_daughters((a, b), mother, one, other) == pytest.approx(parts)


@pytest.fixture
def births():
    r"""Two mothers; 7 and 8 begin in frame 2, 7 goes on and 8 does not; 13 begins in the last frame.

    0 - 2 - 4 - 9
          \ 5 - 10
    1 - 3 - 6 - 11
            7 - 12
            8   13
    """
    movie = at_random([0, 0, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3])
    links = [(0, 2), (1, 3), (2, 4), (2, 5), (3, 6), (4, 9), (5, 10), (6, 11), (7, 12)]
    return surroundings_of(movie), lineage(links, 14, others=[(2, 7), (3, 7), (3, 8), (7, 13), (0, 4)])


def born_of(around, found, missed=()):
    """The births of a lineage, where some candidates skip a frame and no cell moves with others."""
    m = len(found.source)
    skips = np.isin(np.arange(m), missed).astype(np.int64)
    drift = drift_of(around, found, np.ones(m))
    return births_of(around, drift, found, np.ones(m), skips, np.full(m, -3.0), 0.0)


def test_a_birth_that_ends_at_once_may_be_no_cell_and_is_not_shared(births):
    found = born_of(*births)
    assert np.flatnonzero(found.born).tolist() == [5, 7, 13]
    assert sorted(zip(found.mother.tolist(), found.child.tolist(), strict=True)) == [(2, 5), (2, 7), (3, 7), (7, 13)]


def test_a_mother_whose_child_was_missed_is_offered_no_second_daughter(births):
    around, found = births
    [skipped] = np.flatnonzero((found.source == 3) & (found.target == 6))
    offered = born_of(around, found, [skipped])
    assert (3, 7) not in set(zip(offered.mother.tolist(), offered.child.tolist(), strict=True))


def test_a_birth_is_shared_by_the_densities_of_being_new_and_of_being_a_daughter(births):
    around, found = births
    made, hazard = born_of(around, found), np.linspace(0.5, 2, 14)
    daughters = Daughters.unlearned(around, 4.0)
    share, new = shares_of(made, around, found, daughters, NO_LOOKS, RATES, hazard, 1)
    density = np.exp(daughters.log_density(made.shape) + 3.0) * 0.03 * hazard[made.mother] * (1 - 0.06)
    beginning = RATES.new(around, 1) * np.exp(around.log_density)
    for child in (5, 7, 13):
        rows = made.child == child
        total = density[rows].sum() + beginning[child]
        assert share[rows] == pytest.approx(density[rows] / total)
        assert new[child] == pytest.approx(beginning[child] / total)
    assert new[[0, 1, 2, 3, 4, 6, 8]] == pytest.approx(np.zeros(7))


def test_only_births_daughters_and_false_points_may_be_late_daughters(births):
    """6 is a child over a missed frame; what is no cell may be a daughter; nobody of the first frame may."""
    around, found = births
    found = replace(found, cell=np.arange(14) != 11)
    [skipped] = np.flatnonzero((found.source == 3) & (found.target == 6))
    spans = Spans(np.ones(14), np.isin(np.arange(14), [skipped]).astype(np.int64), 1)
    open_, skipped_to = late_daughters(around, spans, found)
    assert np.flatnonzero(open_).tolist() == [4, 5, 7, 8, 11, 13]
    assert np.flatnonzero(skipped_to).tolist() == [6]


def test_the_mid_point_is_taken_from_where_the_drift_of_all_three_leads():
    """Half of the drift around the mother and around the daughters, each over the time to the daughter."""
    movie = cells([0, 1, 2], [[0, 0], [3, 1], [5, 7]], (1.0, 1.0))
    around = surroundings_of(movie)
    onward, backward = np.array([[1.0, 0], [0, 0], [0, 0]]), np.array([[0, 0], [0.4, 0.2], [0.6, -0.2]])
    none = np.full((3, 2), np.nan)
    drift = Drift(none, none, onward, backward, none, none)
    rows = [np.array([row]) for row in range(3)]
    shape = shapes_of(around, drift, *rows, (np.array([1.0]), np.array([2.0])), 0.8)
    moved = 0.8 * ((onward[0] + backward[1]) / 2 + 2 * (onward[0] + backward[2]) / 2) / 2
    off, axis = np.array([4, 4]) - moved, np.array([-2.0, -6.0])
    unit = around.spacing[0] * np.sqrt(1.5)
    along = (off @ axis / np.linalg.norm(axis)) ** 2
    assert shape.along == pytest.approx(along / unit**2)
    assert shape.across == pytest.approx((off @ off - along) / unit**2)
    assert shape.log_distance == pytest.approx(np.log(np.linalg.norm(axis) / around.spacing[0]))
    assert shape.log_unit == pytest.approx(2 * np.log(unit * np.linalg.norm(axis)))


def test_daughters_start_as_far_apart_as_neighbours_with_a_mid_point_as_far_as_steps():
    around = surroundings_of(at_random([0] * 30))
    found = Daughters.unlearned(around, 4.0)
    assert found.log_distance == pytest.approx(np.log(np.median(around.nearest) / around.median_spacing))
    assert (found.along, found.across) == pytest.approx((4 / around.median_spacing**2,) * 2)
    assert found.usual_square == pytest.approx(2 / around.median_spacing**2)


def test_in_a_volume_there_are_two_directions_across():
    rng = np.random.default_rng(0)
    n = 4000
    chi = rng.chisquare(8, n) / 8
    shape = Shapes(
        np.full(n, -0.4),
        0.09 * rng.normal(size=n) ** 2 / chi,
        0.01 * (rng.normal(size=(2, n)) ** 2).sum(axis=0) / chi,
        np.zeros(n),
        3,
    )
    found = Daughters(-0.2, 0.3, 0.04, 0.02, -0.2, 0.03)
    for _ in range(20):
        found = found.learned(shape, np.ones(n))
    assert (found.along, found.across) == pytest.approx((0.09, 0.01), rel=0.1)
    assert found.spread == 0.1  # daughters that are all as far apart are still not known to be


def test_drift_of_four_neighbours_lies_between_the_middle_two():
    place = np.array([[0, 0], [0, 10], [10, 0], [10, 10], [5, 5]], dtype=float)
    step = np.array([[0, 1], [0, 2], [0, 3], [0, 10], [0, 0]], dtype=float)
    movie = cells([0] * 5 + [2] * 5, np.concatenate([place, place + step]), (1.0, 1.0))
    found = drift_of(surroundings_of(movie), lineage([(i, i + 5) for i in range(5)], 10), np.full(5, 2.0))
    assert found.around_onward[4] == pytest.approx([0, 1.25])  # (2 + 3) / 2, over two units of time
    assert found.onward[:5] == pytest.approx(step / 2)


def test_velocities_are_shared_by_weights_that_fall_off_with_the_fourth_power_of_the_distance():
    place = np.array([[0, 0], [0, 1], [90, 90]], dtype=float)
    step = np.array([[0, 1], [0, 3], [0, 0]], dtype=float)
    movie = cells([0] * 3 + [1] * 3, np.concatenate([place, place + step]), (1.0, 1.0))
    around = replace(surroundings_of(movie), reach=2 / 0.35)  # they touch within 2
    found = drift_of(around, lineage([(i, i + 3) for i in range(3)], 6), np.ones(3))
    weight = np.exp(-(0.5**4))
    assert found.shared_onward[0] == pytest.approx([0, (1 + 3 * weight) / (1 + weight)])


def test_what_a_cell_has_for_itself_is_relative_to_what_it_shares_and_grows_with_time():
    own, around, shared = np.array([[0, 5.0]]), np.array([[0, 1.0]]), np.array([[0, 3.0]])
    drift = Drift(own, own, around, around, shared, shared)
    row = np.zeros(1, dtype=np.int64)
    known = predictors(drift, row, row, np.array([2.0]))
    assert known.drift[0] == pytest.approx([0, 2])
    for column in (known.before, known.after, known.own_before, known.own_after):
        assert column[0] == pytest.approx([0, 4])
    assert known.pattern.tolist() == [3]


def known_before(before):
    """Predictors of links of which the velocity before is known alone."""
    nothing, zero = np.full_like(before, np.nan), np.zeros_like(before)
    rows = np.arange(len(before))
    return predictors(Drift(nothing, before, zero, zero, nothing, before), rows, rows, np.ones(len(before)))


def test_a_ridge_of_twenty_links_holds_coefficients_back():
    """Forty links that follow their velocity to the letter: a third of 20 / 40 is added to the diagonal."""
    before = np.random.default_rng(0).normal(size=(40, 2))
    start = Motion.unlearned(1.0, 2, 1)
    found = learn_motion(before, known_before(before), np.zeros(40, dtype=np.int64), np.ones(40), start)
    assert found.coefficient[1] == pytest.approx([0, 1 / (1 + 20 / 40 / 3), 0, 0, 0])


def test_the_scale_of_links_of_which_nothing_is_known_is_wider():
    step = np.random.default_rng(0).normal(size=(60, 2))
    known = known_before(np.zeros((60, 2)))
    found = learn_motion(step, known, np.zeros(60, dtype=np.int64), np.ones(60), Motion.unlearned(1.0, 2, 1))
    assert found.scale[0] == pytest.approx(1.5 * found.scale[2])
    order, elapsed = np.zeros(21, dtype=np.int64), np.ones(21)
    assert learn_motion(step[:20], known.take(np.arange(20)), order[:20], elapsed[:20], found) is found
    assert learn_motion(step[:21], known.take(np.arange(21)), order, elapsed, found) is not found


@pytest.mark.parametrize("ndim", [2, 3])
def test_six_in_a_hundred_steps_are_longer_than_the_reach_before_anything_is_learned(ndim):
    found = Motion.unlearned(5.0, ndim, 1)
    longer = ratio_of_squares.sf(5.0**2 / found.scale[0][0, 0] / ndim, ndim, found.freedom)
    assert longer == pytest.approx(0.06, abs=0.005)


def test_a_step_over_a_missed_frame_counts_as_three_scales_at_most():
    """Four steps that are far too long: each says that the variance grows by 9 / 2, 20 before them that it doubles."""
    n = 60
    step = np.concatenate([np.random.default_rng(0).normal(size=(n, 2)), np.full((4, 2), 1e3)])
    elapsed = np.r_[np.ones(n), np.full(4, 2.0)]
    known = known_before(np.zeros((n + 4, 2)))
    found = learn_motion(step, known, np.zeros(n + 4, dtype=np.int64), elapsed, Motion.unlearned(1.0, 2, 1))
    assert found.growth == pytest.approx((20 * 2 + 4 * 4.5) / (20 + 4))


def test_frames_in_which_steps_are_as_long_as_usual_have_the_usual_scale():
    motion = replace(Motion.unlearned(1.0, 2, 5), scale=np.stack([np.eye(2)] * 4))
    step = np.tile([1.0, 1.0], (10, 1))  # of the squared length 2, as many as axes
    found = motion.at_speeds_of(step, known_before(np.zeros((10, 2))), np.repeat(np.arange(5), 2), np.ones(10), 5)
    assert found.frame_scale == pytest.approx(np.ones(5))


def test_a_cell_that_neither_divides_nor_ends_goes_on_as_one():
    around = surroundings_of(at_random([0] * 20 + [1] * 20))
    rates = replace(RATES, dividing=np.linspace(0.5, 2, 40), ending=np.linspace(2, 0.5, 40))
    ends = np.where(around.border, 0.02, 0.05) * rates.ending
    assert 0 < np.count_nonzero(around.border) < 40
    assert rates.one_child(around) == pytest.approx(1 - 0.03 * rates.dividing - ends)
    assert replace(rates, division=0.9).one_child(around).min() == 0.5


def test_a_cell_of_the_third_frame_may_have_been_missed_in_both_before():
    around = surroundings_of(at_random([0] * 9 + [1] * 9 + [2] * 9 + [3] * 9))
    base = np.where(around.border, 0.05, 0.02)
    expected = np.select(
        [around.order == 0, around.order == 1, around.order == 2], [1.0, base + 0.06, base + 0.06 * 0.3], base
    )
    assert RATES.new(around, 2) == pytest.approx(expected)


def test_beginnings_and_ends_are_counted_apart_at_the_border():
    """Nine cells in five frames, none linked: those of the frames 2, 3, 4 begin and those of the frames 0, 1, 2 end."""
    movie = at_random(np.repeat(np.arange(5), 9))
    around = surroundings_of(movie)
    edges = link_nearest(movie, max_gap=1)
    rates = count_rates(around, Lineage.unlinked(edges, 45), np.zeros(len(edges), dtype=np.int64), 1, 0.01)
    both = (27 + 1.5) / (27 + 300)
    for found, counted in ((rates.appear, around.order > 1), (rates.disappear, around.order < 3)):
        here = [np.count_nonzero(counted & (around.border == side)) for side in (False, True)]
        assert found == pytest.approx([(k + 300 * both) / (k + 300) for k in here])


def test_estimates_are_told_in_their_units():
    """Two cells that go 4 um in two units of time each."""
    movie = cells([0, 0, 2, 2], [[0, 0], [50, 50], [0, 4], [50, 54]], (1.0, 1.0))
    around = surroundings_of(movie)
    edges = link_nearest(movie, max_distance=10)
    learned = learn(movie, edges, rounds=1)
    motion = replace(
        learned.model.motion, coefficient=np.arange(20.0).reshape(4, 5), scale=np.stack([4 * np.eye(2)] * 4)
    )
    daughters = Daughters(np.log(0.8), 0.3, 0.04, 0.09, 0.0, 1.0)
    model = replace(learned.model, motion=motion, daughters=daughters, rates=RATES)
    found = estimates_of(around, lineage([(0, 2), (1, 3)], 4), np.full(2, 2.0), model, "um")
    wanted = {
        "step_um_per_frame": 2.0,
        "division_per_cell_and_frame": 0.03,
        "miss_per_cell_and_frame": 0.06,
        "missed_again_per_missed_frame": 0.3,
        "false_per_detection": 0.04,
        "appear_per_cell_and_frame": 0.02,
        "appear_at_border_per_cell_and_frame": 0.05,
        "disappear_per_cell_and_frame": 0.05,
        "disappear_at_border_per_cell_and_frame": 0.02,
        "residual_um": 2.0,
        "share_of_drift": 15.0,
        "share_of_velocity": 16.0 + 17.0,
        "daughter_distance_spacings": 0.8,
        "daughter_distance_log_deviation": 0.3,
        "midpoint_along_spacings": 0.2,
        "midpoint_across_spacings": 0.3,
        "spacing_um": around.median_spacing,
    }
    assert {name: found[name] for name in wanted} == pytest.approx(wanted)
