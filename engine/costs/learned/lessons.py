"""What a lineage tells: motion, rates, looks, births and hazard, one learned after the other.

`schedule` calls it once a round; a model of which nothing is learned yet is here, too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from .births import births_of, share_births
from .clutter import Clutter
from .daughters import Daughters
from .drift import predictors
from .hazard import hazard_of
from .looks import NO_LOOKS, Looks
from .model import Model, Spans, log_densities
from .motion import Motion, learn_motion
from .rates import LearnedRates, count_rates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ....storage.schema import CandidateEdges
    from ...evidence import LearnedConfig
    from .births import Births
    from .drift import Drift
    from .lineage import Lineage
    from .surroundings import Surroundings

NEVER: Final = 1e-9  # rate of divisions where cells are said not to divide


def unlearned(around: Surroundings, read: LearnedConfig, looks: Looks = NO_LOOKS) -> Model:
    """Return the model to start from."""
    n = len(around)
    motion = Motion.unlearned(around.reach, around.ndim, around.n_frames)
    daughters = Daughters.unlearned(around, float(motion.prior[0, 0]))
    none = np.zeros(n, dtype=bool)
    return Model(motion, daughters, LearnedRates.unlearned(), np.ones(n), none, none, read, looks)


def learn_from(
    around: Surroundings,
    edges: CandidateEdges,
    spans: Spans,
    lineage: Lineage,
    drift: Drift,
    before: Model,
    *,
    motion: Motion | None = None,
) -> Model:
    """Learn from a lineage.

    Parameters
    ----------
    around, edges, spans
        Cells and candidates.
    lineage : Lineage
        What the cells became.
    drift : Drift
        How they move in it.
    before : Model
        What it was found with.
    motion : Motion or None
        How cells move, where that is known but for the speed of each frame.
    """
    link = lineage.continued
    source, target = edges.source[link], edges.target[link]
    known = predictors(drift, source, target, spans.elapsed[link])
    step = around.position[target] - around.position[source]
    began = around.order[source], spans.elapsed[link]
    if motion is None:
        motion = learn_motion(step, known, *began, before.motion)
    else:
        motion = motion.at_speeds_of(step, known, *began, around.n_frames)
    clutter = (before.clutter or Clutter.none(len(around))).of(around, lineage)
    rates = count_rates(around, lineage, spans.missed, spans.reach, before.rates.division, clutter.n_left)
    rates = replace(rates, dividing=before.rates.dividing, ending=before.looks.ending(around, lineage, rates))
    looks = before.looks.with_links(source, target)
    if looks.outlines is not None:
        looks = replace(looks, outlines=looks.outlines.with_links(around, lineage, drift, spans.elapsed))

    daughters, hazard = before.daughters, before.hazard
    if not before.read.divisions:
        rates = replace(rates, division=NEVER, stays=0.0)
    else:
        births = births_in(around, edges, spans, lineage, drift, motion, rates, looks, before.read)
        rates, daughters, looks, divisions = share_births(
            births, around, lineage, daughters, looks, rates, hazard, spans.reach, clutter
        )
        rates = replace(rates, dividing=looks.dividing(lineage, divisions, rates.division))
        if before.read.hazard:
            hazard = hazard_of(around, lineage, divisions, rates.division, rates.dividing)
        else:
            hazard = np.ones(len(around)) * rates.dividing

    doubted = None
    if rates.stays and before.read.optional:
        steps = log_steps(around, edges, spans, drift, motion, rates, looks, clutter.steps)
        doubted = clutter.with_steps(steps)
    late = late_daughters(around, spans, lineage)
    return Model(motion, daughters, rates, hazard, *late, before.read, looks, doubted)


def late_daughters(around: Surroundings, spans: Spans, lineage: Lineage) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return `Model.open` and `Model.skipped_to` of a lineage."""
    open_ = (~lineage.has_parent | ~lineage.cell) & (around.order > 0)
    open_[lineage.target[lineage.divided]] = True
    link = lineage.continued
    skipped_to = np.zeros(len(around), dtype=bool)
    skipped_to[lineage.target[link[spans.missed[link] == 1]]] = True
    return open_, skipped_to


def log_steps(
    around: Surroundings,
    edges: CandidateEdges,
    spans: Spans,
    drift: Drift,
    motion: Motion,
    rates: LearnedRates,
    looks: Looks,
    rows: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the log densities of some candidates as steps of what is there for sure, and of seeing it."""
    seen = np.log(1 - rates.miss) + rates.log_missed(spans.missed[rows], spans.reach)
    step = log_densities(around, edges, spans, drift, motion, rows)
    return np.asarray(seen + step + looks.log_child(rows, edges.source[rows], edges.target[rows]))


def births_in(
    around: Surroundings,
    edges: CandidateEdges,
    spans: Spans,
    lineage: Lineage,
    drift: Drift,
    motion: Motion,
    rates: LearnedRates,
    looks: Looks,
    read: LearnedConfig,
) -> Births:
    """Find the births of a lineage, with the densities of the steps that compete with them."""
    log_single = np.full(len(edges), -np.inf)
    first = lineage.first[lineage.has_child]
    log_single[first] = log_densities(around, edges, spans, drift, motion, first)
    log_single[first] += np.log(rates.one_child(around))[edges.source[first]]
    log_single[first] += looks.log_child(first, edges.source[first], edges.target[first])
    births = births_of(around, drift, lineage, spans.elapsed, spans.missed, log_single, motion.drift_coefficient)
    if read.pairs:
        return births
    one, other = (
        log_densities(around, edges, spans, drift, motion, rows)
        + looks.log_child(rows, edges.source[rows], edges.target[rows])
        for rows in (births.sibling, births.edge)
    )
    return replace(births, log_apart=one + other)
