"""Estimate the rates from the cells themselves: solve, count, and again.

A few rounds of exact solution and counting (hard expectation maximisation), in which births are soft: with the first
child of each mother held fixed, every cell without a parent is shared between "new" and "second daughter of a
candidate that has a child". Second daughters have a spread of their own there, since they do not lie where motion
takes a cell; without it the division rate falls to 0. The measurements stand in ``docs/design/0003-one-cost-model.md``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import expit

from ...errors import SchemaError
from ...solvers import open_solver
from ...solvers.problem import TrackingProblem
from ..scorers.base import ScoreScale
from .model import CellCosts, Rates, cell_costs, edge_costs, odds_costs
from .sample import MOST_CELLS, Extent, Runs, Sample, extent_of, take_sample
from .similarity import as_densities

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...storage.schema import CandidateEdges, Detections
    from ..scorers.base import Scores

log = logging.getLogger(__name__)

ROUNDS: Final = 4
SWEEPS: Final = 50  # of the soft births in a round
PSEUDO: Final = 0.5  # a count that every rate starts with, on either side
BORDER_STEPS: Final = 2.5  # width of the border in median steps
LARGEST: Final = 0.3  # no rate is larger: cells that do what they like cannot be tracked
NO_DIVISIONS: Final = -1e3  # the bonus that rules them out, nats
DEEPEST: Final = 200.0  # nats; the cost of a division is sought between minus and plus this


@dataclass(frozen=True, slots=True, eq=False)
class Births:
    """Cells of the sample without a parent, and the mothers they could be second daughters of.

    Parameters
    ----------
    cell : (b,) int64
        Their rows.
    border : (b,) bool
        Which of them are at the border.
    child : (c,) int64
        For each possible mother: row in `cell`.
    distance, log_density : (c,) float64
        Of the edge from her.
    """

    cell: NDArray[np.int64]
    border: NDArray[np.bool_]
    child: NDArray[np.int64]
    distance: NDArray[np.float64]
    log_density: NDArray[np.float64]


def fit(
    detections: Detections,
    edges: CandidateEdges,
    scores: Scores,
    *,
    rounds: int = ROUNDS,
    most_cells: int = MOST_CELLS,
    runs: Runs | None = None,
    extent: Extent | None = None,
) -> Rates:
    """Estimate what cells do in one frame.

    Parameters
    ----------
    detections : Detections
        n cells; of more than `most_cells`, runs of 8 frames evenly spread are looked at.
    edges : CandidateEdges
        m candidates.
    scores : Scores
        Of the edges. The costs of probabilities need no rates: what is done in their exact solution is counted once.
    rounds : int
        How often to solve and count.
    most_cells : int
        Size of the sample.
    runs : Runs or None
        Where given, all detections and edges are those of these runs of a longer movie: its `sampled_runs`.
    extent : Extent or None
        Of that movie; by default of the detections and edges given.

    Returns
    -------
    Rates
        Each rate counts half a case more on either side than was seen, so that none is 0 or 1.

    Raises
    ------
    SchemaError
        If there is not one score an edge.
    """
    if len(scores) != len(edges):
        raise SchemaError("every candidate edge needs a score", wanted=str(len(edges)), got=str(len(scores)))
    unit = "px" if detections.scale_um is None else "um"
    rates = _start(extent or extent_of(detections, edges), unit, linked=len(edges) > 0)
    if not len(edges):
        return rates
    scores = as_densities(detections, edges, scores)
    if scores.scale is ScoreScale.PROBABILITY:
        log_odds = -odds_costs(edges, scores.value, len(detections))
        sample = take_sample(detections, edges, log_odds, most_cells=most_cells, runs=runs)
        free = np.zeros(len(sample))
        chosen = _solve(sample, CellCosts(free, free, free, free), -sample.score)
        return replace(count(sample, chosen, rates), daughter_bonus=0.0)
    sample = take_sample(detections, edges, scores.value, most_cells=most_cells, runs=runs)
    for _ in range(rounds):
        cells = cell_costs(sample.position, sample.first, sample.last, rates)
        rates = estimate(sample, _solve(sample, cells, edge_costs(sample.edges, sample.score, rates)), rates)
        log.debug("rates %s", rates)
    log.info(
        "rates from %d cells: division %.3g, appear %.3g, disappear %.3g",
        len(sample), rates.division, rates.appear, rates.disappear,
    )  # fmt: skip
    return rates


def count(sample: Sample, chosen: NDArray[np.bool_], before: Rates) -> Rates:
    """Count what the cells of a solution do, taken at its word.

    Parameters
    ----------
    sample : Sample
        n cells, m candidates.
    chosen : (m,) bool
        Links of the solution.
    before : Rates
        Whatever is not counted stays as it is here.
    """
    edges = sample.edges
    border = before.at_border(sample.position)
    children = np.bincount(edges.source[chosen], minlength=len(sample))
    parents = np.bincount(edges.target[chosen], minlength=len(sample))
    steps = edges.frames[chosen]

    def share(cases: NDArray[np.bool_], of: NDArray[np.bool_]) -> float:
        return _rate((cases & of).sum(), of.sum())

    return replace(
        before,
        division=share(children == 2, ~sample.last),
        appear=share(parents == 0, ~sample.first & ~border),
        appear_border=share(parents == 0, ~sample.first & border),
        disappear=share(children == 0, ~sample.last & ~border),
        disappear_border=share(children == 0, ~sample.last & border),
        miss=_rate((steps - 1).sum(), steps.sum()),
    )


def estimate(sample: Sample, chosen: NDArray[np.bool_], before: Rates) -> Rates:
    """Count what the cells of a solution do, but share its births between new cells and second daughters.

    Parameters
    ----------
    sample : Sample
        n cells, m candidates.
    chosen : (m,) bool
        Links of the solution.
    before : Rates
        The rates it was found with.
    """
    border = before.at_border(sample.position)
    kept = first_children(sample, chosen)
    step = float(np.median(sample.edges.distance[kept])) if len(kept) else 0.0
    births = _births(sample, kept, border)
    daughters, rates = _share_births(
        births,
        mothers=int((~sample.last).sum()),
        inside=int((~sample.first & ~border).sum()),
        at_border=int((~sample.first & border).sum()),
        step=step,
        ndim=sample.position.shape[1],
        # sharing starts from the shares before: hard counts of a solution without divisions would stay at none
        rates=replace(
            count(sample, chosen, before),
            division=before.division,
            appear=before.appear,
            appear_border=before.appear_border,
        ),
    )
    return replace(rates, daughter_bonus=_bonus(births, daughters, rates))


def _share_births(
    births: Births, *, mothers: int, inside: int, at_border: int, step: float, ndim: int, rates: Rates
) -> tuple[float, Rates]:
    """Share births between new cells and second daughters: the number of daughters, and the rates of both.

    A birth is new with the density ``p_a rho``, and the second daughter of a candidate with ``(2 p_v / p_c) g``, where
    g is a normal density around the mother. Its spread is learned too; one daughter at the distance of a median step,
    added beforehand, keeps it positive.
    """
    division, sigma, daughters = rates.division, rates.daughter_sigma, 0.0
    appear = np.array([rates.appear, rates.appear_border])
    if len(births.child):
        sigma = float(np.median(births.distance)) / ndim**0.5
    for _ in range(SWEEPS):
        sigma = max(sigma, step) or rates.daughter_sigma
        log_g = -0.5 * births.distance**2 / sigma**2 - 0.5 * ndim * np.log(2 * np.pi * sigma**2)
        daughter = 2 * division / (1 - division - rates.disappear) * np.exp(log_g)
        new = rates.density * appear[births.border.astype(np.int64)]
        total = new + np.bincount(births.child, daughter, len(births.cell))
        share = daughter / total[births.child]
        daughters = float(share.sum())
        division = _rate(daughters, mothers)
        appear = np.array(
            [
                _rate((new / total)[~births.border].sum(), inside),
                _rate((new / total)[births.border].sum(), at_border),
            ]
        )
        sigma = float(np.sqrt(((share * births.distance**2).sum() / ndim + step**2) / (daughters + 1)))
    sigma = max(sigma, step) or rates.daughter_sigma
    return daughters, replace(
        rates, division=division, appear=float(appear[0]), appear_border=float(appear[1]), daughter_sigma=sigma
    )


def _bonus(births: Births, daughters: float, rates: Rates) -> float:
    """Return the bonus at which the scores make as many births second daughters as their distances do.

    A birth joins its best mother when link and division together cost less than to appear. The count of births that do,
    each softened by its odds, falls with the cost of a division; where it equals `daughters`, the cost is found. One
    birth beforehand, undecided at no bonus, settles the matter where there are none.
    """
    best = np.full(len(births.cell), -np.inf)
    np.maximum.at(best, births.child, births.log_density)
    appear = -np.log(rates.density * np.where(births.border, rates.appear_border, rates.appear))
    plain = float(np.log((1 - rates.division - rates.disappear) / (2 * rates.division)))
    gain = np.append(best + appear, plain)
    low, high = -DEEPEST, DEEPEST
    for _ in range(60):
        cost = (low + high) / 2
        if expit(gain - cost).sum() > daughters + 0.5:
            low = cost
        else:
            high = cost
    return plain - cost


def _solve(sample: Sample, cells: CellCosts, edge_cost: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Solve the sample exactly, all cells kept: the links."""
    problem = TrackingProblem(
        frame=sample.frame,
        source=sample.edges.source,
        target=sample.edges.target,
        edge_cost=edge_cost,
        node_cost=cells.node,
        appear_cost=cells.appear,
        disappear_cost=cells.disappear,
        division_cost=cells.division,
        pinned_node=np.ones(len(sample), dtype=np.int8),
    )
    return open_solver("ilp").solve(problem).edge


