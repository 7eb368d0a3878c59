"""The same problem as a model of motile, solved by SCIP: slow, and open to costs and constraints of any kind.

motile (funkelab) states a tracking problem with one variable for each thing that can happen to a cell or a link, and
costs and constraints are objects over these variables. Whatever our kernels do not know can be added here as such an
object. Two things are done otherwise than in motile itself: costs of the problem go to the solver in double precision
(motile keeps its own in single), and flow equations stand beside motile's big-M rows, whose relaxation lies more than
a hundredth below the optimum where that of the equations meets it.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import ilpy
import motile
import numpy as np
from motile.constraints import Constraint, ExclusiveNodes, ExpressionConstraint
from motile.costs import Cost
from motile.variables import EdgeSelected, EdgeSplitPair, NodeAppear, NodeDisappear, NodeSelected, NodeSplit

from ..errors import ConfigError, InfeasibleError, SolverError
from .conflicts import Cliques
from .greedy import GreedySolver
from .highs import whole_bound
from .problem import FORBIDDEN, KEPT, SCALE, Selection, objective, on_grid, settled_pins

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from motile.variables import Variable
    from numpy.typing import NDArray

    from .problem import TrackingProblem

log = logging.getLogger(__name__)

INFINITE = 1e20
"""What SCIP writes for a bound that it does not have."""


@dataclass(frozen=True, slots=True, eq=False)
class MotileOptimum:
    """What a model of motile came to, with what was added to it.

    Parameters
    ----------
    selection : Selection
        Priced by the problem alone. Its bound holds for selections that honour the constraints that were added; where
        costs were added there is none, since the best of both together need not be the best of one.
    objective, lower_bound : float
        Cost with what was added, and what no selection that honours the constraints can be cheaper than.
    proven : bool
        Whether the two meet, within a millionth.
    """

    selection: Selection
    objective: float
    lower_bound: float
    proven: bool


@dataclass(slots=True)
class MotileSolver:
    """Solves the problem as a model of motile, by Gurobi if that is licensed, else by SCIP.

    Parameters
    ----------
    time_limit_s : float or None
        After how many seconds, building the model included, to return the best selection found so far.
    extra : sequence of motile.costs.Cost and motile.constraints.Constraint
        What is added to the problem. A node of motile's graph is a row of the problem's detections, with its frame
        ``t``; an edge is the two rows that it ties.
    node_attributes, edge_attributes : mapping of str to array
        Further columns, n or m long, that such objects read: ``{"position": position_um}``.

    Raises
    ------
    ConfigError
        If something added is no such object. Text is refused above all: what motile calls an expression is handed to
        ``eval``, and so is the attribute of its ``Pin``; decide about detections by `pinned_node` instead.
    """

    time_limit_s: float | None = None
    extra: Sequence[Cost | Constraint] = ()
    node_attributes: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    edge_attributes: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given: object = self.extra
        added: object
        for added in (given,) if isinstance(given, str) else self.extra:
            if isinstance(added, str | ExpressionConstraint):
                raise ConfigError(
                    f"an expression would be run as Python: {_named(added)} is refused",
                    **{"try": "a class of your own derived from motile.constraints.Constraint, or pinned_node"},
                )
            if not isinstance(added, Cost | Constraint):
                raise ConfigError(f"a cost or a constraint of motile was expected, got {_named(added)}")

    def solve(self, problem: TrackingProblem) -> Selection:
        """Return an optimal selection; out of time the better of SCIP's and the greedy one, if nothing was added."""
        return self.optimum(problem).selection

    def optimum(self, problem: TrackingProblem) -> MotileOptimum:
        """Return an optimal selection together with what it costs in the model.

        Raises
        ------
        InfeasibleError
            If the constraints that were added leave no selection.
        SolverError
            If time ends before any selection was found, and constraints were added that greedy does not know.
        """
        started = time.monotonic()
        if not problem.n_nodes:
            none = np.zeros(0, dtype=bool)
            return MotileOptimum(Selection(none, none, 0.0, 0.0, proven=True), 0.0, 0.0, proven=True)
        model = motile.Solver(self._graph(problem))
        own = _state(model, problem)
        for nth, added in enumerate(self.extra):
            if isinstance(added, Cost):
                model.add_cost(added, name=f"{nth}: {type(added).__name__}")
            else:
                model.add_constraint(added)
        own = np.concatenate([own, np.zeros(model.num_variables - len(own))])  # extras may bring variables along
        added_cost = np.asarray(model.costs, dtype=np.float64)
        left = None if self.time_limit_s is None else max(0.0, self.time_limit_s - (time.monotonic() - started))
        found = _minimise(model, own + added_cost, left)
        log.info("motile: %d variables, %s", len(own), found.status)
        return self._judged(problem, model, found, added_cost)

    def _graph(self, problem: TrackingProblem) -> motile.TrackGraph:
        """Return the detections and candidate edges as motile keeps them, each an object."""
        _require_columns("node", self.node_attributes, problem.n_nodes)
        _require_columns("edge", self.edge_attributes, problem.n_edges)
        graph = motile.TrackGraph()
        for v, frame in enumerate(problem.frame.tolist()):
            graph.add_node(v, {**{name: column[v] for name, column in self.node_attributes.items()}, "t": frame})
        for e, ends in enumerate(_ends(problem)):
            graph.add_edge(ends, {name: column[e] for name, column in self.edge_attributes.items()})
        return graph

    def _judged(
        self, problem: TrackingProblem, model: motile.Solver, found: _Found, added_cost: NDArray[np.float64]
    ) -> MotileOptimum:
        """Price what was found without motile."""
        cost, more = math.inf, 0.0
        if found.value is not None:
            edge = found.value[_indices(model, EdgeSelected, _ends(problem))]
            node = found.value[_indices(model, NodeSelected, range(problem.n_nodes))]
            cost, more = objective(problem, edge, node), float(added_cost @ found.value)
        elif self.extra:
            raise SolverError(
                "no selection with what was added was found in time", **{"try": "a longer time limit, or none"}
            )
        if not self.extra and found.bound < cost:  # out of time, a general solver may be far behind
            greedy = GreedySolver().solve(problem)
            if greedy.objective < cost:
                edge, node, cost = greedy.edge, greedy.node, greedy.objective
        if not any(isinstance(added, Cost) for added in self.extra):
            bound = min(whole_bound(found.bound * SCALE), round(cost * SCALE)) / SCALE
            selection = Selection(edge, node, cost, bound, proven=bound == cost)
            return MotileOptimum(selection, cost, bound, selection.proven)
        selection = Selection(edge, node, cost, -math.inf, proven=False)
        bound = min(found.bound, cost + more)
        return MotileOptimum(selection, cost + more, bound, proven=cost + more - bound <= 1 / SCALE)


