r"""A movie solved window by window, in the memory of a window, with a bound for the whole.

Each window is a core and its context on both sides. It is solved as if it were all there is, and what its core chooses
is kept: which of its detections are cells, and the links that leave them. Where that contradicts what earlier cores
chose (a link into the core, or past it), the window is solved again with the past as it is. So nothing is ever
infeasible, and with enough context nothing is solved twice.

The bound comes from prices at the seams. Let a core B be a problem of its own: its cells, and the links that leave
them. A cell v into which links of other cores could lead gets a price p_v <= 0, by which it appears there more cheaply;
a link that leads into v from another core pays it, and saves the appearance:

    appear'_v = c_a(v) + p_v,        c'_e = c_e - c_a(v) - p_v    for e = (u, v) out of the core

Every selection of the movie costs at least what its parts cost in the cores: a link across a seam pays and saves the
same, and an appearance pays more. So the sum of the optima of all cores is a lower bound, whatever the prices. Those of
the matching of the window, which saw the seam with context on either side, make it tight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from ..errors import SchemaError, SolverError
from .conflicts import Conflicts
from .problem import FORBIDDEN, KEPT, SCALE, TrackingProblem, objective, on_grid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .base import Solver
    from .problem import Selection

NOISE: Final = 0.01
"""Millionths that a sum of costs may be off as a float; costs are whole millionths, so bounds round up beyond it."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Some frames of a movie as a problem.

    Parameters
    ----------
    problem : TrackingProblem
        n detections of these frames, and the m candidate edges between them. Costs are those of the whole movie.
    node : (n,) int64
        Number of each detection in the movie, the same in every piece that holds it.
    edge : (m,) int64
        Number of each candidate edge, likewise.
    """

    problem: TrackingProblem
    node: NDArray[np.int64]
    edge: NDArray[np.int64]

    def __post_init__(self) -> None:
        if len(self.node) != self.problem.n_nodes or len(self.edge) != self.problem.n_edges:
            raise SchemaError(
                f"a piece of {self.problem.n_nodes} nodes and {self.problem.n_edges} edges has numbers for "
                f"{len(self.node)} and {len(self.edge)}"
            )


class Loader(Protocol):
    """Reads some frames of a movie."""

    def __call__(self, first_frame: int, last_frame: int) -> Piece:
        """Return the detections of these frames, both included, and all candidate edges between them."""
        ...


@dataclass(frozen=True, slots=True)
class Windows:
    """How a movie is cut.

    Parameters
    ----------
    first_frame, last_frame : int
        Of the movie.
    core : int
        Frames of which each window keeps what it chose.
    context : int
        Frames before and after them that it sees besides.
    reach : int
        Most frames from the source of a candidate edge to its target.

    Raises
    ------
    SchemaError
        If a core has no frame, or the context is shorter than an edge may be.
    """

    first_frame: int
    last_frame: int
    core: int
    context: int
    reach: int = 1

    def __post_init__(self) -> None:
        if self.core < 1:
            raise SchemaError(f"a window keeps at least one frame, got {self.core}")
        if self.reach < 1 or self.context < self.reach:
            raise SchemaError(
                f"the context of a window must be as long as the edges: {self.reach} frames, got {self.context}"
            )

    def __len__(self) -> int:
        return max(0, -(-(self.last_frame + 1 - self.first_frame) // self.core))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield the first frame of each core, and the one after its last."""
        for first in range(self.first_frame, self.last_frame + 1, self.core):
            yield first, min(first + self.core, self.last_frame + 1)


@dataclass(frozen=True, slots=True, eq=False)
class CoreSelection:
    """What a window chose for its core.

    Parameters
    ----------
    node : (c,) int64
        Numbers of the cells of the core.
    edge : (k,) int64
        Numbers of the links that leave them.
    source, target : (k,) int64
        Numbers of the cells that each of these links ties.
    dual : (c,) float64 or None
        Price of the in-port of each cell in the window; None where the solver knows no prices.
    objective : float
        What the core adds to the cost of the whole; it is the sum over all cores that counts.
    lower_bound : float
        What it adds to the bound; -inf where the solver gives none.
    again : bool
        Whether the window was solved a second time, since it contradicted what was kept.
    """

    node: NDArray[np.int64]
    edge: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    dual: NDArray[np.float64] | None
    objective: float
    lower_bound: float
    again: bool


def _none() -> NDArray[np.int64]:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class _Past:
    """What earlier cores leave behind at the seam: links across it, and prices of cells beyond it, in millionths."""

    link: NDArray[np.int64] = field(default_factory=_none)
    node: NDArray[np.int64] = field(default_factory=_none)
    price: NDArray[np.int64] = field(default_factory=_none)


