"""What the learned cost counts of a lineage, and how little of it is believed: bells, hazards, looks, surroundings."""

from dataclasses import replace

import numpy as np
import pytest

from trackdb.engine.candidates import edges_of
from trackdb.engine.costs.learned import Outlines, Trait
from trackdb.engine.costs.learned.bell import SHARPEST, Bell, fit_bell
from trackdb.engine.costs.learned.drift import drift_of
from trackdb.engine.costs.learned.hazard import hazard_of, ratios_by_age, smoothed
from trackdb.engine.costs.learned.looks import Looks
from trackdb.engine.costs.learned.rates import LearnedRates
from trackdb.engine.costs.learned.student import StudentT, fit_student
from trackdb.engine.costs.learned.surroundings import surroundings_of
from trackdb.engine.costs.learned.traits import Inheritance
from trackdb.testing.movies import cells

from .learned_movies import lineage

USUAL = Bell(0.5, 0.8, 0.1, 4.0)


def test_a_bell_moves_as_the_sum_of_what_is_usual_and_of_its_numbers():
    """Five usual numbers spread by 0.2 around 0, and one at 0.5 that is 0.7 more than the line."""
    given, value = np.array([0.5]), np.array([1.6])
    found = USUAL.towards(value, given, np.ones(1), USUAL, 0.2, 5.0)
    weight = (4 + 1) / (4 + (0.7 / 0.1) ** 2)
    rows = np.array([[1, 0], [0, 0.2], [1, 0.5]])
    weights = np.diag([5.0, 5.0, weight])
    level, slope = np.linalg.solve(rows.T @ weights @ rows, rows.T @ weights @ [0.5, 0.2 * 0.8, 1.6])
    off = 1.6 - level - slope * 0.5
    assert (found.level, found.slope) == pytest.approx((level, slope))
    assert found.scale == pytest.approx(np.sqrt((weight * off**2 + 5 * 0.01) / (weight + 5)))


def test_a_bell_of_no_numbers_is_the_usual_one_and_none_is_sharper_than_two_per_cent():
    none = np.empty(0)
    assert Bell(0.0, 0.0, 1.0).towards(none, none, none, USUAL, 0.2, 5.0) == USUAL
    needle = Bell(0.0, 0.0, 1e-3)
    assert needle.towards(none, none, none, needle, 0.2, 5.0).scale == SHARPEST == 0.02


def test_few_numbers_tell_nothing_of_tails():
    """Six numbers all as far out: the lightest tails are likelier by less than the two nats that they cost."""
    value = np.array([0.1, -0.1] * 3)
    assert fit_bell(value, np.zeros(6), Bell(0.0, 0.0, 0.1), 1.0, worth=3.0).freedom == 4.0
    residual = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    assert fit_student(residual, np.eye(2), worth=5.0).freedom == 4.0


def test_a_scale_counts_the_usual_one_as_so_many_steps():
    none = np.zeros((10, 2))
    assert fit_student(none, np.eye(2), worth=5.0, freedoms=(4.0,)).scale == pytest.approx(np.eye(2) * 5 / 15)
    assert fit_student(none[:0], np.eye(2), worth=5.0).scale == pytest.approx(np.eye(2))


def test_steps_far_out_count_less_by_the_number_of_axes():
    found = StudentT(4 * np.eye(3), 5.0).weights(np.array([[0.0, 0, 0], [2, 2, 2]]))
    assert found == pytest.approx([(5 + 3) / 5, (5 + 3) / (5 + 3)])


def test_counts_are_summed_over_windows_that_end_with_the_movie():
    assert smoothed(np.array([1.0, 2, 3, 4]), 3) == pytest.approx([3, 6, 9, 7])
    assert not len(smoothed(np.empty(0), 3))


N = 400


def generations(division_frame, n_frames=14):
    """N pairs of sisters born from frame 0 to 1 go on to the end; divisions of each cell are expected in one frame.

    Half as many cells again are there from the beginning, and their age is not known.
    """
    old = 2 * N
    first = np.arange(N + old)
    movie_frames = [np.zeros(N + old), *(np.full(2 * N + old, t) for t in range(1, n_frames))]
    begin = np.cumsum([0, *(len(frame) for frame in movie_frames)])
    links = [(u, begin[1] + 2 * u + k) for u in range(N) for k in (0, 1)]
    links += [(u, begin[1] + 2 * N + u - N) for u in first[N:].tolist()]
    for t in range(1, n_frames - 1):
        links += [(begin[t] + i, begin[t + 1] + i) for i in range(2 * N + old)]
    frame = np.concatenate(movie_frames).astype(np.int64)
    place = np.random.default_rng(0).uniform(0, 100, (len(frame), 2))
    return surroundings_of(cells(frame, place)), lineage(links, len(frame)), np.where(frame == division_frame, 0.5, 0.0)


