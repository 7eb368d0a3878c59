"""The choices of a tracking problem as logarithms of weights: a selection is likely as exp(-objective / temperature).

Every cell has two roles. As a mother it takes no, one or two daughters; as a daughter it has one of its candidate
parents, or is new. Where a cell is kept the two roles know nothing of each other, so that a movie falls apart into
small pieces, also with links over gaps. An optional cell ties them: it does all of that, or is not selected at all.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...errors import ConfigError, SchemaError
from ..problem import FORBIDDEN, SCALE, GridProblem, on_grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..problem import TrackingProblem

    Ints = NDArray[np.int64]
    Ints32 = NDArray[np.int32]
    Floats = NDArray[np.float64]


class ChoiceGraph(NamedTuple):
    """Links ordered by (source, target), each with the logarithm of its weight; links of forbidden cells are gone.

    Parameters
    ----------
    row : (m,) int64
        Row of each link in the problem.
    source, target : (m,) int64
        Cells that it ties.
    first : (n + 1,) int64
        Links ``first[u] .. first[u + 1] - 1`` leave cell u.
    into_first, into : (n + 1,), (m,) int64
        Links ``into[into_first[v] : into_first[v + 1]]`` lead into cell v.
    link : (m,) float64
        Log weight of each link.
    new, none, node : (n,) float64
        Log weight of having no parent, no daughter, and of being selected.
    state : (n,) int8
        1 where the cell is kept, 0 where it is optional, -1 where it is forbidden.
    frame : (n,) int64
        Its frame.
    pair_first : (n + 1,) int64
        Pairs ``pair_first[u] .. pair_first[u + 1] - 1`` are the divisions that cell u may do.
    pair_a, pair_b : (q,) int32
        The two links of each pair, the lower one first.
    bond : (q,) float64
        Log weight of the pair, beyond that of its links.
    """

    row: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    first: NDArray[np.int64]
    into_first: NDArray[np.int64]
    into: NDArray[np.int64]
    link: NDArray[np.float64]
    new: NDArray[np.float64]
    none: NDArray[np.float64]
    node: NDArray[np.float64]
    state: NDArray[np.int8]
    frame: NDArray[np.int64]
    pair_first: NDArray[np.int64]
    pair_a: NDArray[np.int32]
    pair_b: NDArray[np.int32]
    bond: NDArray[np.float64]

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.state)

    @property
    def n_links(self) -> int:
        """Number of links between cells that may be selected."""
        return len(self.link)

    def none_of(self, cells: Ints) -> Ints:
        """Return where, among the options of all cells, those of mothers begin: taking none, each link, each pair."""
        return cells + self.first[cells] + self.pair_first[cells]

    def single_of(self, links: Ints) -> Ints:
        """Return where, among the options of all cells, each link is taken alone."""
        mother = self.source[links]
        return mother + self.pair_first[mother] + 1 + links

    def pair_of(self, pairs: Ints) -> Ints:
        """Return where, among the options of all cells, each pair is taken."""
        mother = self.source[self.pair_a[pairs]]
        return mother + self.first[mother + 1] + 1 + pairs

    def links_of(self, cells: Ints, option: Ints) -> tuple[Ints, Ints]:
        """Return the links of an option of each of some cells, -1 for none; options as `none_of` counts them."""
        k = option - self.none_of(cells)
        n_links = self.first[cells + 1] - self.first[cells]
        pair = k > n_links
        a = np.where(k > 0, self.first[cells] + k - 1, -1)
        b = np.full(len(k), -1, dtype=np.int64)
        q = (self.pair_first[cells] + k - 1 - n_links)[pair]
        a[pair], b[pair] = self.pair_a[q], self.pair_b[q]
        return a, b

    @property
    def n_options(self) -> int:
        """Number of options of all cells."""
        return len(self.state) + len(self.link) + len(self.bond)

    @classmethod
    def of(cls, problem: TrackingProblem, temperature: float = 1.0) -> ChoiceGraph:
        """Read the choices of a problem, in the same millionths as the solvers.

        Parameters
        ----------
        problem : TrackingProblem
            Without conflicts.
        temperature : float
            By which costs are divided; above 1 all is less sure.

        Raises
        ------
        ConfigError
            If the temperature is not a number above 0.
        SchemaError
            If detections exclude each other.
        """
        require_temperature(temperature)
        if problem.conflicts is not None:
            raise SchemaError(
                "the posterior does not know of detections that exclude each other", use="perturb-map, by a solver"
            )
        grid = GridProblem.of(problem)
        n = problem.n_nodes
        source = np.repeat(np.arange(n), np.diff(grid.first))
        target = grid.target.astype(np.int64)
        there = (grid.pinned[source] != FORBIDDEN) & (grid.pinned[target] != FORBIDDEN)
        row = np.flatnonzero(there) if grid.order is None else grid.order[there]
        source, target = source[there], target[there]

        def in_nats(cost: NDArray[np.int64]) -> NDArray[np.float64]:
            return np.asarray(cost / (-SCALE * temperature), dtype=np.float64)

        link = in_nats(grid.edge[there])
        first = np.searchsorted(source, np.arange(n + 1)).astype(np.int64)
        into = np.argsort(target, kind="stable").astype(np.int64)
        into_first = np.concatenate([[0], np.cumsum(np.bincount(target, minlength=n))]).astype(np.int64)
        if problem.pairs is None:
            pair_first, pair_a, pair_b, bond = all_pairs(first, in_nats(grid.division))
        else:
            place = np.full(problem.n_edges, -1, dtype=np.int64)
            place[row] = np.arange(len(row))
            a, b = place[problem.pairs.first], place[problem.pairs.second]
            known = (a >= 0) & (b >= 0)
            a, b = np.minimum(a, b)[known], np.maximum(a, b)[known]
            order = np.lexsort((b, a))
            a, b = a[order], b[order]
            bond = in_nats(on_grid(problem.pairs.cost[known][order])) - link[a] - link[b]
            pair_first = np.searchsorted(source[a], np.arange(n + 1)).astype(np.int64)
            pair_a, pair_b = a.astype(np.int32), b.astype(np.int32)
        return cls(
            row=row.astype(np.int64),
            source=source,
            target=target,
            first=first,
            into_first=into_first,
            into=into,
            link=link,
            new=in_nats(grid.appear),
            none=in_nats(grid.disappear),
            node=in_nats(grid.node),
            state=grid.pinned.astype(np.int8),
            frame=problem.frame.astype(np.int64),
            pair_first=pair_first,
            pair_a=pair_a,
            pair_b=pair_b,
            bond=bond,
        )


def require_temperature(temperature: float) -> None:
    """Raise ConfigError unless a temperature is a number above 0."""
    if not 0 < temperature < math.inf:
        raise ConfigError(
            f"the temperature is {temperature}, expected a positive number", use="1 where the costs are what they are"
        )


def spans(first: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Return the places ``first[r] .. first[r + 1] - 1`` of some rows, and of each one the place of r in `rows`."""
    size = first[rows + 1] - first[rows]
    owner = np.repeat(np.arange(len(rows)), size)
    return np.arange(len(owner)) + (first[rows] - np.cumsum(size) + size)[owner], owner


def all_pairs(first: Ints, division: Floats) -> tuple[Ints, Ints32, Ints32, Floats]:
    """Return every two links of each mother, and what a division weighs there."""
    n_links = np.diff(first)
    pair_first = np.concatenate([[0], np.cumsum(n_links * (n_links - 1) // 2)]).astype(np.int64)
    m = int(first[-1])
    n_later = np.repeat(first[1:], n_links) - np.arange(m) - 1  # links of the same mother after each
    a = np.repeat(np.arange(m), n_later)
    b = np.arange(len(a)) - np.repeat(np.cumsum(n_later) - n_later, n_later) + a + 1
    bond = np.repeat(division, np.diff(pair_first))
    return pair_first, a.astype(np.int32), b.astype(np.int32), bond
