"""Perturbed detections: what a draw changes, and what becomes of two cells that could be exchanged."""

import math

import numpy as np
import pytest

from trackdb.engine.candidates import link_nearest
from trackdb.engine.costs import fit, problem_from
from trackdb.engine.pixels import PixelsInMemory
from trackdb.engine.posterior.perturbation import (
    Perturbation,
    mean_pairs,
    mean_problem,
    perturbed_problems,
    solved_frequency,
)
from trackdb.engine.posterior.softmax import softmax
from trackdb.engine.scorers import open_scorer
from trackdb.errors import ConfigError
from trackdb.solvers import open_solver
from trackdb.solvers.daughters import Pairs
from trackdb.testing.movies import cells, measured, painted, walk

from .movies import square_mask


def test_places_move_by_a_tenth_of_the_spacing():
    movie = walk(0, n_frames=20, n_cells=25, extent=100.0)
    perturbation = Perturbation.of(movie)
    steps = [perturbation.draw(k)[0].position_px - movie.position_px for k in range(5)]
    near = np.concatenate(
        [
            np.sort(np.linalg.norm(p[:, None] - p[None], axis=-1), axis=1)[:, 1]
            for p in (movie.position_px[movie.frame == t] for t in range(20))
        ]
    )
    assert perturbation.sigma_px == pytest.approx(0.1 * np.median(near))
    assert np.std(steps) == pytest.approx(perturbation.sigma_px, rel=0.05)


def test_steps_are_as_long_along_every_axis_in_micrometres():
    movie = walk(0, n_frames=30, n_cells=30, ndim=3, scale_um=(2.0, 0.5, 0.5))
    step = Perturbation.of(movie, sigma_px=4.0).draw(0)[0].position_um - movie.position_um
    assert step.std(axis=0) == pytest.approx([2.0, 2.0, 2.0], rel=0.1)


def test_the_same_seed_draws_the_same():
    movie, pixels = painted(walk(2, n_frames=2, n_cells=9, extent=40.0))
    one, two, other = (Perturbation.of(movie, pixels, seed=seed).draw(3) for seed in (1, 1, 2))
    assert np.array_equal(one[0].position_px, two[0].position_px)
    assert np.array_equal(one[1].mask(1), two[1].mask(1))
    assert not np.array_equal(one[0].position_px, other[0].position_px)


def test_outlines_grow_or_shrink_by_a_pixel():
    """A square of side 9 has some 49, 81 or 121 pixels (corners are cut), shifts aside; its label and place stay."""
    mask = np.zeros((40, 40), np.uint16)
    mask[10:19, 10:19], mask[28:37, 28:37] = 9, 4
    movie, pixels = measured(mask)
    seen = set()
    for k in range(30):
        drawn, masks = Perturbation.of(movie, pixels).draw(k)
        after = masks.mask(0)
        assert set(np.unique(after)) == {0, 4, 9}
        assert drawn.area.tolist() == [np.count_nonzero(after == label) for label in (4, 9)]
        seen |= set(drawn.area.tolist())
    assert min(seen) < 60
    assert max(seen) > 100
    assert all(36 <= area <= 130 for area in seen)


def test_touching_cells_do_not_eat_each_other_and_none_vanishes():
    mask = np.array([[1, 1, 2, 2, 0], [1, 1, 2, 2, 0], [0, 3, 0, 0, 0]], np.uint8)
    movie, pixels = measured(mask)
    for k in range(20):
        after = Perturbation.of(movie, pixels).draw(k)[1].mask(0)
        assert set(np.unique(after)) >= {1, 2, 3}
        for label in (1, 2, 3):
            assert np.isin(mask[after == label], [0, label]).all()


def test_labels_of_any_size_and_order_keep_their_masks():
    big = 2**62
    mask = np.where(square_mask({1: (5, 5), 2: (5, 15)}, (12, 22)) == 1, big, 0) + 7 * (
        square_mask({2: (5, 15)}, (12, 22)) == 2
    )
    movie, pixels = measured(mask)
    after = Perturbation.of(movie, pixels).draw(0)[1].mask(0)
    assert set(np.unique(after)) == {0, 7, big}
    assert after[5, 5] == big


def test_volumes_and_frames_without_cells():
    movie, pixels = measured(square_mask({3: (6, 6, 6)}, (13, 13, 13)))
    masks = {0: pixels.mask(0), 1: np.zeros_like(pixels.mask(0))}
    drawn, after = Perturbation.of(movie, PixelsInMemory(masks, {"i": {0: np.ones(1)}})).draw(1)
    assert after.mask(1).max() == 0
    assert after.channels == ("i",)
    assert after.image("i", 0)[0] == 1
    assert drawn.area[0] == np.count_nonzero(after.mask(0) == 3)


# -- posteriors -------------------------------------------------------------------------------------------------------


