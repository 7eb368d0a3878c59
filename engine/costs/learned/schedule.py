"""Learn the model of a movie from the movie itself: solve, learn from the lineage, and again.

Rounds are few and bounded. The first lineage has no divisions, since nothing is known of daughters yet; from the second
on, births are shared (`births`) and the densities of motion and of daughters, the rates and the hazard follow.

Where frames are rare and as many cells divide as leave, such a lineage explains every cell without either, by links
that are wrong, and no round gets away from it. So some frames are also learned from as if a fifth of the cells divided
and a fifth left; the start whose second solution is likelier is taken.

A large movie is learned from its middle frames. The rest is then followed with what they told: what belongs to single
cells and frames, as drift, comes from links of the whole movie.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ....solvers import open_solver
from ...evidence import EVERYTHING, LearnedConfig
from .drift import drift_of
from .estimates import estimates_of
from .lessons import learn_from, unlearned
from .lineage import Lineage
from .looks import Looks
from .model import Model, Spans, problem_of
from .sample import SAMPLE, middle, part
from .surroundings import surroundings_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ....solvers.problem import TrackingProblem
    from ....storage.schema import CandidateEdges, Detections
    from .drift import Drift
    from .outlines import Outlines
    from .surroundings import Surroundings
    from .traits import Trait

log = logging.getLogger(__name__)

ROUNDS: Final = 6
MOST_CELLS: Final = 60_000  # of a movie that is learned from as a whole
TURNOVER: Final = 0.2  # rate of divisions and of ends that a busy tissue starts with
COMPARED: Final = 3_000  # cells that both starts are tried on
TRIED: Final = 2  # solutions of each, the last of which are compared
TRIED_WITH_LOOKS: Final = 4  # of cells whose looks are learned, too, which tell divisions better every round
CLEARLY: Final = 0.01  # nats a cell by which the busy start has to be likelier
FOLLOWING: Final = 2  # how often the whole of a larger one is linked: without velocities, and with them
IN_RUNS: Final = {False: (0.2, 0.3), True: (0.0, 0.15)}
"""Share of missed frames followed by another one, in the first and the second lineage of a calm or a busy start, from
which on links reach over more than one: where misses do not come in runs, links that far are mostly wrong. A busy start
ends and begins tracks rather than bridge them at first."""
SETTLED: Final = 1e-3  # share of cells that became something else, below which another round tells nothing new


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What was learned of a movie.

    Parameters
    ----------
    detections : Detections
        The n cells.
    model : Model
        Densities and rates.
    lineage : Lineage
        The one that they were learned from.
    around, spans, drift : Surroundings, Spans, Drift
        Of the cells, of the m candidates, and of the lineage.
    frames : tuple of int
        First and last frame that was learned from.
    n_learned : int
        Cells in these.
    """

    detections: Detections
    model: Model
    lineage: Lineage
    around: Surroundings
    spans: Spans
    drift: Drift
    frames: tuple[int, int]
    n_learned: int

    @property
    def sampled(self) -> bool:
        """Whether that was not the whole movie."""
        return self.n_learned < len(self.detections)

    def problem(
        self, detections: Detections, edges: CandidateEdges, forced: NDArray[np.bool_] | None = None
    ) -> TrackingProblem:
        """Price candidates.

        Parameters
        ----------
        detections : Detections
            The n cells, which may have moved a little since.
        edges : CandidateEdges
            The m candidates.
        forced : (m,) bool or None
            Links that people forced in.
        """
        around, drift = self.around, self.drift
        if detections is not self.detections:
            around = surroundings_of(detections)
            drift = drift_of(around, self.lineage, self.spans.elapsed, self.model.read)
        return problem_of(around, edges, self.spans, drift, self.model, forced=forced)

    def estimates(self) -> dict[str, float]:
        """Return what was learned under names that tell their units, for the parameters of the run."""
        unit = "px" if self.detections.scale_um is None else "um"
        found = estimates_of(self.around, self.lineage, self.spans.elapsed, self.model, unit)
        return {**found, "detections_learned_from": float(self.n_learned)}


def learn(
    detections: Detections,
    edges: CandidateEdges,
    read: LearnedConfig = EVERYTHING,
    traits: Sequence[Trait] = (),
    outlines: Outlines | None = None,
    *,
    rounds: int = ROUNDS,
    most_cells: int = MOST_CELLS,
) -> Learned:
    """Learn densities and rates from the cells themselves, without labels.

    Parameters
    ----------
    detections : Detections
        n cells.
    edges : CandidateEdges
        m candidates.
    read : LearnedConfig
        What to look at.
    traits : sequence of Trait
        How the cells look.
    outlines : Outlines or None
        Their masks; not looked at in a large movie.
    rounds : int
        How often to solve at most, the solution that is wanted in the end included.
    most_cells : int
        Cells of a large movie; of one that has more, the middle frames are learned from.
    """
    if len(detections) > most_cells:
        first, stop = middle(detections, SAMPLE)
        cells, within = part(detections, edges, first, stop)
        some = [trait.part(first, stop) for trait in traits]
        return _followed(
            detections, edges, traits, learn(cells, within, read, some, rounds=rounds, most_cells=len(cells))
        )
    around = surroundings_of(detections)
    spans = Spans.of(around, edges, read)
    looks = Looks.unlearned(traits, outlines)
    busy = rounds > 1 and read.divisions and _busy(detections, edges, read, traits)
    stand, spans = _learned(around, edges, spans, looks, read, rounds, busy=busy)
    frames = (int(detections.frame[0]), int(detections.frame[-1])) if len(detections) else (0, 0)
    return Learned(detections, stand.model, stand.lineage, around, spans, stand.drift, frames, len(detections))


