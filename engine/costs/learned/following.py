"""Follow a movie with what a known lineage of another one taught: drift, velocities, speeds and waves are its own.

The movie is linked in rounds, as when it is learned from without labels, but parameters stay as they were taught. What
each round takes from the last lineage is what belongs to single cells and frames: how cells move, how long steps are in
each frame, when divisions come, and where cells begin; and how often cells are missed and detections are false, where
the known lineage had neither. How often cells divide, and how daughters lie, is told by the known divisions and by
those that the movie is expected to have, each counting for one: a few known ones leave that to the movie.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ....solvers import open_solver
from ...evidence import EVERYTHING, LearnedConfig
from .births import SWEEPS, share_births, shares_of
from .clutter import Clutter
from .daughters import WORTH
from .drift import drift_of, predictors
from .hazard import hazard_of
from .lessons import births_in, late_daughters, log_steps
from .lineage import Lineage
from .model import Model, Spans, problem_of
from .motion import Motion
from .rates import count_rates
from .schedule import FOLLOWING, IN_RUNS, MOST_CELLS, ROUNDS, SETTLED, Learned
from .surroundings import surroundings_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ....storage.schema import CandidateEdges, Detections
    from .births import Births
    from .daughters import Daughters
    from .drift import Drift
    from .looks import Looks
    from .outlines import Outlines
    from .rates import LearnedRates
    from .surroundings import Surroundings
    from .taught import Taught
    from .traits import Trait

log = logging.getLogger(__name__)


def follow(
    detections: Detections,
    edges: CandidateEdges,
    taught: Taught,
    read: LearnedConfig = EVERYTHING,
    traits: Sequence[Trait] = (),
    outlines: Outlines | None = None,
    *,
    rounds: int = ROUNDS,
) -> Learned:
    """Price a movie by what was taught.

    Parameters
    ----------
    detections : Detections
        n cells.
    edges : CandidateEdges
        m candidates.
    taught : Taught
        Parameters.
    read : LearnedConfig
        What to look at.
    traits, outlines : sequence of Trait, Outlines or None
        How the cells look; what was not taught is not looked at.
    rounds : int
        How often to solve at most, the solution that is wanted in the end included. A large movie is linked twice
        before it, without divisions.
    """
    around = surroundings_of(detections)
    spans = Spans.of(around, edges, read)
    if taught.knows_errors and taught.rates.again < IN_RUNS[False][-1]:
        spans = spans.shorter
    start = _unfollowed(around, taught, read, traits, outlines)
    model, lineage, spans, drift = _in_rounds(around, edges, spans, start, taught, rounds)
    frames = (int(detections.frame[0]), int(detections.frame[-1])) if len(detections) else (0, 0)
    return Learned(detections, model, lineage, around, spans, drift, frames, len(detections))


def _in_rounds(
    around: Surroundings, edges: CandidateEdges, spans: Spans, start: Model, taught: Taught, rounds: int
) -> tuple[Model, Lineage, Spans, Drift]:
    """Link, and follow; begin again over one missed frame at most where misses turn out not to come in runs."""
    model, read = start, start.read
    lineage = Lineage.unlinked(edges, len(around))
    drift = drift_of(around, lineage, spans.elapsed, read)
    large = len(around) > MOST_CELLS
    for number in range(min(rounds - 1, FOLLOWING) if large else rounds - 1):
        problem = problem_of(around, edges, spans, drift, model, divisions=number > 0 and not large)
        before, lineage = lineage, Lineage.of(edges, open_solver("ilp").solve(problem))
        changed = lineage.differs_from(before)
        drift = drift_of(around, lineage, spans.elapsed, read)
        model = _followed(around, edges, spans, lineage, drift, model, taught)
        own_gaps = not taught.knows_errors and spans.reach > 1 and number < len(IN_RUNS[False])
        if own_gaps and model.rates.again < IN_RUNS[False][number]:
            return _in_rounds(around, edges, spans.shorter, start, taught, rounds)
        log.debug("round %d: %.2g of the cells changed", number, changed)
        if number and changed <= SETTLED:
            break
    return model, lineage, spans, drift


def _unfollowed(
    around: Surroundings,
    taught: Taught,
    read: LearnedConfig,
    traits: Sequence[Trait],
    outlines: Outlines | None,
) -> Model:
    """Return the model before any link is known: how far cells go without drift and velocity nobody was taught."""
    looks = taught.looks(traits, outlines)
    of_traits = [taught.traits[trait.name] for trait in looks.traits]
    dividing = looks.at_ranks([trait.dividing for trait in of_traits])
    ending = looks.at_ranks([trait.ending for trait in of_traits])
    n, none = len(around), np.zeros(len(around), dtype=bool)
    motion = Motion.unlearned(around.reach, around.ndim, around.n_frames)
    rates = replace(taught.rates, dividing=dividing, ending=ending)
    return Model(motion, taught.daughters, rates, dividing * np.ones(n), none, none, read, looks)


def _followed(
    around: Surroundings,
    edges: CandidateEdges,
    spans: Spans,
    lineage: Lineage,
    drift: Drift,
    before: Model,
    taught: Taught,
) -> Model:
    """Take from a lineage what belongs to single cells and frames."""
    link = lineage.continued
    source, target = edges.source[link], edges.target[link]
    known = predictors(drift, source, target, spans.elapsed[link])
    step = around.position[target] - around.position[source]
    motion = taught.motion.at_speeds_of(step, known, around.order[source], spans.elapsed[link], around.n_frames)
    looks, read, daughters = before.looks, before.read, taught.daughters
    rates = replace(before.rates, division=taught.rates.division)
    clutter = (before.clutter or Clutter.none(len(around))).of(around, lineage)
    own = count_rates(around, lineage, spans.missed, spans.reach, rates.division, clutter.n_left)
    if not taught.knows_errors:
        rates = replace(rates, false=own.false, miss=own.miss, again=own.again)
    if looks.outlines is not None and taught.outlines is not None:
        placed = looks.outlines.with_links(around, lineage, drift, spans.elapsed)
        bells = taught.outlines
        placed = replace(placed, child=bells.child, daughter=bells.daughter, other=bells.other)
        looks = replace(looks, outlines=placed)
    hazard, doubted = rates.dividing * np.ones(len(around)), None
    if read.divisions:
        births = births_in(around, edges, spans, lineage, drift, motion, rates, looks, read)
        sharing = around, lineage, looks, before.hazard, spans.reach
        rates, daughters, divisions = _joined(births, taught, rates, *sharing)
        if read.hazard:
            hazard = hazard_of(around, lineage, divisions, rates.division, rates.dividing, taught.by_age)
        counted = replace(own, dividing=rates.dividing, ending=rates.ending, division=rates.division)
        found, *_ = share_births(
            births, around, lineage, daughters, looks, counted, before.hazard, spans.reach, clutter
        )
        rates = replace(rates, stays=found.stays)
        if found.stays and read.optional:
            # no lineage tells whether what is false stays, so where it does it is also the movie that tells how much is
            rates = replace(rates, false=found.false)
            steps = log_steps(around, edges, spans, drift, motion, rates, looks, clutter.steps)
            doubted = clutter.with_steps(steps)
    late = late_daughters(around, spans, lineage)
    return Model(motion, daughters, rates, hazard, *late, read, looks, doubted)


def _joined(
    births: Births,
    taught: Taught,
    rates: LearnedRates,
    around: Surroundings,
    lineage: Lineage,
    looks: Looks,
    hazard: NDArray[np.float64],
    reach: int,
) -> tuple[LearnedRates, Daughters, NDArray[np.float64]]:
    """Return rates and daughters as known and expected divisions tell them together, and the latter, (n,)."""
    daughters, mothers = taught.daughters, int(lineage.has_child.sum())
    share = np.zeros(len(births.child))
    for _ in range(SWEEPS):
        share, _ = shares_of(births, around, lineage, daughters, looks, rates, hazard, reach)
        expected = float(share.sum()) + taught.rates.division * taught.mothers
        rates = replace(rates, division=expected / (mothers + taught.mothers))
        if births.log_apart is None:
            daughters = taught.daughters.joined_by(births.shape, share, daughters, taught.divisions + WORTH)
    return rates, daughters, np.bincount(births.mother, share, len(around)).astype(np.float64)
