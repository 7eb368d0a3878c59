"""Pairs of daughters that a problem has to know: those that could cost less than two beginnings and an end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from ....solvers.daughters import Pairs
from .daughters import FREEDOM, measure
from .traits import log_daughters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ....storage.schema import CandidateEdges
    from .drift import Drift
    from .model import Model, Prices, Spans
    from .surroundings import Surroundings

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


def pairs_that_pay(
    around: Surroundings,
    edges: CandidateEdges,
    spans: Spans,
    drift: Drift,
    model: Model,
    prices: Prices,
    divisions: bool,
    forced: NDArray[np.bool_] | None,
) -> Pairs:
    """List pairs of candidates of one mother with what they cost together.

    Daughters are seen in the next frame; one or both of them a frame later where the last lineage has a birth there.

    Parameters
    ----------
    around, edges, spans, drift, model
        As in `model.problem_of`.
    prices : Prices
        Of cells and candidates.
    divisions : bool
        Whether cells divide.
    forced : (m,) bool or None
        Candidates of which any two are listed, whatever they cost.
    """
    m, rates, daughters = len(edges), model.rates, model.daughters
    forced = np.zeros(m, dtype=bool) if forced is None else forced
    late = (spans.missed == 1) & ~spans.barred
    if divisions:
        birth, usable = model.open[edges.target], spans.missed == 0
        if model.read.skip_divisions:
            usable |= late & (birth | model.skipped_to[edges.target])
    else:
        birth = usable = np.zeros(m, dtype=bool)
    constant = daughters.log_peak(around.ndim) + 2 * math.log(1 - rates.miss)
    log_miss = float(rates.log_missed(np.ones(1, dtype=np.int64), spans.reach)[0])
    divides = math.log(rates.division) + np.log(model.hazard)
    apart = prices.link + np.log(rates.one_child(around))[edges.source]
    first, second, cost = _pairs(
        np.searchsorted(edges.source, np.arange(len(around) + 1)), edges.target, spans.elapsed, usable, late, birth,
        forced, around.position, around.spacing, drift.around_onward, drift.around_backward,
        model.motion.drift_coefficient, constant, divides, log_miss,
        daughters.log_distance, daughters.spread, daughters.along, daughters.across,
        prices.appear, prices.disappear, apart, model.read.pairs, *model.looks.tables, model.looks.weight,
        np.zeros(m) if model.looks.outlines is None else model.looks.outlines.log_daughter(slice(None)),
    )  # fmt: skip
    return Pairs(first, second, cost)


@njit(cache=True, nogil=True)
def _pairs(
    begin: Ints,
    target: Ints,
    elapsed: Floats,
    usable: Bools,
    late: Bools,
    birth: Bools,
    forced: Bools,
    position: Floats,
    spacing: Floats,
    around_onward: Floats,
    around_backward: Floats,
    followed: float,
    constant: float,
    log_divides: Floats,
    log_miss: float,
    log_distance: float,
    spread: float,
    along: float,
    across: float,
    appear: Floats,
    disappear: Floats,
    apart: Floats,
    together: bool,
    traits: Floats,
    log_any: Floats,
    adds_up: Bools,
    bells: Floats,
    weight: float,
    covered: Floats,
) -> tuple[Ints, Ints, Floats]:
    first, second, cost = np.empty(1024, np.int64), np.empty(1024, np.int64), np.empty(1024)
    count = 0
    ndim = position.shape[1]
    half = 0.5 * (FREEDOM + ndim)
    for u in range(len(spacing)):
        for a in range(begin[u], begin[u + 1]):
            if not (usable[a] or forced[a]):
                continue
            v = target[a]
            for b in range(a + 1, begin[u + 1]):
                must = forced[a] and forced[b]
                may = usable[a] and usable[b]
                if late[a] and late[b]:
                    may &= birth[a] or birth[b]
                elif late[a]:
                    may &= birth[a]
                elif late[b]:
                    may &= birth[b]
                if not (may or must):
                    continue
                w = target[b]
                price = apart[a] + apart[b] - log_divides[u]
                if together:
                    far, out_along, out_across, unit = measure(
                        position, spacing, around_onward, around_backward, u, v, w, elapsed[a], elapsed[b], followed
                    )
                    z = (far - log_distance) / spread
                    tail = half * np.log1p((out_along / along + out_across / across) / FREEDOM)
                    price = tail + 0.5 * z * z + unit - constant - log_divides[u]
                    price -= log_miss if late[a] or late[b] else 0.0
                    price -= covered[a] + covered[b]
                    price -= weight * log_daughters(traits, log_any, adds_up, bells, u, v, w)
                if not must and price >= appear[v] + appear[w] + disappear[u]:
                    continue
                if count == len(cost):
                    first = np.concatenate((first, np.empty_like(first)))
                    second = np.concatenate((second, np.empty_like(second)))
                    cost = np.concatenate((cost, np.empty_like(cost)))
                first[count] = a
                second[count] = b
                cost[count] = price
                count += 1
    return first[:count].copy(), second[:count].copy(), cost[:count].copy()
