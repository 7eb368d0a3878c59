"""Softmax over the parents of each daughter: the simplest posterior, in which daughters do not compete (SM).

With "new" as a class its cost is that of appearing; without it (Eq. 5 of the paper) the candidates share everything.

References
----------
.. [1] Paul et al., "Reliable Cell Trackers Say 'I dunno!'", Eq. (5), (6).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import SchemaError
from ...solvers.posterior.graph import require_temperature
from ...solvers.problem import FORBIDDEN, settled_pins
from ..metrics.calibration import surprise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...solvers.problem import TrackingProblem


@dataclass(frozen=True, slots=True, eq=False)
class ParentProbabilities:
    """Who the mother of each cell is, a daughter at a time.

    Parameters
    ----------
    link : (m,) float64
        Probability of each candidate.
    new : (n,) float64
        Probability of each cell to have no mother; those of a cell sum to 1 with it. Without "new" as a class it is 1
        for cells that have no candidate, or none that is possible, and else 0.
    """

    link: NDArray[np.float64]
    new: NDArray[np.float64]


def softmax(problem: TrackingProblem, *, temperature: float = 1.0, null: bool = True) -> ParentProbabilities:
    """Return the softmax over the parents of each cell of a problem.

    Parameters
    ----------
    problem : TrackingProblem
        n cells, m candidates; links of forbidden cells are impossible.
    temperature : float
        All costs are divided by it; larger is less sure.
    null : bool
        Whether a cell may be new, at its cost of appearing.

    Raises
    ------
    ConfigError
        If the temperature is not a positive number.
    """
    gone = settled_pins(problem) == FORBIDDEN
    cost = np.where(gone[problem.source] | gone[problem.target], np.inf, problem.edge_cost)
    found = softmax_over_parents(
        problem.target, cost, problem.n_nodes, temperature=temperature, new_cost=problem.appear_cost if null else None
    )
    return ParentProbabilities(found.link, np.where(gone, 0.0, found.new))


def softmax_over_parents(
    target: NDArray[np.int64],
    cost: NDArray[np.float64],
    n: int,
    *,
    temperature: float = 1.0,
    new_cost: NDArray[np.float64] | None = None,
) -> ParentProbabilities:
    """Return the softmax of minus the costs over the candidates of each target.

    Parameters
    ----------
    target : (m,) int64
        Daughter of each candidate, 0 .. n - 1, in any order.
    cost : (m,) float64
        Its cost; +inf is impossible, of candidates at -inf one is certain.
    n : int
        Number of cells.
    temperature : float
        Costs are divided by it.
    new_cost : (n,) float64, optional
        Cost of being new; left out, that is no class.

    Raises
    ------
    ConfigError
        If the temperature is not a positive number.
    SchemaError
        If a cost is no number.
    """
    require_temperature(temperature)
    new = np.full(n, np.inf) if new_cost is None else new_cost
    if np.isnan(cost).any() or np.isnan(new).any():
        raise SchemaError("a cost is no number", expected="numbers; +inf forbids, -inf forces")
    best = new.astype(np.float64)
    np.minimum.at(best, target, cost)
    link, none = _weight(cost, best[target], temperature), _weight(new, best, temperature)
    total = none + np.bincount(target, link, n)
    impossible = total == 0
    none, total = np.where(impossible, 1.0, none), np.where(impossible, 1.0, total)
    return ParentProbabilities(link / total[target], none / total)


def _weight(cost: NDArray[np.float64], best: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return exp(-(cost - best) / temperature), where inf - inf is nothing for +inf, and certain for -inf."""
    finite = np.isfinite(best)
    with np.errstate(over="ignore"):  # what overflows is infinitely dearer
        above = np.subtract(cost, best, out=np.zeros(len(cost)), where=finite) / temperature
    return np.where(finite, np.exp(-above), cost == -np.inf)


@dataclass(frozen=True, slots=True, eq=False)
class ColumnNormalised:
    """Probabilities of candidates, divided by their sum over each daughter.

    Parameters
    ----------
    link : (m,) float64
        Probability of each candidate, given that one of them is the mother; 0 where that is impossible.
    undecided : (n,) bool
        Daughters with candidates of which none has any probability, 0/0: their confidence is 0 and their class "new".
    """

    link: NDArray[np.float64]
    undecided: NDArray[np.bool_]


def column_normalised(target: NDArray[np.int64], link: NDArray[np.float64], n: int) -> ColumnNormalised:
    """Divide probabilities of candidates, (m,), by their sum over each of n daughters."""
    total = np.bincount(target, link, n)
    asked = np.zeros(n, dtype=bool)
    asked[target] = True
    share = np.divide(link, total[target], out=np.zeros(len(link)), where=total[target] > 0)
    return ColumnNormalised(share, asked & (total == 0))


def parent_entropy(
    target: NDArray[np.int64], link: NDArray[np.float64], new: NDArray[np.float64], *, null: bool = True
) -> NDArray[np.float64]:
    """Return the entropy of the parents of each daughter in nats (Eq. 6), (n,).

    Parameters
    ----------
    target : (m,) int64
        Daughter of each candidate.
    link, new : (m,) and (n,) float64
        Probabilities of the candidates, and of having no mother.
    null : bool
        Whether "new" is a class; else the candidates are normalised first, and daughters without a candidate that is
        possible have entropy 0.
    """
    n = len(new)
    p = link if null else column_normalised(target, link, n).link
    inside = np.bincount(target, surprise(p), n).astype(np.float64)
    return np.asarray(inside + surprise(new)) if null else inside
