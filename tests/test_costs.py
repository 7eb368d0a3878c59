"""The cost model: costs by hand, the posterior by brute force, rates recovered from simulated cells, and its laws."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.engine.candidates import link_nearest
from trackdb.engine.costs import Rates, fit, problem_from
from trackdb.engine.costs.fit import first_children
from trackdb.engine.costs.sample import take_sample
from trackdb.engine.scorers import Scores, ScoreScale, open_scorer
from trackdb.errors import ConfigError, SchemaError
from trackdb.solvers import open_solver
from trackdb.solvers.problem import objective
from trackdb.storage.schema import CandidateEdges
from trackdb.testing.movies import cells, walk

DENSITY = ScoreScale.LOG_DENSITY
PROBABILITY = ScoreScale.PROBABILITY


def links(movie, pairs):
    """Return these candidate edges."""
    source, target = np.array(pairs, dtype=np.int64).reshape(-1, 2).T.copy()
    position = movie.position_um
    distance = np.linalg.norm(position[target] - position[source], axis=1)
    return CandidateEdges(np.full(len(source), -1), source, target, movie.frame[target] - movie.frame[source], distance)


@pytest.fixture
def rates():
    """Of a field of 10 x 10 with a border 1 wide."""
    return Rates(
        division=0.1,
        appear=0.02,
        appear_border=0.2,
        disappear=0.05,
        disappear_border=0.3,
        miss=0.04,
        density=0.5,
        daughter_bonus=0.0,
        daughter_sigma=1.0,
        border=1.0,
        box=((0.0, 10.0), (0.0, 10.0)),
        unit="px",
    )


@pytest.fixture
def drawn():
    """A division, a cell that comes in at the border, one that is missed once; frames run to the right.

    ::

        y     frame 0    1    2
        6              / 1
        5           0 <
        4              \\ 2 -- 4
        2           3' ------ 6     (row 3 is missed in frame 1)
        0.5                   5     (new at the border)
    """
    y = [5, 2, 6, 4, 4, 0.5, 2]
    return cells([0, 0, 1, 1, 2, 2, 2], [[at, 5] for at in y])


def test_the_costs_of_a_drawn_movie_by_hand(drawn, rates):
    edges = links(drawn, [(0, 2), (0, 3), (1, 6), (3, 4)])
    density = np.array([-1.0, -2.0, -3.0, -4.0])
    problem = problem_from(drawn, edges, Scores(density, DENSITY), rates)
    go_on = 1 - 0.1 - 0.05
    new = -np.log(0.02 * 0.5)
    assert problem.edge_cost == pytest.approx([1, 2, 3 - np.log(0.04), 4])
    assert problem.node_cost == pytest.approx([-np.log(go_on)] * 4 + [0] * 3)
    assert problem.appear_cost == pytest.approx([0, 0, new, new, new, -np.log(0.2 * 0.5), new])
    assert problem.disappear_cost == pytest.approx([np.log(go_on / 0.05)] * 4 + [0] * 3)
    assert problem.division_cost == pytest.approx([np.log(go_on / 0.2)] * 4 + [0] * 3)
    assert problem.pinned_node.tolist() == [1] * 7


def test_the_objective_is_minus_the_log_of_what_happened(drawn, rates):
    """Cell 0 divides, 1 is missed and goes on, 2 ends, 3 goes on, 5 is new at the border."""
    edges = links(drawn, [(0, 2), (0, 3), (1, 6), (3, 4)])
    density = np.array([-1.0, -2.0, -3.0, -4.0])
    problem = problem_from(drawn, edges, Scores(density, DENSITY), rates)
    all_links, all_cells = np.ones(4, dtype=bool), np.ones(7, dtype=bool)
    likelihood = (2 * 0.1) * 0.85 * 0.05 * 0.85 * (0.2 * 0.5) * 0.04 * np.exp(density.sum())
    assert objective(problem, all_links, all_cells) == pytest.approx(-np.log(likelihood), abs=1e-5)


def test_the_exact_solution_is_the_likeliest_by_brute_force(rates):
    """Two mothers, three targets: all 27 parent maps in which no mother has three, weighed by the generative model."""
    movie = cells([0, 0, 1, 1, 1], [[3, 3], [6, 6], [3, 4], [4, 4], [6, 7]])
    edges = links(movie, list(product([0, 1], [2, 3, 4])))
    rng = np.random.default_rng(0)
    for _ in range(30):
        density = rng.normal(-4, 2, 6)
        problem = problem_from(movie, edges, Scores(density, DENSITY), rates)
        q = np.exp(density).reshape(2, 3)
        outcome = [0.05, 0.85, 2 * 0.1]
        best, best_parents = 0.0, None
        for parents in product([None, 0, 1], repeat=3):
            children = [parents.count(0), parents.count(1)]
            if max(children) > 2:
                continue
            p = outcome[children[0]] * outcome[children[1]]
            for target, parent in enumerate(parents):
                p *= 0.02 * 0.5 if parent is None else q[parent, target]
            if p > best:
                best, best_parents = p, parents
        chosen = open_solver("ilp").solve(problem)
        found = {int(t) - 2: int(s) for s, t in zip(edges.source[chosen.edge], edges.target[chosen.edge], strict=True)}
        assert tuple(found.get(t) for t in range(3)) == best_parents
        assert chosen.objective == pytest.approx(-np.log(best), abs=1e-5)


@settings(max_examples=100, deadline=None)
@given(st.floats(1e-6, 0.5), st.floats(1e-6, 0.4), st.floats(1e-6, 0.4), st.floats(-50, 50), st.integers(0, 1000))
def test_a_first_child_is_never_dearer_than_a_second(division, disappear, at_border, bonus, seed):
    movie = walk(seed, n_frames=3, n_cells=5)
    rates = Rates(division, 0.1, 0.1, disappear, at_border, 0.1, 1.0, bonus, 1.0, 1.0, ((0, 10), (0, 10)), "px")
    edges = link_nearest(movie)
    problem = problem_from(movie, edges, Scores(np.zeros(len(edges)), DENSITY), rates)
    assert np.all(problem.division_cost + problem.disappear_cost >= 0)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=6), st.floats(0.001, 1))
def test_the_posterior_of_one_target_gives_its_probabilities_back(parents, new):
    p = np.array(parents) / (sum(parents) + new)
    n = len(p)
    movie = cells([0] * n + [1], np.arange(2.0 * (n + 1)).reshape(-1, 2))
    problem = problem_from(movie, links(movie, [(i, n) for i in range(n)]), Scores(p, PROBABILITY), None)
    nobody = np.zeros(n, dtype=bool)
    costs = [objective(problem, nobody, np.ones(n + 1, dtype=bool))]
    for i in range(n):
        one = nobody.copy()
        one[i] = True
        costs.append(objective(problem, one, np.ones(n + 1, dtype=bool)))
    weight = np.exp(-np.array(costs))
    posterior = weight / weight.sum()
    assert posterior == pytest.approx([1 - p.sum(), *p], abs=2e-5)


def test_certain_probabilities_have_finite_costs():
    movie = cells([0, 0, 1], [[0, 0], [1, 1], [2, 2]])
    problem = problem_from(movie, links(movie, [(0, 2), (1, 2)]), Scores(np.array([1.0, 0.0]), PROBABILITY), None)
    assert problem.edge_cost[0] < -10
    assert problem.edge_cost[1] == pytest.approx(0)


def test_a_movie_without_cells_is_a_problem_without_costs(rates):
    movie = cells([], np.empty((0, 2)))
    edges = link_nearest(movie)
    problem = problem_from(movie, edges, Scores(np.empty(0), DENSITY), rates)
    assert problem.n_nodes == 0
    assert fit(movie, edges, Scores(np.empty(0), DENSITY)).division > 0


@pytest.mark.parametrize("movie", [cells([0], [[1, 1]]), cells([0, 0], [[1, 1], [1, 1]]), cells([0, 1], [[1, 1]] * 2)])
def test_movies_of_hardly_any_cells_are_solved(movie):
    edges = link_nearest(movie)
    scores = open_scorer("distance").score(movie, edges)
    problem = problem_from(movie, edges, scores, fit(movie, edges, scores))
    assert open_solver("ilp").solve(problem).edge.sum() == len(edges)


def test_log_densities_need_rates(drawn):
    edges = links(drawn, [(0, 2)])
    with pytest.raises(ConfigError, match="rates"):
        problem_from(drawn, edges, Scores(np.zeros(1), DENSITY), None)


def test_rates_of_another_unit_are_refused(drawn, rates):
    edges = links(drawn, [(0, 2)])
    with pytest.raises(ConfigError, match="um"):
        problem_from(drawn, edges, Scores(np.zeros(1), DENSITY), replace(rates, unit="um"))


def test_every_edge_needs_a_score(drawn, rates):
    edges, one = links(drawn, [(0, 2), (0, 3)]), Scores(np.zeros(1), DENSITY)
    with pytest.raises(SchemaError, match="wanted: 2; got: 1"):
        problem_from(drawn, edges, one, rates)
    with pytest.raises(SchemaError, match="wanted: 2; got: 1"):
        fit(drawn, edges, one)


@pytest.mark.parametrize(
    "wrong", [{"division": 0.0}, {"appear": 1.0}, {"miss": -0.1}, {"density": 0.0}, {"division": 0.6, "disappear": 0.5}]
)
def test_rates_without_sense_are_refused(rates, wrong):
    with pytest.raises(ConfigError, match="got"):
        replace(rates, **wrong)


def test_every_rate_is_written_down_with_its_unit(rates):
    params = rates.as_dict()
    assert params["division_per_cell_and_frame"] == 0.1
    assert params["density_cells_per_px2"] == 0.5
    assert params["box_high_x_px"] == 10.0
    assert all(type(value) is float for value in params.values())


def colony(seed, *, n_frames=30, n_start=60, division=0.02, leave=0.01, enter=1.0, extent=20.0, step=0.1, apart=0.6):
    """Return cells that walk, divide, end and enter anywhere, and the true links.

    Daughters lie `apart` on either side of where their mother was.
    """
    rng = np.random.default_rng(seed)
    place = rng.uniform(0, extent, (n_start, 2))
    frame, position, true = [np.zeros(n_start, int)], [place], []
    first = 0
    for t in range(1, n_frames):
        fate = rng.random(len(place))
        walked = place + rng.normal(0, step, place.shape)
        angle = rng.uniform(0, 2 * np.pi, len(place))
        side = apart * np.c_[np.cos(angle), np.sin(angle)]
        divides, ends = fate < division, fate > 1 - leave
        goes = ~divides & ~ends
        mothers = np.flatnonzero(divides)
        new = rng.uniform(0, extent, (rng.poisson(enter), 2))
        parent = np.concatenate([np.flatnonzero(goes), mothers, mothers, np.full(len(new), -1)])
        after = np.concatenate([walked[goes], walked[mothers] + side[mothers], walked[mothers] - side[mothers], new])
        start = first + len(place)
        true += [(first + p, start + i) for i, p in enumerate(parent.tolist()) if p >= 0]
        frame.append(np.full(len(after), t))
        position.append(after)
        place, first = after, start
    return cells(np.concatenate(frame), np.concatenate(position)), set(true)


def track(movie):
    edges = link_nearest(movie)
    scores = open_scorer("distance").score(movie, edges)
    rates = fit(movie, edges, scores)
    chosen = open_solver("ilp").solve(problem_from(movie, edges, scores, rates))
    return rates, edges.take(chosen.edge)


@pytest.mark.parametrize("apart", [0.3, 0.6])
def test_rates_are_recovered_from_a_simulated_colony(apart):
    """Daughters lie 3 or 6 steps from where their mother was, in any direction; one cell enters in each frame."""
    movie, true = colony(0, apart=apart)
    rates, found = track(movie)
    n = len(movie)
    assert 0.015 < rates.division < 0.035
    assert 0.005 < rates.disappear < 0.02
    assert 29 / n / 4 < rates.appear < 29 / n * 2
    assert rates.density == pytest.approx(n / 30 / 20**2, rel=0.2)
    assert rates.daughter_sigma == pytest.approx(apart / 2**0.5, rel=0.6)
    pairs = set(zip(found.source.tolist(), found.target.tolist(), strict=True))
    assert 2 * len(pairs & true) / (len(pairs) + len(true)) > 0.97
    children = np.bincount(found.source, minlength=n)
    assert 0.6 * 47 < np.count_nonzero(children == 2) < 1.6 * 47


def test_of_two_daughters_the_likelier_one_counts_as_the_first():
    movie = cells([0, 0, 1, 1, 1], [[5, 5], [0, 0], [5, 9], [5, 5.5], [0, 1]])
    edges = links(movie, [(0, 2), (0, 3), (1, 3), (1, 4)])
    sample = take_sample(movie, edges, -edges.distance, most_cells=10)
    assert first_children(sample, np.array([True, True, False, True])).tolist() == [1, 3]
    assert first_children(sample, np.zeros(4, dtype=bool)).tolist() == []


def test_cells_that_never_divide_are_not_made_to():
    movie, _ = colony(1, division=0.0, leave=0.0, enter=0.0)
    rates, found = track(movie)
    assert rates.division < 1e-3
    assert np.bincount(found.source).max() == 1


def test_overlooked_cells_give_the_miss_rate():
    movie, _ = colony(2, division=0.0, leave=0.0, enter=0.0)
    seen = np.random.default_rng(0).random(len(movie)) > 0.05
    sparse = cells(movie.frame[seen], movie.position_px[seen])
    edges = link_nearest(sparse, max_gap=1)
    rates = fit(sparse, edges, open_scorer("distance").score(sparse, edges))
    assert rates.miss == pytest.approx(0.05, rel=0.4)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 100), st.integers(-12, 12), st.integers(-9, 9))
def test_neither_the_unit_nor_the_clock_changes_the_selection(seed, power, shift):
    movie, _ = colony(seed, n_frames=8, n_start=25)
    other = cells(movie.frame + shift, movie.position_px * 2.0**power)
    (here, ours), (there, theirs) = track(movie), track(other)
    assert ours.source.tolist() == theirs.source.tolist()
    assert ours.target.tolist() == theirs.target.tolist()
    assert there.division == pytest.approx(here.division)
    assert there.density == pytest.approx(here.density / 4.0**power)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 100))
def test_the_order_of_cells_in_a_frame_does_not_change_the_selection(seed):
    movie, _ = colony(seed, n_frames=8, n_start=25)
    order = np.lexsort((np.random.default_rng(seed).random(len(movie)), movie.frame))
    _, ours = track(movie)
    _, theirs = track(cells(movie.frame, movie.position_px[order]))
    back = sorted(zip(order[theirs.source].tolist(), order[theirs.target].tolist(), strict=True))
    assert back == list(zip(ours.source.tolist(), ours.target.tolist(), strict=True))


def test_a_large_movie_is_sampled_in_whole_runs_of_frames():
    movie = walk(3, n_frames=100, n_cells=20)
    edges = link_nearest(movie)
    sample = take_sample(movie, edges, np.arange(len(edges), dtype=float), most_cells=500)
    assert 160 <= len(sample) <= 500
    assert np.bincount(sample.frame)[np.unique(sample.frame)].tolist() == [20] * len(np.unique(sample.frame))
    runs = np.split(np.unique(sample.frame), np.flatnonzero(np.diff(np.unique(sample.frame)) > 1) + 1)
    assert {len(run) % 8 for run in runs} == {0}
    assert np.all(np.diff(sample.frame) >= 0)
    step = sample.frame[sample.edges.target] - sample.frame[sample.edges.source]
    assert np.all(step == 1)
    reach = np.linalg.norm(sample.position[sample.edges.target] - sample.position[sample.edges.source], axis=1)
    assert reach == pytest.approx(sample.edges.distance)
    assert not sample.first[sample.edges.target].any()
    assert not sample.last[sample.edges.source].any()


def test_rates_of_a_sample_are_near_those_of_the_whole():
    movie, _ = colony(4, n_frames=60, n_start=100, division=0.01)
    edges = link_nearest(movie)
    scores = open_scorer("distance").score(movie, edges)
    whole = fit(movie, edges, scores)
    part = fit(movie, edges, scores, most_cells=len(movie) // 2)
    assert part.division == pytest.approx(whole.division, rel=0.5)
    assert part.disappear == pytest.approx(whole.disappear, rel=0.5)


def test_probabilities_are_counted_without_rates():
    movie, true = colony(5, n_frames=10)
    mothers = np.count_nonzero(np.bincount([source for source, _ in true]) == 2)
    edges = link_nearest(movie)
    pairs = zip(edges.source.tolist(), edges.target.tolist(), strict=True)
    scores = Scores(np.array([0.9 if pair in true else 0.0 for pair in pairs]), PROBABILITY)
    rates = fit(movie, edges, scores)
    assert rates.daughter_bonus == 0
    assert rates.division == pytest.approx(mothers / np.count_nonzero(movie.frame < 9), rel=0.1)


@pytest.mark.data
def test_divisions_are_found_in_an_embryo(data_dir):
    pd = pytest.importorskip("pandas")
    spots = pd.read_csv(data_dir / "astec_ascidian_ccby/Pm04_spots.csv.gz").sort_values(["t", "id"])
    table = pd.read_csv(data_dir / "astec_ascidian_ccby/Pm04_links.csv.gz").to_numpy()
    row = {number: i for i, number in enumerate(spots["id"])}
    true = {(row[a], row[b]) for a, b in table.tolist()} | {(row[b], row[a]) for a, b in table.tolist()}
    _, found = track(cells(spots["t"], spots[["z", "y", "x"]].to_numpy()))
    right = sum(pair in true for pair in zip(found.source.tolist(), found.target.tolist(), strict=True))
    assert right / len(found) > 0.995
    assert np.count_nonzero(np.bincount(found.source) == 2) == pytest.approx(237, rel=0.05)
