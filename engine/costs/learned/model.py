"""The learned model of a movie as a whole, and the problem that it makes of candidates: minus log densities.

Each detection is exactly one of: the beginning of a track, a child, no cell. With rho the local density of detections,

    beginning: -ln(p_a rho),  end: -ln p_d,  no cell: -ln(p_f rho),
    link: -ln((1 - p_v - p_d) (1 - p_m) f),  division: -ln(p_v h (1 - p_m)^2 g),

where f is the density of motion, g that of two daughters, h the hazard of the mother, and frames that are skipped cost
more: -ln p_m the first, -ln p_n each further one. No cells that stay for some frames are priced as whole tracks
(`clutter`). The constant part, all detections being no cells, is left out of the problem.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ....solvers.problem import TrackingProblem
from ...evidence import EVERYTHING, LearnedConfig
from .drift import predictors
from .looks import NO_LOOKS
from .pairs import pairs_that_pay

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ....storage.schema import CandidateEdges
    from .clutter import Clutter
    from .daughters import Daughters
    from .drift import Drift
    from .looks import Looks
    from .motion import Motion
    from .rates import LearnedRates
    from .surroundings import Surroundings
    from .traits import Trait

DEAREST: Final = 200.0  # nats; dearer than an end and a beginning, so that no optimum has such a link
AT_ONCE: Final = 500_000  # candidates that are priced at a time, for the sake of memory


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """How far m candidates reach in time.

    Parameters
    ----------
    elapsed : (m,) float64
        Time that each spans, in the shortest time between frames that have cells.
    missed : (m,) int64
        Frames with cells that each skips.
    reach : int
        Most of these that a link may skip.
    """

    elapsed: NDArray[np.float64]
    missed: NDArray[np.int64]
    reach: int

    @classmethod
    def of(cls, around: Surroundings, edges: CandidateEdges, read: LearnedConfig = EVERYTHING) -> Spans:
        """Measure candidates; without gaps none reaches over a missed frame."""
        occupied = np.unique(around.frame)
        shortest = int(np.diff(occupied).min(initial=np.iinfo(np.int64).max)) if len(occupied) > 1 else 1
        missed = around.order[edges.target] - around.order[edges.source] - 1
        return cls(edges.frames / shortest, missed, int(missed.max(initial=0)) if read.gaps else 0)

    @property
    def shorter(self) -> Spans:
        """The same over one missed frame at most."""
        return replace(self, reach=min(self.reach, 1))

    @property
    def barred(self) -> NDArray[np.bool_]:
        """Candidates that reach too far."""
        return self.missed > self.reach


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What is learned of a movie.

    Parameters
    ----------
    motion, daughters, rates : Motion, Daughters, LearnedRates
        Of all cells.
    hazard : (n,) float64
        How much likelier than on average each cell is to divide.
    open : (n,) bool
        Cells that may be daughters over a missed frame: births, daughters and what is no cell in the last lineage.
    skipped_to : (n,) bool
        Only children over a missed frame in the last lineage, of which the other one may be a daughter, too.
    read : LearnedConfig
        What is looked at.
    looks : Looks
        Traits of the cells, and what is learned of each.
    clutter : Clutter or None
        Short tracks of the last lineage, which may be no cells; None before the first, and where false points do not
        stay.
    """

    motion: Motion
    daughters: Daughters
    rates: LearnedRates
    hazard: NDArray[np.float64]
    open: NDArray[np.bool_]
    skipped_to: NDArray[np.bool_]
    read: LearnedConfig = EVERYTHING
    looks: Looks = NO_LOOKS
    clutter: Clutter | None = None

    def elsewhere(self, n: int, n_frames: int, traits: Sequence[Trait]) -> Model:
        """Return what holds of n other cells, in as many frames, of which but their traits nothing is known yet."""
        none = np.zeros(n, dtype=bool)
        fresh = replace(self, open=none, skipped_to=none, hazard=np.ones(n), clutter=None)
        motion = replace(self.motion, frame_scale=np.ones(n_frames))
        rates = replace(self.rates, dividing=np.ones(1), ending=np.ones(1))
        looks = replace(self.looks, traits=tuple(traits))
        return replace(fresh, motion=motion, rates=rates, looks=looks)


@dataclass(frozen=True, slots=True, eq=False)
class Prices:
    """What m candidates and n cells cost, in nats.

    Parameters
    ----------
    link : (m,) float64
        As links without a division.
    appear, disappear, false : (n,) float64
        A beginning, an end, and being no cell.
    """

    link: NDArray[np.float64]
    appear: NDArray[np.float64]
    disappear: NDArray[np.float64]
    false: NDArray[np.float64]


def prices_of(around: Surroundings, edges: CandidateEdges, spans: Spans, drift: Drift, model: Model) -> Prices:
    """Price everything but divisions.

    Parameters
    ----------
    around : Surroundings
        n cells.
    edges : CandidateEdges
        m candidates.
    spans : Spans
        Of the candidates.
    drift : Drift
        How cells move in the last lineage.
    model : Model
        What is learned of them.
    """
    rates = model.rates
    seen = -np.log(1 - rates.miss)
    one_child = np.log(rates.one_child(around))
    link = np.empty(len(edges))
    for begin in range(0, len(edges), AT_ONCE):
        part = slice(begin, begin + AT_ONCE)
        link[part] = seen - one_child[edges.source[part]] - rates.log_missed(spans.missed[part], spans.reach)
        link[part] -= log_densities(around, edges, spans, drift, model.motion, part)
        link[part] -= model.looks.log_child(part, edges.source[part], edges.target[part])
    alone = rates.log_alone + around.log_density
    return Prices(
        link=np.where(spans.barred, DEAREST, np.minimum(link, DEAREST)),
        appear=-np.log(rates.new(around, spans.reach)) - around.log_density,
        disappear=-np.log(rates.last(around, spans.reach)),
        false=-alone if model.clutter is None else -model.clutter.log_false(around, rates),
    )


def log_densities(
    around: Surroundings,
    edges: CandidateEdges,
    spans: Spans,
    drift: Drift,
    motion: Motion,
    rows: slice | NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the log densities of the steps of some candidates."""
    source, target, elapsed = edges.source[rows], edges.target[rows], spans.elapsed[rows]
    known = predictors(drift, source, target, elapsed)
    step = around.position[target] - around.position[source]
    return motion.log_density(step, known, around.order[source], elapsed)


def problem_of(
    around: Surroundings,
    edges: CandidateEdges,
    spans: Spans,
    drift: Drift,
    model: Model,
    *,
    divisions: bool = True,
    forced: NDArray[np.bool_] | None = None,
) -> TrackingProblem:
    """Turn candidates into the problem that solvers and posteriors read.

    Parameters
    ----------
    around, edges, spans, drift, model
        As in `prices_of`.
    divisions : bool
        Whether cells divide, where they do at all.
    forced : (m,) bool or None
        Links that people forced in: two of one mother are a pair, whatever it costs.
    """
    prices = prices_of(around, edges, spans, drift, model)
    n = len(around)
    return TrackingProblem(
        frame=around.frame,
        source=edges.source,
        target=edges.target,
        edge_cost=prices.link,
        node_cost=-prices.false,
        appear_cost=prices.appear,
        disappear_cost=prices.disappear,
        division_cost=np.zeros(n),
        pinned_node=np.full(n, not model.read.optional, dtype=np.int8),
        pairs=pairs_that_pay(around, edges, spans, drift, model, prices, divisions and model.read.divisions, forced),
    )