def solve_in_windows(load: Loader, windows: Windows, solver: Solver) -> Iterator[CoreSelection]:
    """Solve a movie one window after the other, and yield what each keeps.

    Parameters
    ----------
    load : Loader
        Reads a window; each is read once, in order of frames.
    windows : Windows
        How the movie is cut.
    solver : Solver
        Solves each window, each core and what contradicts. With an exact one the bound is proven.

    Yields
    ------
    CoreSelection
        One for each core. Together they are a selection of the whole; the sums of `objective` and `lower_bound` are
        what it costs, and what no selection costs less than (`sum_up`).

    Raises
    ------
    SchemaError
        If the pieces do not fit each other.
    SolverError
        If the solver breaks a rule.
    """
    past = _Past()
    for first, stop in windows:
        seen = max(windows.first_frame, first - windows.context), min(windows.last_frame, stop - 1 + windows.context)
        window = _Window(load(*seen), first, stop, past)
        window.require_known(windows.reach)
        alone = seen == (first, stop - 1)
        core, past = window.solved(solver, alone)
        yield core


def sum_up(cores: list[tuple[float, float]]) -> tuple[float, float, bool]:
    """Return objective, lower bound and whether they meet, from the objective and the bound of each core."""
    cost = sum(round(objective * SCALE) for objective, _ in cores)
    if not all(math.isfinite(bound) for _, bound in cores):
        return cost / SCALE, -math.inf, False
    bound = min(sum(math.ceil(bound * SCALE - NOISE) for _, bound in cores), cost)
    return cost / SCALE, bound / SCALE, bound == cost


