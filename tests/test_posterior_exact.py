"""The exact posterior against every selection of a small problem, weighed in turn."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.errors import ConfigError, SchemaError, SolverError
from trackdb.solvers.conflicts import Conflicts
from trackdb.solvers.ilp import IlpSolver
from trackdb.solvers.posterior.draws import draw_selections, likeliest_selection
from trackdb.solvers.posterior.marginals import estimate
from trackdb.solvers.posterior.outcomes import HowWeighed
from trackdb.solvers.problem import TrackingProblem, objective
from trackdb.testing.problems import crowded_movie, movie_without_links, shuffle_edges, small_problem, with_every_pair

from .selections import outcomes_of, weigh_all
from .strategies import paired_problems, renumber_nodes, tracking_problems

MOST_EDGES = 13
TINY = 1e-10


def require_exact(problem, temperature=1.0):
    """Hold the exact method to the sum over all selections."""
    true = weigh_all(problem, temperature)
    found = estimate(problem, method="exact", temperature=temperature)
    assert np.abs(found.link - true.link).max(initial=0) <= TINY
    assert np.abs(found.new - true.new).max(initial=0) <= TINY
    assert np.abs(found.present - true.present).max(initial=0) <= TINY
    assert abs(found.log_z - true.log_z) <= TINY * max(1, abs(true.log_z))
    for u in range(problem.n_nodes):
        answers = outcomes_of(found, u)
        assert sum(answers.values()) == pytest.approx(1)
        for links, p in true.outcomes[u].items():
            assert answers.get(links, 0.0) == pytest.approx(p, abs=1e-5)  # less than 1e-6 is left out
    assert not found.how.any()
    assert not found.how_cell.any()
    assert not found.dropped.any()


def drawn_problem(seed):
    """Return one of many: links over gaps, cells of all kinds, and every other with pairs."""
    problem = small_problem(seed, n_frames=2 + seed % 3, per_frame=3)
    return with_every_pair(problem, seed) if seed % 2 else problem


SEEDS = [seed for seed in range(450) if small_problem(seed, 2 + seed % 3, 3).n_edges <= MOST_EDGES]


@pytest.fixture
def swap():
    r"""Two cells that may have changed places; all costs 0 but those of the straight links.

    ::

        frame 0           1
              0 --- -1 --- 2
                \        /
                   ><           appearing 4, disappearing 4, a division 9
                /        \
              1 --- -1 --- 3
    """
    zero = np.zeros(4)
    return TrackingProblem(
        frame=np.array([0, 0, 1, 1]),
        source=np.array([0, 0, 1, 1]),
        target=np.array([2, 3, 2, 3]),
        edge_cost=np.array([-1.0, 0.0, 0.0, -1.0]),
        node_cost=zero,
        appear_cost=np.array([0.0, 0.0, 4.0, 4.0]),
        disappear_cost=np.array([4.0, 4.0, 0.0, 0.0]),
        division_cost=np.full(4, 9.0),
        pinned_node=np.ones(4, dtype=np.int8),
    )


def test_two_cells_that_may_have_changed_places(swap):
    found = estimate(swap)
    straight, crossed = np.exp(2.0), 1.0
    ended = 2 * np.exp(1 - 8.0) + 2 * np.exp(-8.0) + np.exp(-16.0)  # one link or none
    divided = 2 * np.exp(1.0 - 9 - 4)
    everything = straight + crossed + ended + divided
    assert found.log_z == pytest.approx(np.log(everything))
    assert found.link[0] == pytest.approx((straight + np.exp(1 - 8.0) + np.exp(1.0 - 13)) / everything)
    assert found.link[0] == pytest.approx(found.link[3])
    assert found.new[2] == pytest.approx(1 - found.link[0] - found.link[2])
    assert list(found.how) == [HowWeighed.EXACT] * 4
    assert found.piece[0] == found.piece[1] >= 0
    assert list(found.piece[2:]) == [-1, -1]  # they have no candidates


def test_colder_is_surer(swap):
    links = [estimate(swap, temperature=t).link[0] for t in (0.1, 1.0, 10.0)]
    assert links[0] > 0.9999
    assert links == sorted(links, reverse=True)


@pytest.mark.parametrize("part", range(5))
def test_every_probability_is_that_of_all_selections(part):
    assert len(SEEDS) >= 250
    for seed in SEEDS[part::5]:
        require_exact(drawn_problem(seed))


@pytest.mark.parametrize("temperature", [0.002, 0.02, 50.0])
def test_weights_beyond_a_float_are_summed_in_logarithms(temperature):
    for seed in SEEDS[:60]:
        require_exact(drawn_problem(seed), temperature)


@settings(deadline=None, max_examples=60)
@given(st.one_of(tracking_problems(), paired_problems()))
def test_drawn_problems_are_weighed_exactly(problem):
    require_exact(problem)


@settings(deadline=None, max_examples=30)
@given(st.one_of(tracking_problems(), paired_problems()), st.integers(0, 99))
def test_the_order_of_links_and_cells_does_not_matter(problem, seed):
    plain = estimate(problem, method="exact")
    shuffled, order = shuffle_edges(problem, seed)
    assert estimate(shuffled, method="exact").link == pytest.approx(plain.link[order], abs=TINY)
    renumbered = estimate(renumber_nodes(problem, seed), method="exact")
    assert renumbered.link == pytest.approx(plain.link, abs=TINY)
    assert renumbered.log_z == pytest.approx(plain.log_z)


@settings(deadline=None, max_examples=60)
@given(st.one_of(tracking_problems(), paired_problems()))
def test_the_likeliest_selection_is_the_exact_solution(problem):
    edge, node = likeliest_selection(problem)
    assert objective(problem, edge, node) == IlpSolver().solve(problem).objective


def test_a_crowded_movie_has_its_exact_solution_as_the_maximum():
    movie = replace(crowded_movie(3, n_frames=6, per_frame=9, skip=True), pinned_node=np.ones(54, dtype=np.int8))
    edge, node = likeliest_selection(movie, width=18)
    best = IlpSolver().solve(movie)
    assert objective(movie, edge, node) == best.objective
    cold = estimate(movie, method="exact", temperature=0.001, width=18)
    assert cold.log_z * 0.001 == pytest.approx(-best.objective, abs=0.1)


def test_draws_are_as_frequent_as_likely():
    for seed in SEEDS[:12]:
        problem = drawn_problem(seed)
        edge, node = draw_selections(problem, 4000, seed=seed)
        true = weigh_all(problem)
        for e, v in zip(edge[:20], node[:20], strict=True):
            objective(problem, e, v)  # raises where a rule is broken
        spread = 5 * np.sqrt(0.25 / 4000)
        assert np.abs(edge.mean(axis=0) - true.link).max(initial=0) < spread
        assert np.abs(node.mean(axis=0) - true.present).max(initial=0) < spread
        for u in range(problem.n_nodes):
            rows = np.flatnonzero(problem.source == u)
            count = Counter(tuple(rows[taken].tolist()) for taken in edge[:, rows])
            for links, p in true.outcomes[u].items():
                assert abs(count[links] / 4000 - p) < spread


def test_the_same_seed_draws_the_same():
    problem = drawn_problem(SEEDS[3])
    first, again, other = (draw_selections(problem, 50, seed=seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_cells_without_links_are_new_and_end():
    found = estimate(movie_without_links(3), method="exact")
    assert found.present == pytest.approx(1 / (1 + np.exp([-2.5, 0.5, 3.5])))
    assert found.new == pytest.approx(found.present)
    assert [outcomes_of(found, v) for v in range(3)] == [{(): 1.0}] * 3
    nothing = estimate(movie_without_links(0))
    assert nothing.log_z == 0
    assert len(nothing.outcomes) == 0


def test_a_forbidden_cell_is_not_there(swap):
    found = estimate(replace(swap, pinned_node=np.array([1, 1, -1, 1], dtype=np.int8)))
    assert found.present[2] == found.new[2] == found.link[0] == found.link[2] == 0


def grid_of_equal_costs(side, pinned=1):
    """Return two frames of side x side cells, each tied to itself and its four neighbours at the same cost."""
    place = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)
    source, target = np.nonzero(np.abs(place[:, None] - place[None]).sum(axis=-1) <= 1)
    n = 2 * len(place)
    same = np.zeros(n)
    return TrackingProblem(
        frame=np.repeat([0, 1], len(place)),
        source=source,
        target=target + len(place),
        edge_cost=np.zeros(len(source)),
        node_cost=same,
        appear_cost=same,
        disappear_cost=same,
        division_cost=same,
        pinned_node=np.full(n, pinned, dtype=np.int8),
    )


def test_a_piece_that_is_too_wide_is_refused_by_its_width():
    with pytest.raises(SolverError, match=r"a piece of 144 mothers has \d+ daughters or more open at once.*at most 8"):
        estimate(grid_of_equal_costs(12), method="exact", width=8)


def test_what_the_posterior_does_not_know_is_refused(swap):
    exclusive = replace(swap, conflicts=Conflicts(np.array([2]), np.array([3])))
    with pytest.raises(SchemaError, match="exclude each other"):
        estimate(exclusive)


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf])
def test_a_temperature_is_a_number_above_zero(swap, temperature):
    with pytest.raises(ConfigError, match="the temperature is"):
        estimate(swap, temperature=temperature)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "best"}, "no method 'best'"),
        ({"prune": 0.0}, "prune is a probability"),
        ({"width": 40}, "width is 40"),
        ({"sweeps": 0}, "sweeps is 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(swap, options, message):
    with pytest.raises(ConfigError, match=message):
        estimate(swap, **options)