def test_a_wave_that_frames_tell_is_not_told_by_ages_again():
    """Cells of a known age divide in the wave as often as all others; ages are told from 3 frames, waves from 5."""
    around, found, divisions = generations(8)
    hazard = hazard_of(around, found, divisions, float(divisions.sum() / found.has_child.sum()))
    wave = around.order == 8
    born = np.flatnonzero(wave)[: 2 * N]
    assert hazard[wave].min() > 1
    assert hazard[born].mean() == pytest.approx(5 / 3 * hazard[wave][2 * N :].mean(), rel=0.02)


def test_ages_are_counted_in_frames_since_birth():
    """Only the sisters divide, seven frames after they were born."""
    around, found, divisions = generations(8)
    divisions[np.flatnonzero(around.order == 8)[2 * N :]] = 0
    ratio = ratios_by_age(around, found, divisions, float(divisions.sum() / found.has_child.sum()))
    assert ratio[6:9].min() > 1
    assert ratio[[4, 10]].max() < 0.2
    assert ratio.min() >= 0.02


def test_what_looks_tell_is_not_told_by_frames_again():
    """Every second cell is three times as likely to divide as the others, in all frames alike."""
    around, found, _ = generations(8)
    dividing = np.where(np.arange(len(around)) % 2, 1.5, 0.5)
    divisions = np.where(found.has_child, 0.1 * dividing, 0.0)
    hazard = hazard_of(around, found, divisions, 0.1, dividing)
    assert hazard == pytest.approx(dividing, rel=0.05)


def test_a_lineage_differs_where_children_daughters_or_false_points_do():
    one = lineage([(0, 2), (1, 3), (0, 3)], 4)
    assert one.differs_from(one) == 0
    for other in (
        replace(one, first=np.array([1, 2, -1, -1])),
        replace(one, second=np.full(4, -1)),
        replace(one, cell=np.array([True, True, False, True])),
    ):
        assert one.differs_from(other) == 0.25


def test_mothers_have_no_only_child_and_both_daughters_have_a_parent():
    found = lineage([(0, 2), (0, 3), (1, 4)], 6)
    assert found.continued.tolist() == [2]
    assert found.divided.tolist() == [0, 1]
    assert found.has_parent.tolist() == [False, False, True, True, True, False]
    assert found.has_child.tolist() == [True, True, False, False, False, False]


def test_ends_of_the_last_two_frames_tell_nothing():
    """A hundred cells in each of four frames all go on to the last one; half of them were expected to end."""
    frame = np.repeat(np.arange(4), 100)
    around = surroundings_of(cells(frame, np.random.default_rng(0).uniform(0, 100, (400, 2))))
    trait = Trait.of("area", np.exp(np.random.default_rng(1).normal(0, 0.3, 400)), adds_up=True)
    found, half = lineage([(u, u + 100) for u in range(300)], 400), np.full(2, 0.5)
    [ratio] = Looks.unlearned([trait]).ratios_of_ending(around, found, LearnedRates(0.01, half, half, 0.01, 0.01))
    assert ratio[1:-1].mean() == pytest.approx(3 / (3 * 10 * 0.5 + 3), rel=0.1)  # of three ranks of ten cells


def test_a_trait_that_stands_twice_explains_nothing_the_second_time():
    trait = Trait.of("area", np.exp(np.random.default_rng(1).normal(0, 0.3, 2000)), adds_up=True)
    looks = Looks.unlearned([trait, trait])
    found = lineage([(u, u + 1000) for u in range(1000)], 2000)
    share_of_larger = np.argsort(np.argsort(trait.value)) / 2000
    divisions = np.where(found.has_child, 0.1 + 0.1 * share_of_larger, 0.0)
    once, again = looks.ratios_of_dividing(found, divisions, 0.15)
    assert once[-1] > 1.2 > 0.8 > once[0]
    assert again == pytest.approx(np.ones(20), abs=0.1)