def _learned(
    around: Surroundings,
    edges: CandidateEdges,
    spans: Spans,
    looks: Looks,
    read: LearnedConfig,
    rounds: int,
    *,
    busy: bool,
) -> tuple[_Stand, Spans]:
    """Learn in rounds; begin again over one missed frame at most where misses turn out not to come in runs."""
    stand = _Stand.at_first(around, edges, spans, read, looks, busy=busy)
    for number in range(rounds - 1):
        before, stand = stand, _round(around, edges, spans, stand, divisions=busy or number > 0)
        changed = stand.lineage.differs_from(before.lineage)
        if spans.reach > 1 and number < len(IN_RUNS[busy]) and stand.model.rates.again < IN_RUNS[busy][number]:
            return _learned(around, edges, spans.shorter, looks, read, rounds, busy=busy)
        log.debug("round %d: %.2g of the cells changed, %s", number, changed, stand.model.rates)
        if number and changed <= SETTLED:
            break
    return stand, spans


@dataclass(frozen=True, slots=True, eq=False)
class _Stand:
    """Where learning stands after some rounds.

    Parameters
    ----------
    model, lineage, drift : Model, Lineage, Drift
        What is known, from which solution, and how the cells move in it.
    surprise : float
        Minus log likelihood of that solution by the model that found it, but for what all solutions share.
    """

    model: Model
    lineage: Lineage
    drift: Drift
    surprise: float = np.inf

    @classmethod
    def at_first(
        cls, around: Surroundings, edges: CandidateEdges, spans: Spans, read: LearnedConfig, looks: Looks, *, busy: bool
    ) -> _Stand:
        """Return where to start; `busy` cells divide and leave often."""
        model, lineage = unlearned(around, read, looks), Lineage.unlinked(edges, len(around))
        if busy:
            rates = replace(model.rates, division=TURNOVER, disappear=np.full(2, TURNOVER))
            model = replace(model, rates=rates)
        return cls(model, lineage, drift_of(around, lineage, spans.elapsed, read))


def _round(around: Surroundings, edges: CandidateEdges, spans: Spans, stand: _Stand, *, divisions: bool) -> _Stand:
    """Solve, and learn from the solution."""
    model = stand.model
    problem = problem_of(around, edges, spans, stand.drift, model, divisions=divisions)
    found = open_solver("ilp").solve(problem)
    lineage = Lineage.of(edges, found)
    drift = drift_of(around, lineage, spans.elapsed, model.read)
    surprise = found.objective - float(problem.node_cost.sum())
    return _Stand(learn_from(around, edges, spans, lineage, drift, model), lineage, drift, surprise)


def _busy(detections: Detections, edges: CandidateEdges, read: LearnedConfig, traits: Sequence[Trait]) -> bool:
    """Return whether the cells of some frames are likelier if many divide and leave, once both starts learned a bit."""
    first, stop = middle(detections, COMPARED)
    cells, within = part(detections, edges, first, stop)
    around = surroundings_of(cells)
    spans = Spans.of(around, within, read).shorter
    looks = Looks.unlearned([trait.part(first, stop) for trait in traits])
    surprise = {}
    for busy in (False, True):
        stand = _Stand.at_first(around, within, spans, read, looks, busy=busy)
        for number in range(TRIED_WITH_LOOKS if traits else TRIED):
            stand = _round(around, within, spans, stand, divisions=busy or number > 0)
        surprise[busy] = stand.surprise
    log.debug("surprise of calm cells %.1f, of busy ones %.1f", surprise[False], surprise[True])
    return surprise[True] < surprise[False] - CLEARLY * len(cells)


def _followed(detections: Detections, edges: CandidateEdges, traits: Sequence[Trait], learned: Learned) -> Learned:
    """Link the whole movie without divisions by what a part of it told, for drift, velocities and births."""
    around = surroundings_of(detections)
    spans = Spans.of(around, edges, learned.model.read)
    spans = replace(spans, reach=min(spans.reach, learned.spans.reach))
    return follow_in(around, spans, detections, edges, traits, learned)


def follow_in(
    around: Surroundings,
    spans: Spans,
    detections: Detections,
    edges: CandidateEdges,
    traits: Sequence[Trait],
    learned: Learned,
) -> Learned:
    """Link frames without divisions by what others told, for drift, velocities, speeds, waves and births.

    Parameters
    ----------
    around, spans : Surroundings, Spans
        Of the cells and candidates of these frames.
    detections, edges, traits : Detections, CandidateEdges, sequence of Trait
        n cells, m candidates, and how the cells look: the traits that were learned of, in their order.
    learned : Learned
        What was learned of other frames.
    """
    read = learned.model.read
    lineage = Lineage.unlinked(edges, len(around))
    drift = drift_of(around, lineage, spans.elapsed, read)
    model = learned.model.elsewhere(len(around), around.n_frames, traits)
    for _ in range(FOLLOWING):
        problem = problem_of(around, edges, spans, drift, model, divisions=False)
        lineage = Lineage.of(edges, open_solver("ilp").solve(problem))
        drift = drift_of(around, lineage, spans.elapsed, read)
        found = learn_from(around, edges, spans, lineage, drift, model, motion=learned.model.motion)
        rates = replace(model.rates, dividing=found.rates.dividing, ending=found.rates.ending)
        model = replace(found, daughters=model.daughters, rates=rates, looks=model.looks)
    return Learned(detections, model, lineage, around, spans, drift, learned.frames, learned.n_learned)
