"""What a change of pins touches: the pieces that have to be weighed again, taken out as a problem of their own.

Mothers and daughters that no undecided link ties are weighed apart (`graph`). So where the costs stay and pins alone
come or go, the probabilities of a piece stay, too, unless it holds a cell that some pin is about: its links, or what is
known of it, differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ..pins import PinnedProblem
from ..problem import FORBIDDEN, settled_pins
from ..windows import part_of
from .components import OPTIONAL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class TouchedPart:
    """The part of a problem of n cells and m links that has to be weighed again.

    Parameters
    ----------
    left : PinnedProblem
        The cells and links of the part, and what pins leave of them.
    cells : (k,) int64
        Their rows in the whole problem, increasing.
    links : (l,) int64
        Rows there of the links of the part, increasing: all whose probability may differ.
    mothers : (k,) bool
        Cells of the part whose outcomes may differ; the others only have links into them here.
    pieces, of_pieces : int
        Pieces that have to be weighed again, and all pieces of the whole problem: sets of cells that undecided links
        tie.
    """

    left: PinnedProblem
    cells: NDArray[np.int64]
    links: NDArray[np.int64]
    mothers: NDArray[np.bool_]
    pieces: int
    of_pieces: int


def touched_part(before: PinnedProblem, now: PinnedProblem) -> TouchedPart:
    """Return what pins that came or went touch.

    Parameters
    ----------
    before, now : PinnedProblem
        What earlier and present pins leave of the same problem.
    """
    n = now.problem.n_nodes
    changed = np.concatenate(_changed_roles(before, now))
    source, target = now.problem.source, now.problem.target
    undecided = _undecided(now)
    optional = np.flatnonzero(settled_pins(now.problem) == OPTIONAL)
    label = _pieces(np.append(source[undecided], optional), np.append(target[undecided], optional), n)
    again = np.zeros(2 * n, dtype=bool)
    again[label[changed]] = True
    mother, daughter = again[label[:n]], again[label[n:]]
    alive = np.zeros(now.asked.n_edges, dtype=bool)
    alive[now.rows[undecided]] = True
    links = np.flatnonzero((alive | now.forced) & mother[now.asked.source] | _changed_links(before, now))
    of_part = mother | daughter
    of_part[now.asked.source[links]] = of_part[now.asked.target[links]] = True
    cells = np.flatnonzero(of_part)
    tied = np.zeros(2 * n, dtype=bool)
    tied[label[source[undecided]]] = True
    return TouchedPart(
        left=_part(now, cells, links),
        cells=cells,
        links=links,
        mothers=mother[cells],
        pieces=int(np.count_nonzero(tied & again)),
        of_pieces=int(np.count_nonzero(tied)),
    )


def _undecided(left: PinnedProblem) -> Bools:
    """Tell which links that pins leave are between cells that may be selected."""
    there = settled_pins(left.problem) != FORBIDDEN
    return np.asarray(there[left.problem.source] & there[left.problem.target])


def _states(left: PinnedProblem) -> NDArray[np.int8]:
    """Return of each link of the whole problem whether it is forced in (1), undecided (0) or impossible (-1)."""
    state = np.where(left.forced, np.int8(1), np.int8(-1))
    state[left.rows[_undecided(left)]] = 0
    return state


def _changed_links(before: PinnedProblem, now: PinnedProblem) -> Bools:
    return np.not_equal(_states(before), _states(now))


def _changed_roles(before: PinnedProblem, now: PinnedProblem) -> tuple[Bools, Bools]:
    """Tell which cells differ as mothers, and which as daughters."""
    links = _changed_links(before, now)
    was, present = before.problem, now.problem
    both = settled_pins(was) != settled_pins(present)
    both |= was.node_cost != present.node_cost
    mother = both | (was.disappear_cost != present.disappear_cost) | (was.division_cost != present.division_cost)
    daughter = both | (was.appear_cost != present.appear_cost)
    mother[now.asked.source[links]] = True
    daughter[now.asked.target[links]] = True
    return mother, daughter


def _pieces(mother: Ints, daughter: Ints, n: int) -> Ints:
    """Return the piece of each cell as a mother, then of each as a daughter, (2 n,)."""
    ties = coo_matrix((np.ones(len(mother), dtype=np.int8), (mother, n + daughter)), shape=(2 * n, 2 * n))
    return connected_components(ties, directed=False)[1].astype(np.int64)


def _part(left: PinnedProblem, cells: Ints, links: Ints) -> PinnedProblem:
    """Return some cells and links of a problem with what pins leave of them."""
    kept = np.zeros(left.asked.n_edges, dtype=bool)
    kept[links] = True
    rows = np.flatnonzero(kept[left.rows])
    return PinnedProblem(
        problem=part_of(left.problem, cells, rows),
        rows=np.searchsorted(links, left.rows[rows]),
        forced=left.forced[links],
        asked=part_of(left.asked, cells, links),
    )