def test_masks_are_compared_where_the_drift_leads_and_with_cells_that_have_another_parent():
    """Four cells go 10 um to the right; a fifth begins, so that its candidates tell of no other cells."""
    place = np.array([[0, 0], [0, 30], [30, 0], [30, 30]], dtype=float)
    movie = cells([0] * 4 + [1] * 5, np.concatenate([place, place + np.array([0, 10]), [[15, 15]]]), (1.0, 1.0))
    source, target = np.array([0, 0, 1, 2, 2, 3]), np.array([4, 8, 5, 6, 7, 7])
    edges = edges_of(movie, source, target)
    outlines = Outlines.unlearned(np.array([0.9, 0.1, 0.9, 0.9, 0.3, 0.9]), np.full(9, 20.0), edges)
    around = surroundings_of(movie)
    found = lineage([(0, 4), (1, 5), (2, 6), (3, 7)], 9, others=[(0, 8), (2, 7)])
    drift = drift_of(around, found, np.ones(6))
    learned = outlines.with_links(around, found, drift, np.ones(6))
    assert drift.around_onward[0] == pytest.approx([0, 10])
    assert drift.around_backward[4] == pytest.approx([0, 10])
    assert learned.apart[0] == pytest.approx(0)
    assert learned.apart[1] == pytest.approx(np.linalg.norm([15, 15 - 10]) / 40)
    alone = replace(outlines, covered=np.array([0.9, np.nan, 0.9, 0.9, 0.3, 0.9]))
    assert learned.other == alone.with_links(around, found, drift, np.ones(6)).other


def hexagons(radius):
    """Places of a hexagonal lattice, 1 um apart, around the origin."""
    axis = np.arange(-radius, radius + 1)
    a, b = (side.ravel() for side in np.meshgrid(axis, axis))
    inside = np.abs(a + b) <= radius
    return np.c_[(a + b / 2)[inside], (np.sqrt(3) / 2 * b)[inside]]


def test_six_neighbours_tell_the_spacing_of_a_honeycomb():
    """The radius that would hold one of six neighbours that are 1 um away is 1 / sqrt(6)."""
    place = hexagons(5)
    around = surroundings_of(cells(np.zeros(len(place)), place, (1.0, 1.0)))
    middle = int(np.argmin((place**2).sum(axis=1)))
    assert around.spacing[middle] == pytest.approx(6**-0.5)
    assert around.log_density[middle] == pytest.approx(-np.log(np.pi / 6))


def test_the_border_is_on_all_sides():
    place = 10 * np.stack(np.meshgrid(np.arange(9.0), np.arange(9.0)), axis=-1).reshape(-1, 2)
    around = surroundings_of(cells(np.repeat([0, 1], 81), np.tile(place, (2, 1)), (1.0, 1.0)))
    near = ((place < around.reach) | (place > 80 - around.reach)).any(axis=1)
    assert 0 < near.mean() < 1
    assert np.array_equal(around.border, np.tile(near, 2))


AREAS = Trait.of("area", np.exp(np.random.default_rng(2).normal(0, 0.3, 600)), adds_up=True)


def test_a_part_of_the_cells_keeps_its_ranks_among_all():
    part = AREAS.part(100, 200)
    assert np.array_equal(part.rank, AREAS.rank[100:200])
    assert len(set(part.rank.tolist())) == 10
    assert np.array_equal(part.log_any, AREAS.log_any[100:200])
    assert AREAS.spread == pytest.approx(0.3, rel=0.1)


def test_the_difference_of_sisters_has_no_level_and_starts_as_that_of_any_two_cells():
    start = Inheritance.unlearned(AREAS)
    assert start.apart.scale == pytest.approx(np.sqrt(2) * AREAS.spread)
    mother, one, other = np.arange(200), np.arange(200, 400), np.arange(400, 600)
    larger, smaller = np.maximum(*AREAS.value[[one, other]]), np.minimum(*AREAS.value[[one, other]])
    sorted_ = replace(AREAS, value=np.concatenate([AREAS.value[:200], larger, smaller]))
    found = start.with_daughters(sorted_, mother, one, other, np.ones(200))
    assert (found.apart.level, found.apart.slope) == (0.0, 0.0)
    nothing = start.with_daughters(AREAS, mother, one, other, np.zeros(200))
    assert nothing.apart.scale == pytest.approx(np.sqrt(2) * AREAS.spread)
    assert nothing.together.scale == pytest.approx(max(2 * start.usual_child.scale, 0.4))


def test_what_daughters_keep_is_told_from_five_divisions_on():
    mother, one, other = np.arange(200), np.arange(200, 400), np.arange(400, 600)
    start = Inheritance.unlearned(AREAS)
    few = start.with_daughters(AREAS, mother, one, other, np.full(200, 0.01))
    many = start.with_daughters(AREAS, mother, one, other, np.ones(200))
    assert np.isnan(few.kept)
    assert np.isnan(few.deviation)
    off = AREAS.together(one, other) - AREAS.value[mother]
    weight = many.together.weights(AREAS.together(one, other), AREAS.value[mother])
    assert many.kept == pytest.approx(np.average(off, weights=weight))
    assert many.deviation == pytest.approx(np.sqrt(np.average((off - many.kept) ** 2, weights=weight)))
