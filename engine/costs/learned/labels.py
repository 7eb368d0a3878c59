"""Learn from a known lineage: the parameters at which it is likeliest, with the same priors as without labels.

Links, births and divisions are known, so nothing is shared: second daughters are second daughters, and every other cell
without a parent is a new one. Drift and velocities are those of the lineage itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ...evidence import EVERYTHING, LearnedConfig
from .births import DIVISION
from .daughters import Daughters, shapes_of
from .drift import drift_of, predictors
from .hazard import ratios_by_age
from .lessons import NEVER
from .lineage import NOBODY, Lineage
from .looks import Looks
from .model import Spans
from .motion import Motion, learn_motion
from .rates import LearnedRates, count_rates
from .surroundings import surroundings_of
from .taught import Taught, TaughtOutlines, TaughtTrait

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ....storage.schema import CandidateEdges, Detections
    from .drift import Drift
    from .outlines import Outlines
    from .surroundings import Surroundings
    from .traits import Trait

SWEEPS: Final = 5  # of motion, each weighing steps by the one before
DAUGHTER_SWEEPS: Final = 15


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """A known lineage of n detections.

    Parameters
    ----------
    source, target : (l,) int64
        Rows of the detections that its links tie.
    cell : (n,) bool
        Which detections are cells; all others are none.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    cell: NDArray[np.bool_]

    def among(self, edges: CandidateEdges, spans: Spans) -> Lineage:
        """Return the lineage along those of its links that are candidates; others are an end and a beginning."""
        n = len(self.cell)
        known = edges.source * n + edges.target
        wanted = np.sort(self.source * n + self.target)
        row = np.minimum(np.searchsorted(known, wanted), len(known) - 1) if len(known) else wanted[:0]
        row = row[known[row] == wanted] if len(known) else row
        return Lineage.along(edges, row[~spans.barred[row]], self.cell)


def learn_from_labels(
    detections: Detections,
    edges: CandidateEdges,
    labels: Labels,
    read: LearnedConfig = EVERYTHING,
    traits: Sequence[Trait] = (),
    outlines: Outlines | None = None,
) -> tuple[Taught, Lineage]:
    """Learn the parameters of the cost from a lineage that is known of all cells.

    Parameters
    ----------
    detections : Detections
        n cells.
    edges : CandidateEdges
        m candidates.
    labels : Labels
        What the cells become.
    read : LearnedConfig
        What to look at.
    traits : sequence of Trait
        How the cells look.
    outlines : Outlines or None
        Their masks.

    Returns
    -------
    taught : Taught
        The parameters.
    lineage : Lineage
        What was learned from.
    """
    around = surroundings_of(detections)
    spans = Spans.of(around, edges, read)
    lineage = labels.among(edges, spans)
    if not read.divisions:
        lineage = replace(lineage, second=np.full(len(around), NOBODY))
    drift = drift_of(around, lineage, spans.elapsed, read)
    motion = _motion(around, spans, lineage, drift)

    rates = count_rates(around, lineage, spans.missed, spans.reach, NEVER)
    knows_errors = not lineage.cell.all() or bool(spans.missed[lineage.first[lineage.has_child]].any())
    if not knows_errors:
        usual = LearnedRates.unlearned()
        rates = replace(rates, false=usual.false, miss=usual.miss, again=usual.again)
    divides = lineage.second != NOBODY
    if read.divisions:
        mothers = int(lineage.has_child.sum())
        rates = replace(rates, division=(int(divides.sum()) + DIVISION[0] * DIVISION[1]) / (mothers + DIVISION[1]))
    link = lineage.continued
    looks = Looks.unlearned(traits, outlines).with_links(lineage.source[link], lineage.target[link])
    if looks.outlines is not None:
        looks = replace(looks, outlines=looks.outlines.with_links(around, lineage, drift, spans.elapsed))
    daughters = Daughters.unlearned(around, float(motion.prior[0, 0]))
    daughters, looks = _daughters(around, spans, lineage, drift, motion, daughters, looks)

    divisions = divides.astype(np.float64)
    dividing = looks.ratios_of_dividing(lineage, divisions, rates.division)
    ending = looks.ratios_of_ending(around, lineage, rates)
    by_age = np.ones(1)
    if read.hazard and read.divisions:
        by_age = ratios_by_age(around, lineage, divisions, rates.division, looks.at_ranks(dividing))
    taught = Taught(
        motion=replace(motion, frame_scale=np.ones(1)),
        daughters=daughters,
        rates=rates,
        by_age=by_age,
        traits={
            trait.name: TaughtTrait(inherited, *ratios)
            for trait, inherited, *ratios in zip(looks.traits, looks.inherited, dividing, ending, strict=True)
        },
        outlines=None
        if looks.outlines is None
        else TaughtOutlines(looks.outlines.child, looks.outlines.daughter, looks.outlines.other),
        knows_errors=knows_errors,
        mothers=int(lineage.has_child.sum()),
        divisions=int(divides.sum()),
    )
    return taught, lineage


def _motion(around: Surroundings, spans: Spans, lineage: Lineage, drift: Drift) -> Motion:
    link = lineage.continued
    source, target = lineage.source[link], lineage.target[link]
    known = predictors(drift, source, target, spans.elapsed[link])
    step = around.position[target] - around.position[source]
    motion = Motion.unlearned(around.reach, around.ndim, around.n_frames)
    for _ in range(SWEEPS):
        motion = learn_motion(step, known, around.order[source], spans.elapsed[link], motion)
    return motion


def _daughters(
    around: Surroundings,
    spans: Spans,
    lineage: Lineage,
    drift: Drift,
    motion: Motion,
    daughters: Daughters,
    looks: Looks,
) -> tuple[Daughters, Looks]:
    """Learn from all divisions of which both daughters are seen in the next frame."""
    mother = np.flatnonzero(lineage.second != NOBODY)
    mother = mother[(spans.missed[lineage.first[mother]] == 0) & (spans.missed[lineage.second[mother]] == 0)]
    rows = lineage.first[mother], lineage.second[mother]
    one, other = (lineage.target[edge] for edge in rows)
    elapsed = spans.elapsed[rows[0]], spans.elapsed[rows[1]]
    shape = shapes_of(around, drift, mother, one, other, elapsed, motion.drift_coefficient)
    each = np.ones(len(mother))
    for _ in range(DAUGHTER_SWEEPS):
        daughters = daughters.learned(shape, each)
        looks = looks.with_daughters(rows, mother, one, other, each)
    return daughters, looks
