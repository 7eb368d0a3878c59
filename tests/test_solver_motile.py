"""The problem as a model of motile: the same answers, what is added to it, and what is refused."""

import math
from dataclasses import replace

import ilpy
import numpy as np
import pytest
from hypothesis import given, settings
from motile.constraints import Constraint, ExclusiveNodes, ExpressionConstraint, Pin
from motile.costs import Cost, EdgeSelectedCost, SymmetricSplitCost, Weight
from motile.variables import NodeSelected

from trackdb.errors import ConfigError, InfeasibleError, SolverError
from trackdb.solvers import motile_bridge, open_solver
from trackdb.solvers.greedy import GreedySolver
from trackdb.solvers.ilp import IlpSolver
from trackdb.solvers.motile_bridge import MotileSolver
from trackdb.solvers.problem import TrackingProblem
from trackdb.testing.problems import crowded_movie, with_every_pair
from trackdb.testing.solver_contract import LAWS

from .oracles import cheapest_by_motile, cheapest_by_trying_all
from .strategies import paired_problems, tracking_problems

TOLERANCE = 1e-6  # what a general solver calls equal


@pytest.fixture
def cross():
    r"""Two cells, links straight on and across; straight on is cheaper, and nothing may be left out::

    0 --- 2    straight 1, across 1.5
      \ /
      / \
    1 --- 3
    """
    return TrackingProblem(
        frame=np.array([0, 0, 1, 1]),
        source=np.array([0, 0, 1, 1]),
        target=np.array([2, 3, 2, 3]),
        edge_cost=np.array([1.0, 1.5, 1.5, 1.0]),
        node_cost=np.zeros(4),
        appear_cost=np.array([0.0, 0.0, 4.0, 4.0]),
        disappear_cost=np.array([4.0, 4.0, 0.0, 0.0]),
        division_cost=np.full(4, 9.0),
        pinned_node=np.ones(4, dtype=np.int8),
    )


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@settings(deadline=None, max_examples=5)
@given(problem=tracking_problems())
def test_it_keeps_the_contract(law, problem):
    law(MotileSolver(), problem)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@settings(deadline=None, max_examples=5)
@given(problem=paired_problems())
def test_it_keeps_the_contract_with_pairs(law, problem):
    law(MotileSolver(), problem)


@settings(deadline=None, max_examples=40)
@given(tracking_problems())
def test_no_selection_is_cheaper(problem):
    chosen = MotileSolver().solve(problem)
    assert chosen.objective == pytest.approx(cheapest_by_trying_all(problem), abs=TOLERANCE)
    assert chosen.proven


@settings(deadline=None, max_examples=40)
@given(paired_problems())
def test_no_selection_with_pairs_is_cheaper(problem):
    chosen = MotileSolver().solve(problem)
    assert chosen.objective == pytest.approx(cheapest_by_trying_all(problem), abs=TOLERANCE)
    assert chosen.proven


@pytest.mark.parametrize("seed", range(4))
def test_crowded_movies_agree_with_the_kernel_and_with_motile_as_it_comes(seed):
    problem = crowded_movie(seed, n_frames=5, per_frame=12, skip=seed % 2 == 1, division=1.0 + seed)
    chosen = MotileSolver().solve(problem)
    assert chosen.proven
    assert chosen.objective == IlpSolver().solve(problem).objective
    assert chosen.objective == pytest.approx(cheapest_by_motile(problem), rel=1e-5)  # which counts in single precision


def test_a_crowded_movie_with_pairs_agrees_with_the_kernel():
    problem = with_every_pair(crowded_movie(2, n_frames=4, per_frame=10), seed=2, bonus=2.0)
    assert MotileSolver().solve(problem).objective == IlpSolver().solve(problem).objective


def test_no_time_is_a_greedy_answer_without_a_proof():
    problem = crowded_movie(1, n_frames=4, per_frame=10)
    chosen = open_solver("motile", time_limit_s=0.0).solve(problem)
    assert chosen.objective == GreedySolver().solve(problem).objective
    assert chosen.lower_bound < chosen.objective
    assert not chosen.proven


def test_more_time_than_scip_can_count_is_no_limit():
    problem = crowded_movie(1, n_frames=3, per_frame=5)
    assert MotileSolver(time_limit_s=1e300).solve(problem).proven


def test_out_of_time_the_better_of_two_answers_is_taken(monkeypatch):
    """SCIP often has nothing but the empty selection for long."""
    problem = crowded_movie(1, n_frames=4, per_frame=10)

    def no_time(model, cost, time_limit_s):
        return motile_bridge._Found(np.zeros(model.num_variables, dtype=bool), -1000.0, "timelimit")

    monkeypatch.setattr(motile_bridge, "_minimise", no_time)
    chosen = MotileSolver().solve(problem)
    assert chosen.objective == GreedySolver().solve(problem).objective < 0
    assert chosen.lower_bound == -1000
    assert not chosen.proven


class NotTogether(Constraint):
    """Of some links at most one."""

    def __init__(self, *edges):
        self.edges = edges

    def instantiate(self, solver):
        chosen = solver.get_variables(motile_bridge.EdgeSelected)
        yield sum(chosen[edge] for edge in self.edges) <= 1


def test_a_constraint_that_no_kernel_knows_is_kept(cross):
    chosen = MotileSolver(extra=[NotTogether((0, 2), (1, 3))]).solve(cross)
    assert chosen.edge.tolist() == [False, True, True, False]
    assert chosen.objective == chosen.lower_bound == 3  # no selection that keeps it is cheaper
    assert chosen.proven