class _Window:
    """A piece, its core ``first .. stop - 1``, and what the past says of it."""

    def __init__(self, piece: Piece, first: int, stop: int, past: _Past) -> None:
        problem = piece.problem
        self.piece, self.first, self.stop = piece, first, stop
        self.problem = problem
        self.core = (problem.frame >= first) & (problem.frame < stop)
        self.leaves = self.core[problem.source]
        self.kept = np.isin(piece.edge, past.link)
        if np.count_nonzero(self.kept) != len(past.link):
            raise SchemaError("links that were kept are not in the next window: its pieces do not fit each other")
        self.parented = np.zeros(problem.n_nodes, dtype=bool)
        self.parented[problem.target[self.kept]] = True
        order = np.argsort(past.node)
        self.priced = np.isin(piece.node, past.node)
        self.price = np.zeros(problem.n_nodes, dtype=np.int64)
        place = np.searchsorted(past.node[order], piece.node[self.priced])
        self.price[self.priced] = past.price[order][place]

    def require_known(self, reach: int) -> None:
        """Raise SchemaError if an edge or a conflict is longer than is looked for: others like it would not be seen."""
        frames = self.problem.frame[self.problem.target] - self.problem.frame[self.problem.source]
        if frames.max(initial=0) > reach:
            raise SchemaError(f"a candidate edge runs over {frames.max()} frames, expected at most {reach}")
        conflicts = self.problem.conflicts
        if (
            conflicts is not None
            and (self.problem.frame[conflicts.first] != self.problem.frame[conflicts.second]).any()
        ):
            raise SchemaError("detections of different frames exclude each other: no window would hold both for sure")

    def solved(self, solver: Solver, alone: bool) -> tuple[CoreSelection, _Past]:
        """Return what the core keeps, and what it leaves to the next one; `alone` if nothing lies outside of it."""
        problem, piece = self.problem, self.piece
        whole = solver.solve(problem)
        edge, node = whole.edge, whole.node
        into = (problem.frame[problem.source] < self.first) & (problem.frame[problem.target] >= self.first)
        again = not np.array_equal(whole.edge & into, self.kept)
        if again:
            edge, node = self._solved_after_the_past(solver)
        taken, cells = edge & self.leaves, node & self.core
        if self.parented[problem.target[taken]].any() or (self.parented & self.core & ~cells).any():
            raise SolverError("a window gives a cell a second parent, or leaves out one that has a parent")

        self._price_the_seam(whole)
        cost = self._cost_of_core(taken, cells)
        core = CoreSelection(
            node=piece.node[cells],
            edge=piece.edge[taken],
            source=piece.node[problem.source[taken]],
            target=piece.node[problem.target[taken]],
            dual=None if whole.dual is None else whole.dual[cells],
            objective=cost,
            lower_bound=whole.lower_bound if alone else self._bound(solver),
            again=again,
        )
        beyond = problem.frame >= self.stop
        links = (self.kept | taken) & beyond[problem.target]
        priced = self.priced & beyond
        return core, _Past(piece.edge[links], piece.node[priced], self.price[priced])

    def _solved_after_the_past(self, solver: Solver) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Solve core and later frames with the links that are kept: masks over the window."""
        problem = self.problem
        later = problem.frame >= self.first
        nodes = np.flatnonzero(later)
        edges = np.flatnonzero(later[problem.source] & ~self.parented[problem.target])
        rest = part_of(problem, nodes, edges)
        has_parent = self.parented[nodes]
        rest = replace(
            rest,
            appear_cost=np.where(has_parent, 0.0, rest.appear_cost),
            pinned_node=np.where(has_parent, np.int8(KEPT), rest.pinned_node),
        )
        found = solver.solve(rest)
        edge, node = np.zeros(problem.n_edges, dtype=bool), np.zeros(problem.n_nodes, dtype=bool)
        edge[edges], node[nodes] = found.edge, found.node
        return edge, node

    def _price_the_seam(self, whole: Selection) -> None:
        """Set the prices of cells beyond the core into which links from before them could lead, once and for all."""
        problem = self.problem
        seam = np.zeros(problem.n_nodes, dtype=bool)
        seam[problem.target[problem.frame[problem.source] < self.stop]] = True
        seam &= (problem.frame >= self.stop) & ~self.priced
        if whole.dual is not None:
            self.price[seam] = np.minimum(on_grid(whole.dual[seam]), 0)
        self.priced |= seam

    def _cost_of_core(self, taken: NDArray[np.bool_], cells: NDArray[np.bool_]) -> float:
        """Let the judge price what the core keeps, by the problem that its bound reads too, but without prices."""
        nodes, edges, own = self._core_problem(np.zeros_like(self.price))
        outside = ~self.core[nodes]
        return objective(own, taken[edges], cells[nodes] | outside)

    def _bound(self, solver: Solver) -> float:
        return solver.solve(self._core_problem(self.price)[2]).lower_bound

    def _core_problem(self, price: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], TrackingProblem]:
        """Return the core as a problem of its own at some prices: rows of its nodes and edges, and the problem.

        Cells beyond it to which its links lead are nodes that cost nothing.
        """
        problem = self.problem
        edges = np.flatnonzero(self.leaves & (problem.pinned_node[problem.target] != FORBIDDEN))
        outside = ~self.core
        nodes = self.core.copy()
        nodes[problem.target[edges]] = True
        rows = np.flatnonzero(nodes)
        own = part_of(problem, rows, edges)
        free = outside[rows]
        appear = on_grid(problem.appear_cost) + price
        saved = np.where(outside[problem.target[edges]], appear[problem.target[edges]], 0)
        pairs = own.pairs
        if pairs is not None:
            both = saved[pairs.first] + saved[pairs.second]
            pairs = replace(pairs, cost=(on_grid(pairs.cost) - both) / SCALE)
        return (
            rows,
            edges,
            replace(
                own,
                pairs=pairs,
                conflicts=None if own.conflicts is None else own.conflicts.among(~free),
                edge_cost=(on_grid(own.edge_cost) - saved) / SCALE,
                node_cost=np.where(free, 0.0, own.node_cost),
                appear_cost=np.where(free, 0.0, appear[rows] / SCALE),
                disappear_cost=np.where(free, 0.0, own.disappear_cost),
                division_cost=np.where(free, 0.0, own.division_cost),
                pinned_node=np.where(free, np.int8(KEPT), own.pinned_node),
            ),
        )


def part_of(problem: TrackingProblem, nodes: NDArray[np.int64], edges: NDArray[np.int64]) -> TrackingProblem:
    """Return some nodes of a problem and some edges between them, all at increasing rows, as a problem."""
    place = np.full(problem.n_nodes, -1, dtype=np.int64)
    place[nodes] = np.arange(len(nodes))
    conflicts = None if problem.conflicts is None else problem.conflicts.among(place >= 0)
    return replace(
        problem,
        frame=problem.frame[nodes],
        source=place[problem.source[edges]],
        target=place[problem.target[edges]],
        edge_cost=problem.edge_cost[edges],
        node_cost=problem.node_cost[nodes],
        appear_cost=problem.appear_cost[nodes],
        disappear_cost=problem.disappear_cost[nodes],
        division_cost=problem.division_cost[nodes],
        pinned_node=problem.pinned_node[nodes],
        pairs=None if problem.pairs is None else problem.pairs.among(edges, problem.n_edges),
        conflicts=None if conflicts is None else Conflicts(place[conflicts.first], place[conflicts.second]),
    )
