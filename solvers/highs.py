"""The same problem handed whole to HiGHS, a general solver: slow, trusted, and the helper for small clusters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import highspy
import numpy as np
from scipy import sparse

from ..errors import SolverError
from .conflicts import Cliques
from .greedy import GreedySolver
from .problem import FORBIDDEN, KEPT, SCALE, Selection, objective, on_grid, settled_pins

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .daughters import Pairs
    from .problem import TrackingProblem


class HighsSolver:
    """Solves the flow form of `problem` as one integer programme.

    Parameters
    ----------
    time_limit_s : float or None
        After how many seconds to return the best selection found so far.
    """

    def __init__(self, time_limit_s: float | None = None) -> None:
        self.time_limit_s = time_limit_s

    def solve(self, problem: TrackingProblem) -> Selection:
        """Return an optimal selection; the greedy one if time ends before HiGHS found any."""
        m, n, pinned = problem.n_edges, problem.n_nodes, settled_pins(problem)
        cost, matrix = flow_form(problem) if problem.pairs is None else pair_form(problem, problem.pairs)
        rest = len(cost) - m - n
        lower = np.concatenate([np.zeros(m), pinned == KEPT, np.zeros(rest)])
        upper = np.concatenate([np.ones(m), pinned != FORBIDDEN, np.ones(rest)])
        most = np.zeros(matrix.shape[0])
        if problem.conflicts is not None:
            cliques = Cliques.covering(problem.conflicts, n)
            one = np.ones(len(cliques.member))
            exclusive = sparse.csc_matrix((one, (cliques.of_member, m + cliques.member)), (len(cliques), len(cost)))
            matrix = sparse.vstack([matrix, exclusive], format="csc")
            most = np.append(most, np.ones(len(cliques)))
        found = minimise_binary(cost, matrix, most, lower=lower, upper=upper, time_limit_s=self.time_limit_s)
        if found.value is None:
            greedy = GreedySolver().solve(problem)
            edge, node = greedy.edge, greedy.node
        else:
            edge, node = found.value[:m], found.value[m : m + n]
            if problem.pairs is not None:
                together = found.value[m + n :]
                edge[problem.pairs.first[together]] = edge[problem.pairs.second[together]] = True
        cost_of_it = objective(problem, edge, node)
        bound = min(whole_bound(found.bound), cost_of_it * SCALE) / SCALE
        return Selection(edge, node, cost_of_it, bound, proven=bound == cost_of_it)


def flow_form(
    problem: TrackingProblem,
) -> tuple[NDArray[np.int64], sparse.csc_matrix]:
    r"""Write the problem with appearances and disappearances eliminated.

    Returns
    -------
    cost : (m + 2n,) int64
        Of the variables x, n and s, in millionths.
    matrix : (3n, m + 2n) sparse
        Its product with the variables must not exceed 0.

    Notes
    -----
    .. math:: \sum_{in} x \le n, \qquad \sum_{out} x \le n + s, \qquad 2 s \le \sum_{out} x

    The last two hold s to what it means, a node with two children, even where dividing is rewarded.
    """
    m, n = problem.n_edges, problem.n_nodes
    source, target, node = problem.source, problem.target, np.arange(n)
    appear, disappear = on_grid(problem.appear_cost), on_grid(problem.disappear_cost)
    row = np.concatenate([target, node, n + source, n + node, n + node, 2 * n + source, 2 * n + node])
    column = np.concatenate([*2 * [np.arange(m), m + node], m + n + node, np.arange(m), m + n + node])
    value = np.concatenate(
        [np.ones(m), -np.ones(n), np.ones(m), -np.ones(n), -np.ones(n), -np.ones(m), np.full(n, 2.0)]
    )
    cost = np.concatenate(
        [
            on_grid(problem.edge_cost) - appear[target] - disappear[source],
            on_grid(problem.node_cost) + appear + disappear,
            on_grid(problem.division_cost) + disappear,
        ]
    )
    return cost, sparse.csc_matrix((value, (row, column)), shape=(3 * n, m + 2 * n))


def pair_form(problem: TrackingProblem, pairs: Pairs) -> tuple[NDArray[np.int64], sparse.csc_matrix]:
    r"""Write a problem whose divisions are pairs: links x of only children, pairs y.

    Returns
    -------
    cost : (m + n + p,) int64
        Of the variables x, n and y, in millionths.
    matrix : (2n, m + n + p) sparse
        Its product with the variables must not exceed 0.

    Notes
    -----
    .. math:: \sum_{in} x + \sum_{in} y \le n, \qquad \sum_{out} x + \sum_{out} y \le n
    """
    m, n, p = problem.n_edges, problem.n_nodes, len(pairs)
    source, target, node = problem.source, problem.target, np.arange(n)
    appear, disappear = on_grid(problem.appear_cost), on_grid(problem.disappear_cost)
    mother, one, other = source[pairs.first], target[pairs.first], target[pairs.second]
    y = m + n + np.arange(p)
    row = np.concatenate([target, one, other, node, n + source, n + mother, n + node])
    column = np.concatenate([np.arange(m), y, y, m + node, np.arange(m), y, m + node])
    value = np.concatenate([np.ones(m + 2 * p), -np.ones(n), np.ones(m + p), -np.ones(n)])
    cost = np.concatenate(
        [
            on_grid(problem.edge_cost) - appear[target] - disappear[source],
            on_grid(problem.node_cost) + appear + disappear,
            on_grid(pairs.cost) - appear[one] - appear[other] - disappear[mother],
        ]
    )
    return cost, sparse.csc_matrix((value, (row, column)), shape=(2 * n, m + n + p))


@dataclass(frozen=True, slots=True, eq=False)
class BinaryOptimum:
    """What HiGHS found.

    Parameters
    ----------
    value : (k,) bool or None
        The best assignment; None if it found none in time.
    bound : float
        No assignment costs less than this many millionths; -inf where nothing is known.
    finished : bool
        True where HiGHS calls the assignment optimal.
    """

    value: NDArray[np.bool_] | None
    bound: float
    finished: bool


def minimise_binary(
    cost: NDArray[np.int64],
    matrix: sparse.csc_matrix,
    most: NDArray[np.float64],
    *,
    lower: NDArray[np.float64] | None = None,
    upper: NDArray[np.float64] | None = None,
    time_limit_s: float | None = None,
) -> BinaryOptimum:
    """Minimise the cost of k yes-or-no variables under ``matrix @ value <= most``.

    Parameters
    ----------
    cost : (k,) int64
        In millionths.
    matrix : (r, k) sparse
        The constraints.
    most : (r,) float64
        Their right-hand sides.
    lower, upper : (k,) float64 or None
        Bounds of the variables, 0 and 1 if None.
    time_limit_s : float or None
        When to stop.
    """
    if not len(cost):
        return BinaryOptimum(np.empty(0, dtype=bool), 0.0, finished=True)
    model = highspy.HighsLp()
    model.num_row_, model.num_col_ = matrix.shape
    model.col_cost_ = cost / SCALE
    model.col_lower_ = np.zeros(len(cost)) if lower is None else lower
    model.col_upper_ = np.ones(len(cost)) if upper is None else upper
    model.row_lower_ = np.full(len(most), -highspy.kHighsInf)
    model.row_upper_ = most
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_, model.a_matrix_.index_, model.a_matrix_.value_ = (
        matrix.indptr,
        matrix.indices,
        matrix.data,
    )
    model.integrality_ = [highspy.HighsVarType.kInteger] * len(cost)
    solver = _quiet_highs()
    solver.setOptionValue("mip_rel_gap", 0.0)
    solver.setOptionValue("mip_abs_gap", 0.1 / SCALE)  # less than a step of the grid, so an optimum is an optimum
    if time_limit_s is not None:
        solver.setOptionValue("time_limit", max(time_limit_s, 0.0))
    if solver.passModel(model) == highspy.HighsStatus.kError or solver.run() == highspy.HighsStatus.kError:
        raise SolverError(f"HiGHS failed on a model of {len(cost)} variables", status=str(solver.getModelStatus()))
    info = solver.getInfo()
    feasible = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    found = np.array(solver.getSolution().col_value) > 0.5 if feasible else None
    bound = info.mip_dual_bound * SCALE if math.isfinite(info.mip_dual_bound) else -math.inf
    return BinaryOptimum(found, bound, finished=solver.getModelStatus() == highspy.HighsModelStatus.kOptimal)


class PackingProgramme:
    """A packing as a linear programme that variables may join.

    Parameters
    ----------
    most : (r,) float64
        Right-hand side of each row: 1 for a port, of which one share in all is given away.
    """

    def __init__(self, most: NDArray[np.float64]) -> None:
        self._solver = _quiet_highs()
        empty = np.empty(0, dtype=np.int32)
        never = np.full(len(most), -highspy.kHighsInf)
        self._solver.addRows(len(most), never, most, 0, empty, empty, np.empty(0))

    def add(self, cost: NDArray[np.float64], ports: sparse.csc_matrix) -> None:
        """Add variables: what each costs, and its column."""
        k = len(cost)
        endless = np.full(k, highspy.kHighsInf)
        self._solver.addCols(k, cost, np.zeros(k), endless, ports.nnz, ports.indptr[:-1], ports.indices, ports.data)

    def start_at(self, variable: NDArray[np.bool_], row: NDArray[np.bool_]) -> None:
        """Start from a basis: which variables, and the slacks of which rows, are in it."""
        inside, outside = highspy.HighsBasisStatus.kBasic, highspy.HighsBasisStatus
        basis = highspy.HighsBasis()
        basis.col_status = [inside if basic else outside.kLower for basic in variable.tolist()]
        basis.row_status = [inside if basic else outside.kUpper for basic in row.tolist()]
        basis.valid = True
        self._solver.setBasis(basis)

    def solve(self, time_limit_s: float = math.inf) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Return the share of each variable, and the price of each row, at most 0; None if time ends first.

        Goes on from the last optimum.

        Raises
        ------
        SolverError
            If HiGHS finds no optimum, which every packing has.
        """
        if not self._solver.getNumCol():
            return np.empty(0), np.zeros(self._solver.getNumRow())
        if math.isfinite(time_limit_s):  # HiGHS counts from the first run on
            self._solver.setOptionValue("time_limit", self._solver.getRunTime() + max(time_limit_s, 0.0))
        self._solver.run()
        status = self._solver.getModelStatus()
        if status not in (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kTimeLimit):
            self._solver.clearSolver()  # the last optimum led astray; from the start, then
            self._solver.run()
            status = self._solver.getModelStatus()
        if status == highspy.HighsModelStatus.kTimeLimit:
            return None
        if status != highspy.HighsModelStatus.kOptimal:
            raise SolverError(f"HiGHS found no optimum of {self._solver.getNumCol()} variables", status=str(status))
        solution = self._solver.getSolution()
        return np.array(solution.col_value), np.array(solution.row_dual)


def whole_bound(bound: float) -> float:
    """Raise a bound to the grid: a cost is a whole number of millionths, and HiGHS stops a tenth of one short."""
    return float(math.ceil(bound - 0.25)) if math.isfinite(bound) else bound


def _quiet_highs() -> highspy.Highs:
    """Return HiGHS as we want it: exact, and the same on every machine."""
    solver = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy says nothing of its constructor
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)  # more threads, more answers
    solver.setOptionValue("primal_feasibility_tolerance", 1e-9)
    solver.setOptionValue("dual_feasibility_tolerance", 1e-9)
    return solver