def first_children(sample: Sample, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the links of a solution, of two daughters only the likelier one."""
    links = np.flatnonzero(chosen)
    source = sample.edges.source[links]
    order = np.lexsort((-sample.score[links], source))
    first = np.append(True, np.diff(source[order]) > 0)[: len(order)]
    return np.sort(links[order[first]])


def _births(sample: Sample, kept: NDArray[np.int64], border: NDArray[np.bool_]) -> Births:
    """Find the cells without a parent among the kept links, and the mothers with one child that they could have."""
    edges = sample.edges
    has_child, has_parent = np.zeros(len(sample), dtype=bool), np.zeros(len(sample), dtype=bool)
    has_child[edges.source[kept]] = True
    has_parent[edges.target[kept]] = True
    born = ~has_parent & ~sample.first
    cell = np.flatnonzero(born)
    row = np.cumsum(born) - 1
    able = np.flatnonzero(born[edges.target] & has_child[edges.source] & (edges.frames == 1))
    return Births(cell, border[cell], row[edges.target[able]], edges.distance[able], sample.score[able])


def _start(extent: Extent, unit: str, *, linked: bool) -> Rates:
    """Return the rates before anything is counted; divisions are ruled out in the first solution."""
    return Rates(
        division=0.02,
        appear=0.01,
        appear_border=0.01,
        disappear=0.01,
        disappear_border=0.01,
        miss=0.02,
        density=extent.density,
        daughter_bonus=NO_DIVISIONS if linked else 0.0,
        daughter_sigma=extent.longest,
        border=BORDER_STEPS * extent.step,
        box=extent.box,
        unit=unit,
    )


def _rate(cases: float, of: float) -> float:
    """Return the share of cases, half a case added on either side, at most `LARGEST`."""
    return float(min((cases + PSEUDO) / (of + 2 * PSEUDO), LARGEST))