class FlowRows(Constraint):
    r"""What comes into a cell and leaves it, as equations.

    Notes
    -----
    .. math:: a_v + \sum_{in} x = n_v, \qquad d_v + \sum_{out} x = n_v + s_v, \qquad s_v + d_v \le n_v

    A cell has one parent at most, and two children. Every selection of motile with these limits keeps the rows; they
    only cut fractions away.
    """

    def instantiate(self, solver: motile.Solver) -> Iterable[ilpy.Constraint]:
        """Return the three rows of every node."""
        link, node = solver.get_variables(EdgeSelected), solver.get_variables(NodeSelected)
        appear, disappear = solver.get_variables(NodeAppear), solver.get_variables(NodeDisappear)
        split, graph = solver.get_variables(NodeSplit), solver.graph
        for v in graph.nodes:
            into, out = [link[e] for e in graph.prev_edges[v]], [link[e] for e in graph.next_edges[v]]
            yield _row([*into, appear[v]], [node[v]], ilpy.Relation.Equal)
            yield _row([*out, disappear[v]], [node[v], split[v]], ilpy.Relation.Equal)
            yield _row([split[v], disappear[v]], [node[v]], ilpy.Relation.LessEqual)


@dataclass(frozen=True, slots=True)
class PairRows(Constraint):
    """A cell that divides has one pair of daughters, of those that may be together.

    Parameters
    ----------
    allowed : set
        Pairs of edges, as motile names them.
    """

    allowed: set[tuple[tuple[int, int], tuple[int, int]]]

    def instantiate(self, solver: motile.Solver) -> Iterable[ilpy.Constraint]:
        """Return one row a node, and one that forbids all other pairs."""
        pairs, split = solver.get_variables(EdgeSplitPair), solver.get_variables(NodeSplit)
        of_mother: dict[Any, list[ilpy.Variable]] = {v: [] for v in solver.graph.nodes}
        forbidden = []
        for pair, variable in pairs.items():
            of_mother[pair[0][0]].append(variable)
            if pair not in self.allowed:
                forbidden.append(variable)
        for mother, together in of_mother.items():
            yield _row(together, [split[mother]], ilpy.Relation.Equal)
        yield _row(forbidden, [], ilpy.Relation.Equal)


@dataclass(frozen=True, slots=True)
class DecidedNodes(Constraint):
    """Detections that must be selected, and that must not; motile's ``Pin`` would `eval` an attribute for it.

    Parameters
    ----------
    kept, forbidden : list of int
        Nodes.
    """

    kept: list[int]
    forbidden: list[int]

    def instantiate(self, solver: motile.Solver) -> Iterable[ilpy.Constraint]:
        """Return two rows, each a sum over all nodes that it is about."""
        node = solver.get_variables(NodeSelected)
        yield _row([node[v] for v in self.kept], [], ilpy.Relation.Equal, len(self.kept))
        yield _row([node[v] for v in self.forbidden], [], ilpy.Relation.Equal)