def twins(gap):
    """Two cells ``gap`` apart that stay, in rows 0, 1 and 42, 43, among 40 far from each other and from them."""
    lattice = np.stack(np.divmod(np.arange(40), 8), axis=1) * 50.0 + 100
    home = np.r_[[[0.0, 0.0], [0.0, gap]], lattice]
    rng = np.random.default_rng(0)
    return cells(np.repeat([0, 1], 42), np.r_[home, home + rng.normal(0, 0.5, home.shape)])


def price_of(movie, edges, scorer):
    rates = fit(movie, edges, scorer.score(movie, edges))
    return lambda detections, candidates, scores: problem_from(detections, candidates, scores, rates)


@pytest.mark.parametrize(("gap", "sure"), [(40.0, True), (0.3, False)])
def test_links_that_a_draw_could_exchange_are_unsure(gap, sure):
    movie, scorer = twins(gap), open_scorer("distance")
    edges = link_nearest(movie, max_distance=60.0)
    price = price_of(movie, edges, scorer)
    perturbation = Perturbation.of(movie, sigma_px=1.0)
    found = solved_frequency(perturbation, edges, scorer, price, open_solver("ilp"), draws=40)
    own = found.parents.link[(edges.source < 2) & (edges.target == edges.source + 42)]
    assert bool(own.min() == 1) is sure
    assert bool(own.max() < 0.9) is not sure
    n = len(movie)
    assert np.bincount(edges.target, found.parents.link, n) + found.parents.new == pytest.approx(np.ones(n))
    p = found.parents.link
    assert found.error == pytest.approx(np.sqrt(p * (1 - p) / 40))


def test_averaged_costs_are_the_mean_of_those_of_the_draws():
    movie, scorer = twins(2.0), open_scorer("distance")
    edges = link_nearest(movie, max_distance=60.0)
    price, perturbation = price_of(movie, edges, scorer), Perturbation.of(movie, seed=4)
    mean = mean_problem(perturbation, edges, scorer, price, draws=7)
    each = [p.edge_cost for p in perturbed_problems(perturbation, edges, scorer, price, draws=7)]
    assert mean.edge_cost == pytest.approx(np.mean(each, axis=0))
    assert softmax(mean).link.max() <= 1


def test_no_perturbation_changes_nothing():
    movie, scorer = twins(2.0), open_scorer("distance")
    edges = link_nearest(movie, max_distance=60.0)
    price = price_of(movie, edges, scorer)
    still = mean_problem(Perturbation.of(movie, sigma_px=0.0), edges, scorer, price, draws=3)
    assert still.edge_cost == pytest.approx(price(movie, edges, scorer.score(movie, edges)).edge_cost)


def test_overlap_is_scored_on_the_outlines_of_the_draw():
    movie, pixels = painted(walk(3, n_frames=3, n_cells=12, sigma=1.0, extent=60.0))
    edges = link_nearest(movie)
    scorer = open_scorer("overlap")
    plain = scorer.score(movie, edges, pixels).value
    seen = []

    def price(detections, candidates, scores):
        seen.append(scores.value)
        return problem_from(detections, candidates, scores, fit(detections, candidates, scores))

    list(perturbed_problems(Perturbation.of(movie, pixels), edges, scorer, price, draws=3))
    assert all(value.min() >= 0 and value.max() <= 1 for value in seen)
    assert all(np.abs(value - plain).max() > 0.01 for value in seen)
    assert np.corrcoef(np.mean(seen, axis=0), plain)[0, 1] > 0.8


@pytest.mark.parametrize("draws", [0, -1])
def test_no_draws_are_refused(draws):
    movie, scorer = twins(2.0), open_scorer("distance")
    edges = link_nearest(movie, max_distance=60.0)
    price = price_of(movie, edges, scorer)
    with pytest.raises(ConfigError, match="draws"):
        mean_problem(Perturbation.of(movie), edges, scorer, price, draws=draws)
    with pytest.raises(ConfigError, match="draws"):
        solved_frequency(Perturbation.of(movie), edges, scorer, price, open_solver("ilp"), draws=draws)


@pytest.mark.parametrize("sigma", [-1.0, math.nan, math.inf])
def test_a_perturbation_that_is_none_is_refused(sigma):
    with pytest.raises(ConfigError, match="perturbed"):
        Perturbation.of(twins(1.0), sigma_px=sigma)


def test_pairs_of_daughters_are_averaged_over_the_draws_that_offer_them():
    """Of three draws 0+1 stands in all, named in either order, 1+2 in two, 0+2 in one."""

    def drawn(*rows):
        first, second, cost = (np.array(column) for column in zip(*rows, strict=True))
        return Pairs(first, second, cost.astype(float))

    offered = [drawn((0, 1, 1.0), (1, 2, 5.0)), drawn((1, 0, 2.0), (1, 2, 7.0)), drawn((0, 1, 6.0), (0, 2, 9.0))]
    mean = mean_pairs(offered, 3)
    assert (mean.first.tolist(), mean.second.tolist(), mean.cost.tolist()) == ([0, 1], [1, 2], [3.0, 6.0])
