"""Perturb-and-MAP: probabilities by solving a problem again and again, each time with other noise on its options.

In one draw every option of a cell gets a Gumbel variable of its own as a bonus, and any solver finds the cheapest
selection. Were a cell alone, a bonus of scale 1 would choose each of its options as often as it is likely; cells share
their links, so the frequency over draws only comes near. Nothing but a solver is needed, so all that solvers know is
sampled: optional detections, links over gaps, pairs of daughters, exclusions.

**Who gets noise.** Each link; being new; having no daughter; and, where a detection is optional, not being a cell. A
link that divides a mother carries its own noise, no division has any besides, and a pair has that of its two links: a
problem whose pairs add up is drawn as one without. A daughter thus has noise on each of its options, and so has a
mother; each option that both look at has it once. On small problems whose marginals are known (0021 of the design
notes) this choice came nearest, and a scale of 0.7 came nearer than 1, for kept and for optional cells.

**How it is solved.** Whole and from the start: noise moves every price, so the duals of the last draw save nothing
(measured), and windows cost two to three times the time. They bound the memory of the solver beyond `WHOLE` cells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ...errors import ConfigError
from ..ilp import IlpSolver
from ..windows import Piece, Windows, part_of, solve_in_windows
from .graph import require_temperature
from .marginals import Marginals
from .outcomes import HowWeighed, ranked_outcomes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ..base import Solver
    from ..problem import TrackingProblem
    from ..windows import Loader
    from .outcomes import Outcomes

WHOLE: Final = 1_000_000
"""Cells up to which a draw is solved in one piece: about half a gigabyte and two seconds."""

CONTEXT: Final = 5
"""Longest links that fit into the context of a window, where windows are not given."""


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """A selection that the noise of one draw made the cheapest.

    Parameters
    ----------
    edge : (m,) bool
        Links.
    node : (n,) bool
        Cells.
    """

    edge: NDArray[np.bool_]
    node: NDArray[np.bool_]

    def founder(self, problem: TrackingProblem) -> NDArray[np.int64]:
        """Return the earliest ancestor of each cell, (n,) int64; itself where it is new, -1 where it is no cell.

        Two cells are of one clone if their founders are the same; how often over draws is how sure that is.
        """
        ancestor = np.arange(problem.n_nodes)
        ancestor[problem.target[self.edge]] = problem.source[self.edge]
        while True:
            further = ancestor[ancestor]
            if np.array_equal(further, ancestor):
                return np.where(self.node, ancestor, -1)
            ancestor = further


def perturb_and_map(
    problem: TrackingProblem,
    *,
    solver: Solver | None = None,
    draws: int = 100,
    scale: float = 0.7,
    temperature: float = 1.0,
    seed: int = 0,
    window: Windows | None = None,
) -> Marginals:
    """Return how often each link, cell and outcome is chosen over draws.

    Parameters
    ----------
    problem : TrackingProblem
        Any; pairs and conflicts too.
    solver : Solver or None
        Solves each draw; None: our exact one.
    draws : int
        How many.
    scale : float
        Scale of the noise, in units of the temperature.
    temperature : float
        Of the probabilities, ``exp(-cost / temperature)``.
    seed : int
        The same numbers for the same seed; draw k does not depend on how many there are.
    window : Windows or None
        How to cut the movie for solving; None: not at all up to `WHOLE` cells.

    Returns
    -------
    Marginals
        All of it `HowWeighed.SAMPLED`, with the error ``sqrt(p (1 - p) / draws)``. It tells how far the frequency may
        be from that of endless draws, not how far these are from the truth; and what was never drawn, error 0, may
        still have a probability of 3 / draws. A piece holds the cells tied by links that are in some draws and not in
        others.

    Raises
    ------
    ConfigError
        If there is not one draw, or scale or temperature is not a number above 0.
    """
    if draws < 1:
        raise ConfigError(f"probabilities need at least one draw, got {draws}")
    m, n = problem.n_edges, problem.n_nodes
    link, new, present = (np.zeros(length, dtype=np.int64) for length in (m, n, n))
    tally = OutcomeTally(problem)
    for draw in perturbed_selections(
        problem, solver=solver, draws=draws, scale=scale, temperature=temperature, seed=seed, window=window
    ):
        link += draw.edge
        present += draw.node
        tally.add(draw.edge)
        new += draw.node
        new[problem.target[draw.edge]] -= 1
    share = link / draws
    outcomes = tally.outcomes(draws)
    likeliest = outcomes.probability[outcomes.first[:-1]]
    return Marginals(
        link=share,
        new=new / draws,
        present=present / draws,
        outcomes=outcomes,
        how=np.full(m, HowWeighed.SAMPLED, dtype=np.uint8),
        error=np.sqrt(share * (1 - share) / draws),
        dropped=np.zeros(m),
        how_cell=np.full(n, HowWeighed.SAMPLED, dtype=np.uint8),
        error_cell=np.sqrt(likeliest * (1 - likeliest) / draws),
        piece=_pieces(problem, link, present, np.diff(outcomes.first) > 1, draws),
        log_z=math.nan,
    )


def perturbed_selections(
    problem: TrackingProblem,
    *,
    solver: Solver | None = None,
    draws: int = 100,
    scale: float = 0.7,
    temperature: float = 1.0,
    seed: int = 0,
    window: Windows | None = None,
) -> Iterator[Draw]:
    """Yield the draws of `perturb_and_map` one by one, for what links and cells alone do not tell: whole lineages.

    Parameters and errors are those of `perturb_and_map`; nothing is held between draws.
    """
    require_temperature(temperature)
    if not 0 < scale < math.inf:
        raise ConfigError(f"the scale of perturbation must be a number above 0, got {scale}")
    solver = solver or IlpSolver()
    window = window or _windows_of(problem)
    for draw in range(draws):
        noisy = perturbed(problem, np.random.default_rng([seed, draw]), scale * temperature)
        yield _solved(noisy, solver) if window is None else _solved_in_windows(noisy, solver, window)


def perturbed(problem: TrackingProblem, rng: np.random.Generator, scale: float) -> TrackingProblem:
    """Return the problem with a Gumbel bonus of this scale, in units of cost, on each of its options."""
    link = rng.gumbel(scale=scale, size=problem.n_edges)
    new, childless, absent = rng.gumbel(scale=scale, size=(3, problem.n_nodes))
    pairs = problem.pairs
    if pairs is not None:
        pairs = replace(pairs, cost=pairs.cost - (link[pairs.first] + link[pairs.second]))
    return replace(
        problem,
        edge_cost=problem.edge_cost - link,
        appear_cost=problem.appear_cost - new,
        disappear_cost=problem.disappear_cost - childless,
        node_cost=np.where(problem.pinned_node == 0, problem.node_cost + absent, problem.node_cost),
        pairs=pairs,
    )


def _solved(problem: TrackingProblem, solver: Solver) -> Draw:
    selection = solver.solve(problem)
    return Draw(selection.edge, selection.node)


def _solved_in_windows(problem: TrackingProblem, solver: Solver, windows: Windows) -> Draw:
    edge, node = np.zeros(problem.n_edges, dtype=bool), np.zeros(problem.n_nodes, dtype=bool)
    for core in solve_in_windows(_loader(problem), windows, solver):
        edge[core.edge] = True
        node[core.node] = True
    return Draw(edge, node)


def _loader(problem: TrackingProblem) -> Loader:
    def load(first_frame: int, last_frame: int) -> Piece:
        inside = (problem.frame >= first_frame) & (problem.frame <= last_frame)
        nodes, edges = np.flatnonzero(inside), np.flatnonzero(inside[problem.source] & inside[problem.target])
        return Piece(part_of(problem, nodes, edges), nodes, edges)

    return load


def _windows_of(problem: TrackingProblem) -> Windows | None:
    """Cut a movie that is too large for one piece, unless exclusions run across frames: no window could hold them."""
    frame, conflicts = problem.frame, problem.conflicts
    if problem.n_nodes <= WHOLE:
        return None
    if conflicts is not None and (frame[conflicts.first] != frame[conflicts.second]).any():
        return None
    first, last = int(frame.min()), int(frame.max())
    reach = int((frame[problem.target] - frame[problem.source]).max(initial=1))
    core = max(1, WHOLE * (last + 1 - first) // (2 * problem.n_nodes))
    return Windows(first, last, core, CONTEXT * reach, reach)


class OutcomeTally:
    """Counts what each mother does, without keeping the draws."""

    def __init__(self, problem: TrackingProblem) -> None:
        self._source = problem.source
        self._n, self._m = problem.n_nodes, problem.n_edges
        self._key = np.empty(0, dtype=np.int64)  # of the links a and b of an outcome: a (m + 1) + b + 1
        self._count = np.empty(0, dtype=np.int64)
        self._waiting: list[NDArray[np.int64]] = []

    def add(self, edge: NDArray[np.bool_]) -> None:
        """Count a selection."""
        rows = np.flatnonzero(edge)
        rows = rows[np.argsort(self._source[rows], kind="stable")]
        source = self._source[rows]
        with_next = np.append(source[1:] == source[:-1], False) if len(rows) else np.empty(0, dtype=bool)
        second = np.where(with_next, np.roll(rows, -1), -1)
        begins = np.ones(len(rows), dtype=bool)
        begins[1:] = source[1:] != source[:-1]
        self._waiting.append(rows[begins] * (self._m + 1) + second[begins] + 1)
        if sum(map(len, self._waiting)) > 4 * (self._n + len(self._key)):
            self._count_waiting()

    def _count_waiting(self) -> None:
        one = np.ones(sum(map(len, self._waiting)), dtype=np.int64)
        keys = np.concatenate([self._key, *self._waiting])
        self._key, place = np.unique(keys, return_inverse=True)
        self._count = np.bincount(
            place, np.concatenate([self._count, one]).astype(np.float64), minlength=len(self._key)
        ).astype(np.int64)
        self._waiting = []

    def outcomes(self, draws: int) -> Outcomes:
        """Return the outcomes of all cells with their frequencies."""
        self._count_waiting()
        a, b = self._key // (self._m + 1), self._key % (self._m + 1) - 1
        mother = self._source[a]
        childless = draws - np.bincount(mother, self._count.astype(np.float64), minlength=self._n).astype(np.int64)
        ends = np.flatnonzero(childless)
        none = np.full(len(ends), -1, dtype=np.int64)
        cell, count = np.concatenate([mother, ends]), np.concatenate([self._count, childless[ends]])
        a, b = np.concatenate([a, none]), np.concatenate([b, none])
        return ranked_outcomes(self._n, cell, a, b, count / draws)


def _pieces(
    problem: TrackingProblem,
    link: NDArray[np.int64],
    present: NDArray[np.int64],
    unsure: NDArray[np.bool_],
    draws: int,
) -> NDArray[np.int64]:
    """Return the piece of each cell that links in doubt tie, (n,); -1 where a mother always does the same."""
    n = problem.n_nodes
    open_link = (link > 0) & (link < draws)
    both_roles = np.flatnonzero((present > 0) & (present < draws))
    one = np.concatenate([problem.source[open_link], both_roles])
    other = n + np.concatenate([problem.target[open_link], both_roles])
    ties = sparse.coo_matrix((np.ones(len(one), dtype=bool), (one, other)), shape=(2 * n, 2 * n))
    label = connected_components(ties, directed=False)[1][:n]
    piece = np.full(n, -1, dtype=np.int64)
    piece[unsure] = np.unique(label[unsure], return_inverse=True)[1]
    return piece