def _state(model: motile.Solver, problem: TrackingProblem) -> NDArray[np.float64]:
    """Add variables and constraints of the problem to a model, and return what each variable costs."""
    model.add_constraint(FlowRows())
    pinned = settled_pins(problem)
    decided = [np.flatnonzero(pinned == how).tolist() for how in (KEPT, FORBIDDEN)]
    model.add_constraint(DecidedNodes(*decided))
    if problem.conflicts is not None:
        cliques = Cliques.covering(problem.conflicts, problem.n_nodes)
        groups = [cliques.member[begin:end].tolist() for begin, end in pairwise(cliques.indptr.tolist())]
        model.add_constraint(ExclusiveNodes(groups))
    nodes, ends = range(problem.n_nodes), _ends(problem)
    priced: list[tuple[type[Variable[Any]], Sequence[Any], NDArray[np.float64]]] = [
        (EdgeSelected, ends, problem.edge_cost),
        (NodeSelected, nodes, problem.node_cost),
        (NodeAppear, nodes, problem.appear_cost),
        (NodeDisappear, nodes, problem.disappear_cost),
    ]
    if problem.pairs is None:
        priced.append((NodeSplit, nodes, problem.division_cost))
    else:
        rows = np.sort(np.column_stack([problem.pairs.first, problem.pairs.second]), axis=1)
        named = [(ends[first], ends[second]) for first, second in rows.tolist()]
        model.add_constraint(PairRows(set(named)))
        # the links of a pair are selected too, and pay for themselves; the pair pays the difference
        alone = on_grid(problem.edge_cost)[rows].sum(axis=1) / SCALE
        priced.append((EdgeSplitPair, named, problem.pairs.cost - alone))
    cost = np.zeros(model.num_variables)
    for kind, keys, column in priced:
        cost[_indices(model, kind, keys)] = on_grid(column) / SCALE
    return cost


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """Values of all variables (None if there are none), a bound on their cost, and what the solver says of them."""

    value: NDArray[np.bool_] | None
    bound: float
    status: str


def _minimise(model: motile.Solver, cost: NDArray[np.float64], time_limit_s: float | None) -> _Found:
    """Solve a model with these costs in double precision."""
    solver = ilpy.Solver(
        model.num_variables,
        ilpy.VariableType.Binary,
        variable_types=model.variable_types,
        preference=ilpy.Preference.Any,
    )
    solver.set_objective(ilpy.Objective.from_coefficients(cost.tolist()))
    solver.set_constraints(model.constraints)
    solver.set_num_threads(1)  # more threads, more answers
    solver.set_optimality_gap(0.0)
    solver.set_verbose(False)
    if time_limit_s is not None:
        solver.set_timeout(min(time_limit_s, INFINITE))  # SCIP takes no longer one
    native = solver.native_model()
    found = _by_scip(native) if hasattr(native, "getDualbound") else _by_ilpy(solver)
    if found.status == "infeasible":
        raise InfeasibleError("the constraints that were added leave no selection")
    return found


def _by_scip(native: Any) -> _Found:
    """Solve by SCIP itself: ilpy lets go of the bound before it can be read."""
    native.setParam("numerics/feastol", 1e-9)
    native.setParam("numerics/dualfeastol", 1e-9)
    variables = native.getVars()  # in the order in which ilpy made them
    native.optimize()
    status = str(native.getStatus())
    if status == "userinterrupt":  # SCIP catches it, and would go on as if time had ended
        raise KeyboardInterrupt
    value = None
    if native.getNSols():
        best = native.getBestSol()
        value = np.array([native.getSolVal(best, variable) for variable in variables]) > 0.5
    bound = float(native.getDualbound())
    return _Found(value, bound if abs(bound) < INFINITE else -math.inf, status)


def _by_ilpy(solver: ilpy.Solver) -> _Found:
    """Solve by what ilpy found; it tells no bound, so there is one only where the optimum was found."""
    solution = solver.solve()
    optimal = solution.status == ilpy.SolverStatus.OPTIMAL
    value = np.asarray(solution.variable_values) > 0.5
    some = optimal or bool(value.any())  # where ilpy has no solution it says zeros
    bound = float(solution.objective_value) if optimal else -math.inf
    return _Found(value if some else None, bound, solution.status.name.lower())


def _ends(problem: TrackingProblem) -> list[tuple[int, int]]:
    """Return the edges as motile names them."""
    return list(zip(problem.source.tolist(), problem.target.tolist(), strict=True))


def _indices(model: motile.Solver, kind: type[Variable[Any]], keys: Iterable[Any]) -> NDArray[np.int64]:
    """Return where the variables of one kind stand among all."""
    variables = model.get_variables(kind)
    return np.array([variables[key].index for key in keys], dtype=np.int64)


def _row(
    plus: Sequence[ilpy.Variable], minus: Sequence[ilpy.Variable], relation: ilpy.Relation, value: float = 0.0
) -> ilpy.Constraint:
    """Return a row: the sum of some variables less that of others, compared with a number."""
    row = ilpy.Constraint()
    for sign, variables in ((1.0, plus), (-1.0, minus)):
        for variable in variables:
            row.set_coefficient(variable, sign)
    row.set_relation(relation)
    row.set_value(value)
    return row


def _require_columns(what: str, columns: Mapping[str, NDArray[Any]], length: int) -> None:
    for name, column in columns.items():
        if len(column) != length:
            raise ConfigError(f"the {what} attribute {name} has {len(column)} rows, the problem {length}")


def _named(added: object) -> str:
    return repr(added) if isinstance(added, str) else type(added).__name__