def test_detections_of_the_same_pixels_exclude_each_other(cross):
    optional = replace(cross, pinned_node=np.zeros(4, np.int8), node_cost=np.full(4, -3.0))
    assert MotileSolver().solve(optional).objective == -10
    chosen = MotileSolver(extra=[ExclusiveNodes([[2, 3]])]).solve(optional)
    assert chosen.objective == -5  # one link straight on; a cell of frame 0 alone would cost 1
    assert chosen.node.sum() == 2


class Detour(Cost):
    """A cost of every link, read from a column."""

    def __init__(self, weight):
        self.weight = Weight(weight)

    def apply(self, solver):
        for edge, variable in solver.get_variables(motile_bridge.EdgeSelected).items():
            solver.add_variable_cost(variable, solver.graph.edges[edge]["detour"], self.weight)


def test_a_cost_that_was_added_decides_but_is_not_in_the_objective_of_the_problem(cross):
    detour = {"detour": np.array([1.0, 0.0, 0.0, 1.0])}
    found = MotileSolver(extra=[Detour(2.0)], edge_attributes=detour).optimum(cross)
    assert found.selection.edge.tolist() == [False, True, True, False]
    assert found.objective == found.lower_bound == 3  # straight on would be 2 + 4
    assert found.proven
    assert found.selection.objective == 3
    assert found.selection.lower_bound == -math.inf  # straight on costs 2: not the best of the problem alone
    assert not found.selection.proven


def test_costs_of_motile_add_up_though_their_names_are_the_same(cross):
    extra = [EdgeSelectedCost(1.0, attribute="a"), EdgeSelectedCost(1.0, attribute="a")]
    found = MotileSolver(extra=extra, edge_attributes={"a": np.array([0.5, 0.0, 0.0, 0.5])}).optimum(cross)
    assert found.objective == 3
    assert found.selection.edge.tolist() == [False, True, True, False]


def test_the_cost_of_crooked_divisions_of_motile_chooses_the_daughters():
    """A mother at 0 and daughters at -1, 1 and 3: the pair around its mother is the cheapest."""
    mother = TrackingProblem(
        frame=np.array([0, 1, 1, 1]),
        source=np.zeros(3, dtype=np.int64),
        target=np.array([1, 2, 3]),
        edge_cost=np.array([-1.0, -1.0, -1.25]),
        node_cost=np.zeros(4),
        appear_cost=np.zeros(4),
        disappear_cost=np.zeros(4),
        division_cost=np.zeros(4),
        pinned_node=np.ones(4, dtype=np.int8),
    )
    assert MotileSolver().solve(mother).edge[2]
    place = {"x": np.array([0.0, -1.0, 1.0, 3.0])}
    straight = MotileSolver(extra=[SymmetricSplitCost(("x",))], node_attributes=place).solve(mother)
    assert straight.edge.tolist() == [True, True, False]


class Impossible(Constraint):
    def instantiate(self, solver):
        node = solver.get_variables(NodeSelected)
        yield node[0] + node[1] <= 1


def test_constraints_that_leave_nothing_are_said_to(cross):
    with pytest.raises(InfeasibleError, match="constraints that were added"):
        MotileSolver(extra=[Impossible()]).solve(cross)


def test_no_time_is_no_answer_where_greedy_does_not_know_the_constraints():
    problem = crowded_movie(1, n_frames=4, per_frame=10)
    with pytest.raises(SolverError, match="found in time"):
        MotileSolver(0.0, extra=[Never()]).solve(problem)


class Never(Constraint):
    def instantiate(self, solver):
        return []


BOMB = "__import__('pathlib').Path('burst').touch()"


@pytest.mark.parametrize(
    "extra", [BOMB, [BOMB], [ExpressionConstraint(BOMB)], [Pin(BOMB)], [Never(), ExpressionConstraint("t == 0")]]
)
def test_an_expression_is_refused_and_never_run(cross, extra, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="expression"):
        MotileSolver(extra=extra).solve(cross)
    assert not list(tmp_path.iterdir())


def test_what_is_no_object_of_motile_is_refused():
    with pytest.raises(ConfigError, match="expected, got int"):
        MotileSolver(extra=[3])


def test_columns_of_another_length_are_refused(cross):
    with pytest.raises(ConfigError, match="attribute x has 3 rows, the problem 4"):
        MotileSolver(node_attributes={"x": np.zeros(3)}).solve(cross)


@pytest.mark.parametrize(("least", "value", "bound"), [(1, [True, False], -1.0), (3, None, -math.inf)])
def test_where_ilpy_tells_no_bound_only_an_optimum_is_one(least, value, bound):
    solver = ilpy.Solver(2, ilpy.VariableType.Binary, preference=ilpy.Preference.Scip)
    solver.set_objective(ilpy.Objective.from_coefficients([-1.0, 0.5]))
    row = ilpy.Constraint.from_coefficients([1.0, 1.0], relation=ilpy.Relation.GreaterEqual, value=least)
    solver.add_constraint(row)
    found = motile_bridge._by_ilpy(solver)
    assert (None if found.value is None else found.value.tolist()) == value
    assert found.bound == bound


def test_an_interruption_that_scip_caught_goes_on():
    class Interrupted:
        def setParam(self, name, value): ...
        def optimize(self): ...
        def getVars(self):
            return []

        def getStatus(self):
            return "userinterrupt"

    with pytest.raises(KeyboardInterrupt):
        motile_bridge._by_scip(Interrupted())
