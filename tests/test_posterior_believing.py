"""What belief propagation says of a piece is found once, and is the same whoever else was asked about."""

from dataclasses import replace

import numpy as np
import pytest

from trackdb.solvers.posterior import believing
from trackdb.solvers.posterior.belief import propagate
from trackdb.solvers.posterior.believing import Beliefs
from trackdb.solvers.posterior.conditioning import OpenPosterior
from trackdb.solvers.posterior.graph import ChoiceGraph
from trackdb.solvers.posterior.plan import whole_plan
from trackdb.solvers.posterior.swaps import with_swaps
from trackdb.testing.frame_pairs import frame_pair
from trackdb.testing.problems import small_problem


@pytest.fixture
def asked(monkeypatch):
    """Numbers of the cells that messages were passed between, one entry for each time."""
    cells = []

    def watched(graph, some):
        cells.append(some)
        return propagate(graph, some)

    monkeypatch.setattr(believing, "propagate", watched)
    return cells


def require_same(found, true):
    one, other = found.marginals(), true.marginals()
    for name in ("link", "new", "present", "how", "dropped", "how_cell", "piece"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert np.array_equal(one.outcomes.probability, other.outcomes.probability)
    assert one.converged == other.converged


@pytest.mark.parametrize("narrow", [8, 3, 1])
def test_a_narrower_posterior_with_shared_beliefs_is_the_same_as_one_of_its_own(asked, narrow):
    problem = frame_pair(500, 0.3, 2).problem
    beliefs = Beliefs.of(problem)
    OpenPosterior(problem, width=9, beliefs=beliefs)
    first = len(asked[0])
    found = OpenPosterior(problem, width=narrow, beliefs=beliefs)
    assert len(asked) == 2
    assert len(asked[1]) < first + problem.n_nodes // 2  # pieces that were known were not asked about again
    require_same(found, OpenPosterior(problem, width=narrow))


@pytest.mark.parametrize("optional", [False, True])
def test_pieces_asked_about_one_after_the_other_are_told_what_all_at_once_are_told(optional):
    problem = frame_pair(300, 0.1, 1).problem
    if optional:
        problem = replace(problem, pinned_node=np.zeros(problem.n_nodes, dtype=np.int8))
    graph = ChoiceGraph.of(problem)
    plan = whole_plan(graph, 14)
    beliefs, said = Beliefs(graph), propagate(graph)
    assert len(plan.pieces.first) > 20
    for first, stop in zip(plan.pieces.first[:-1], plan.pieces.first[1:], strict=True):
        beliefs.learn(plan.pieces.mother[first:stop])
    assert np.array_equal(beliefs.likely, with_swaps(graph, said.link))
    assert np.array_equal(beliefs.messages.up, said.messages.up)
    assert np.array_equal(beliefs.messages.down, said.messages.down)
    free = (problem.pinned_node == 0) & np.isin(np.arange(problem.n_nodes), [graph.source, graph.target])
    assert np.array_equal(beliefs.messages.inward[free], said.messages.inward[free])
    assert np.array_equal(beliefs.messages.outward[free], said.messages.outward[free])
    assert np.array_equal(beliefs.absent[free], said.absent[free])
    assert beliefs.absent[free].any() == optional


def test_what_is_known_is_not_asked_again(asked):
    problem = frame_pair(500, 0.3, 2).problem
    beliefs = Beliefs.of(problem)
    for width in (4, 4, 9):
        OpenPosterior(problem, width=width, beliefs=beliefs)
    assert len(asked) == 1


def test_optional_cells_share_beliefs_and_no_decisions():
    shared = 0
    for seed in range(60):
        problem = small_problem(seed, n_frames=4, per_frame=4)
        beliefs = Beliefs.of(problem)
        wide = OpenPosterior(problem, width=1, beliefs=beliefs)
        shared += bool(beliefs.likely.any())
        optional = np.flatnonzero((problem.pinned_node == 0) & (wide.present > 0.01) & (wide.present < 0.99))
        for cell in optional[:1].tolist():
            wide.not_a_cell(cell)
        require_same(OpenPosterior(problem, width=0, beliefs=beliefs), OpenPosterior(problem, width=0))
    assert shared > 10
