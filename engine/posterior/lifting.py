"""From what annotations leave of a problem back to the movie: what people decided is certain."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...solvers.posterior.outcomes import HowWeighed, Outcomes
from ...solvers.problem import FORBIDDEN
from ...storage.posteriors import CellOutcomes, LinkProbabilities

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...solvers.pins import PinnedProblem
    from ...storage.schema import CandidateEdges
    from .estimate import Posterior


def lifted(posterior: Posterior, left: PinnedProblem) -> Posterior:
    """Return the posterior of the whole problem: links that are forced in are certain, those forced out impossible.

    Parameters
    ----------
    posterior : Posterior
        Of `left.problem`.
    left : PinnedProblem
        What annotations leave of a problem of m links and n cells.
    """
    whole = left.asked
    link, error = left.forced.astype(np.float64), np.full(whole.n_edges, np.nan)
    how = np.full(whole.n_edges, HowWeighed.EXACT, dtype=np.uint8)
    link[left.rows], error[left.rows], how[left.rows] = posterior.link, posterior.error, posterior.how
    new = posterior.new.copy()
    new[whole.target[left.forced]] = 0.0
    decided = np.zeros(whole.n_nodes, dtype=bool)
    decided[whole.source[left.forced]] = True
    return replace(
        posterior,
        link=link,
        new=new,
        how=how,
        error=error,
        outcomes=None if posterior.outcomes is None else _whole_outcomes(posterior.outcomes, left),
        how_cell=np.where(decided, np.uint8(HowWeighed.EXACT), posterior.how_cell),
        error_cell=np.where(decided, np.nan, posterior.error_cell),
    )


def _whole_outcomes(outcomes: Outcomes, left: PinnedProblem) -> Outcomes:
    """Return outcomes by rows of the whole problem; the only one of a decided mother holds the links forced in."""
    rows = np.append(left.rows, -1)  # -1 stays -1
    a, b = rows[outcomes.a], rows[outcomes.b]
    forced = np.flatnonzero(left.forced)
    forced = forced[np.argsort(left.asked.source[forced], kind="stable")]
    mother = left.asked.source[forced]
    another = np.append(False, mother[1:] == mother[:-1]) if len(forced) else np.empty(0, dtype=bool)
    a[outcomes.first[mother[~another]]] = forced[~another]
    b[outcomes.first[mother[another]]] = forced[another]
    return Outcomes(outcomes.first, a, b, outcomes.probability)


def stored_links(posterior: Posterior, edges: CandidateEdges) -> LinkProbabilities:
    """Return the links of a posterior by their numbers in the store."""
    return LinkProbabilities(edges.id, np.clip(posterior.link, 0, 1), posterior.how, posterior.error)


def stored_outcomes(
    posterior: Posterior, left: PinnedProblem, ids: NDArray[np.int64], wanted: NDArray[np.bool_]
) -> CellOutcomes | None:
    """Return the outcomes of a posterior by numbers of cells; None where its method tells of links alone.

    Parameters
    ----------
    posterior : Posterior
        Of all n cells of `left.asked`.
    left : PinnedProblem
        What annotations leave of their problem; what is no cell does nothing, and has no outcomes.
    ids : (n,) int64
        Numbers of the cells.
    wanted : (n,) bool
        Cells whose outcomes are wanted; what cells do after the last frame is not known.
    """
    outcomes, whole = posterior.outcomes, left.asked
    if outcomes is None:
        return None
    cells = wanted & (left.problem.pinned_node != FORBIDDEN)
    cell = np.repeat(np.arange(len(ids)), np.diff(outcomes.first))
    kept = cells[cell]
    cell, link_a, link_b = cell[kept], outcomes.a[kept], outcomes.b[kept]
    one, two = (_daughters(link, whole.target, ids) for link in (link_a, link_b))
    swap = (two >= 0) & (two < one)
    return CellOutcomes(
        cell=ids[cell],
        a=np.where(swap, two, one),
        b=np.where(swap, one, two),
        probability=outcomes.probability[kept],
        how=posterior.how_cell[cell],
        error=posterior.error_cell[cell],
    )


def _daughters(link: NDArray[np.int64], target: NDArray[np.int64], ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of the daughter that each link leads to, -1 where there is no link."""
    daughter = np.full(len(link), -1, dtype=np.int64)
    daughter[link >= 0] = ids[target[link[link >= 0]]]
    return daughter
