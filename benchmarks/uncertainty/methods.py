"""The posteriors of the paper and ours, each as the probabilities that it gives at a temperature.

All methods see the same cells, candidates and costs of a base tracker, and the reported links are the same: those of
its optimum, and for Activity, which has an order of assignment of its own, those that it takes in that order. What
differs is how sure the methods are of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from movies import APART, FramePairs

from trackdb.engine import costs
from trackdb.engine.candidates import link_nearest
from trackdb.engine.metrics.calibration import NEW, ParentQuestions
from trackdb.engine.metrics.parents import Asked, ask_parents
from trackdb.engine.pixels import NO_PIXELS
from trackdb.engine.posterior.perturbation import Perturbation, mean_problem
from trackdb.engine.posterior.softmax import ParentProbabilities, softmax
from trackdb.engine.posterior.temperature import tempered
from trackdb.engine.posterior.trackers import tracker_costs, tracker_problem, tracker_scorer
from trackdb.engine.scorers import Scores, ScoreScale, open_scorer
from trackdb.engine.scorers.activity import observed
from trackdb.engine.scorers.network import NetworkScorer
from trackdb.solvers.posterior.assignment import AssignmentProblem
from trackdb.solvers.posterior.marginals import HowWeighed, estimate
from trackdb.solvers.posterior.parents import cheapest_parents
from trackdb.solvers.posterior.product import AssignmentList, best_assignments
from trackdb.solvers.prioritised import PrioritisedSolver

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from trackdb.engine.pixels import Pixels
    from trackdb.solvers.problem import TrackingProblem
    from trackdb.storage.schema import CandidateEdges, Detections

    At = Callable[[float], ParentProbabilities]

METHODS: Final = ("SM", "FP", "FP+A", "AS", "auto")
TRACKDB: Final = "trackdb"
"""The cost model of trackdb itself, in the place of a base tracker."""

ACTIVITY: Final = "activity"
EXACT_ACTIVITY: Final = "activity, exact"
"""The costs of Activity without its order: their optimum."""

TRANSFORMER: Final = "transformer"
"""An association transformer, where one is given."""

MODEL: Final = "model"
"""The costs from which the truth was drawn, in the place of a base tracker."""


@dataclass(frozen=True)
class Effort:
    """How much is computed for a case.

    Parameters
    ----------
    assignments : int
        K of AS, for each pair of frames.
    draws, mask_draws : int
        Of FP and FP+A, where places alone are drawn again, and where outlines are too.
    neighbors : int
        Candidates of a cell.
    model : str
        Model folder of the transformer; without one it is left out.
    model_draws : int
        Of FP and FP+A with a transformer, which looks at the whole movie for each; 0 leaves both out.
    trackers : tuple of str
        Base trackers that are looked at; all that apply if there is none.
    """

    assignments: int = 100
    draws: int = 100
    mask_draws: int = 20
    neighbors: int = 10
    model: str = ""
    model_draws: int = 20
    trackers: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Case:
    """A base tracker on the frame pairs of a movie, and what each method says of it.

    Parameters
    ----------
    movie, kind, role, tracker : str
        Which.
    step : int
        Temporal resolution.
    problem : TrackingProblem
        What the optimum is of.
    true, reported : (n,) int64
        Rows of the mothers, `NEW` for none.
    at : dict of str to callable
        For each method, probabilities by temperature.
    own : (n,) int64, optional
        Rows of the mothers that the tracker chose, where it does not choose the optimum.
    approximate : float
        Share of the candidates that `auto` knows by belief propagation alone, or by pruning.
    """

    movie: str
    kind: str
    role: str
    tracker: str
    step: int
    problem: TrackingProblem
    true: NDArray[np.int64]
    at: dict[str, At]
    own: NDArray[np.int64] | None = None
    reported: NDArray[np.int64] = field(init=False)
    approximate: float = field(init=False)

    def __post_init__(self) -> None:
        reported = mothers_of_optimum(self.problem) if self.own is None else self.own
        object.__setattr__(self, "reported", reported)
        how = estimate(self.problem).how
        object.__setattr__(self, "approximate", float((how != HowWeighed.EXACT).mean()) if len(how) else 0.0)

    def asked(self, method: str, temperature: float = 1.0) -> Asked:
        """Return the questions that can be judged, as a method answers them."""
        found = self.at[method](temperature)
        return ask_parents(
            self.problem.source,
            self.problem.target,
            np.minimum(found.link, 1.0),
            reported=self.reported,
            true=self.true,
            known=np.ones(self.problem.n_nodes, dtype=bool),
        )

    def questions(self, method: str, temperature: float = 1.0) -> ParentQuestions:
        """Return the same without what is known of the candidates."""
        return self.asked(method, temperature).questions


def trackers_of(pairs: FramePairs, effort: Effort) -> tuple[str, ...]:
    """Return the base trackers that apply: what is in the movie, and what is asked for, decide."""
    names = ["distance"]
    if pairs.pixels.has_masks:
        names.append("overlap")
    if pairs.pixels.channels:
        names.append("activity")
    if pairs.pixels.has_masks and pairs.pixels.channels and effort.model:
        names.append(TRANSFORMER)
    return tuple(name for name in (*names, TRACKDB) if not effort.trackers or name in effort.trackers)


def cases_by(pairs: FramePairs, tracker: str, effort: Effort) -> list[Case]:
    """Return a base tracker, or trackdb itself, on the frame pairs of a movie, with all methods that apply.

    Activity makes two cases of the same draws: as its authors assign, and as the optimum of its costs would.
    """
    edges = link_nearest(pairs.detections, max_distance=pairs.radius, neighbors=effort.neighbors)

    def case(name: str, problem: TrackingProblem, at: dict[str, At], own: NDArray[np.int64] | None = None) -> Case:
        return Case(pairs.name, pairs.kind, pairs.role, name, pairs.step, problem, pairs.true, at, own)

    if tracker == TRACKDB:
        problem = own_problem(pairs.detections, edges, pairs.n_pairs)
        return [case(tracker, problem, {"auto": exactly(problem)})]
    pixels, draws = (NO_PIXELS, effort.draws) if tracker == "distance" else (pairs.pixels, effort.mask_draws)
    draws = effort.model_draws if tracker == TRANSFORMER else draws
    asked = by_tracker(pairs.detections, edges, pixels, tracker, draws, effort.model)
    weighed = {"AS": listed(asked.problem, effort.assignments), "auto": exactly(asked.problem)}
    if not draws:
        return [case(tracker, asked.problem, {"SM": by_softmax(asked.problem)} | weighed)]
    in_order = {"SM": by_softmax(asked.problem), "FP": by_softmax(asked.mean)}
    optimal = {"FP+A": by_frequency(asked.drawn, [links_of_optimum(drawn) for drawn in asked.drawn])}
    if tracker != ACTIVITY:
        return [case(tracker, asked.problem, in_order | optimal | weighed)]
    own = {"FP+A": by_frequency(asked.drawn, asked.chosen)}
    mothers = mothers_of(asked.problem, asked.own)
    return [
        case(ACTIVITY, asked.problem, in_order | own | weighed, mothers),
        case(EXACT_ACTIVITY, asked.problem, in_order | optimal | weighed),
    ]


def own_problem(detections: Detections, edges: CandidateEdges, n_pairs: int) -> TrackingProblem:
    """Price candidates by the cost model of trackdb, whose rates are learned from the same pairs."""
    scores = open_scorer("distance").score(detections, edges)
    runs = costs.Runs(APART * np.arange(n_pairs), 2)
    return costs.problem_from(detections, edges, scores, costs.fit(detections, edges, scores, runs=runs))


@dataclass(frozen=True, eq=False)
class OfTracker:
    """What a base tracker says of a movie, and of perturbed cells.

    Parameters
    ----------
    problem, mean : TrackingProblem
        Of the cells as they are, and with costs averaged over the draws.
    drawn : list of TrackingProblem
        Of each draw.
    own : (n,) int64
        Row of the link into each cell that Activity takes, -1 for none; empty for other trackers.
    chosen : list of (n,) int64
        The same for each draw.
    """

    problem: TrackingProblem
    mean: TrackingProblem
    drawn: list[TrackingProblem]
    own: NDArray[np.int64]
    chosen: list[NDArray[np.int64]]


class ActivityInOrder:
    """The scorer of Activity, which remembers what the tracker itself would link among the cells that it saw last."""

    name = ACTIVITY

    def __init__(self) -> None:
        self.solver: PrioritisedSolver | None = None

    def score(self, detections: Detections, edges: CandidateEdges, pixels: Pixels = NO_PIXELS) -> Scores:
        """Return the scores of `ActivityScorer`."""
        seen = observed(detections, edges, pixels)
        self.solver = PrioritisedSolver(seen.likelihood(detections, edges), seen.raw, detections.area)
        return Scores(seen.log_density(detections, edges), ScoreScale.LOG_DENSITY)

    def links(self, problem: TrackingProblem) -> NDArray[np.int64]:
        """Return the row of the link into each cell, -1 for none."""
        assert self.solver is not None
        chosen = np.flatnonzero(self.solver.solve(problem).edge)
        into = np.full(problem.n_nodes, -1)
        into[problem.target[chosen]] = chosen
        return into


class TransformerOnPairs:
    """A transformer that is shown each pair of frames by itself: cells of other pairs stood there at another time."""

    name = TRANSFORMER

    def __init__(self, model: str) -> None:
        self._scorer = NetworkScorer(model, device="cpu")

    def score(self, detections: Detections, edges: CandidateEdges, pixels: Pixels = NO_PIXELS) -> Scores:
        """Return the probability of each candidate."""
        value = np.zeros(len(edges))
        for pair in np.unique(detections.frame // APART).tolist():
            cells = detections.frame // APART == pair
            links = cells[edges.source]
            row = np.cumsum(cells) - 1
            some = replace(edges.take(links), source=row[edges.source[links]], target=row[edges.target[links]])
            there = replace(
                detections,
                id=detections.id[cells],
                frame=detections.frame[cells] - APART * pair,
                position_px=detections.position_px[cells],
                label=detections.label[cells],
                area=detections.area[cells],
            )
            value[links] = self._scorer.score(there, some, Later(pixels, APART * pair)).value
        return Scores(value, ScoreScale.PROBABILITY)


@dataclass(frozen=True)
class Later:
    """Pixels whose frames are numbered from a later one on."""

    pixels: Pixels
    first: int

    @property
    def has_masks(self) -> bool:
        """Whether there are label masks."""
        return self.pixels.has_masks

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the image channels."""
        return self.pixels.channels

    def mask(self, frame: int) -> NDArray[np.integer]:
        """Return the label mask of a frame."""
        return self.pixels.mask(self.first + frame)

    def image(self, channel: str, frame: int) -> NDArray[np.generic]:
        """Return the image of a channel in a frame."""
        return self.pixels.image(channel, self.first + frame)


def by_tracker(
    detections: Detections, edges: CandidateEdges, pixels: Pixels, tracker: str, draws: int, model: str = ""
) -> OfTracker:
    """Return what a base tracker says of cells, and of draws of them."""
    scorer = (
        ActivityInOrder()
        if tracker == ACTIVITY
        else TransformerOnPairs(model)
        if tracker == TRANSFORMER
        else tracker_scorer(tracker)
    )
    drawn: list[TrackingProblem] = []
    chosen: list[NDArray[np.int64]] = []

    def price(detections: Detections, edges: CandidateEdges, scores: Scores) -> TrackingProblem:
        made = tracker_problem(detections, edges, tracker_costs(detections, edges, scores, tracker=tracker))
        drawn.append(made)
        if isinstance(scorer, ActivityInOrder):
            chosen.append(scorer.links(made))
        return made

    price(detections, edges, scorer.score(detections, edges, pixels))
    if not draws:
        return OfTracker(drawn[0], drawn[0], [], np.empty(0, np.int64), [])
    mean = mean_problem(Perturbation.of(detections, pixels), edges, scorer, price, draws=draws)
    return OfTracker(drawn[0], mean, drawn[1:], chosen[0] if chosen else np.empty(0, np.int64), chosen[1:])


def by_softmax(problem: TrackingProblem) -> At:
    """Return SM, or FP where the costs are means over perturbed cells."""
    return lambda temperature: softmax(problem, temperature=temperature)


def by_frequency(drawn: list[TrackingProblem], chosen: list[NDArray[np.int64]]) -> At:
    """Return FP+A: how often links were chosen among perturbed cells; -1 where a cell had no mother."""
    link, new = np.zeros(drawn[0].n_edges), np.zeros(drawn[0].n_nodes)
    for row in chosen:
        link[row[row >= 0]] += 1
        new += row < 0
    target = drawn[0].target
    return lambda temperature: tempered(target, link / len(drawn), new / len(drawn), temperature)


def listed(problem: TrackingProblem, k: int) -> At:
    """Return AS: the k cheapest assignments of each pair of frames, each weighed by its cost."""
    pair = problem.frame // APART
    parts = [part_of(problem, pair == i) for i in range(int(pair[-1]) + 1)]
    lists: list[tuple[AssignmentList, NDArray[np.int64], NDArray[np.int64]]] = [
        (best_assignments(part, k), nodes, edges) for part, nodes, edges in parts
    ]

    def at(temperature: float) -> ParentProbabilities:
        link, new = np.zeros(problem.n_edges), np.zeros(problem.n_nodes)
        for found, nodes, edges in lists:
            seen = found.shares(temperature)
            link[edges], new[nodes] = seen.link, seen.new
        return ParentProbabilities(link, new)

    return at


def part_of(
    problem: TrackingProblem, which: NDArray[np.bool_]
) -> tuple[TrackingProblem, NDArray[np.int64], NDArray[np.int64]]:
    """Return the problem of some cells, and the rows of its cells and links; no link leaves them."""
    nodes, edges = np.flatnonzero(which), np.flatnonzero(which[problem.source])
    row = np.cumsum(which) - 1
    part = replace(
        problem,
        frame=problem.frame[nodes],
        source=row[problem.source[edges]],
        target=row[problem.target[edges]],
        edge_cost=problem.edge_cost[edges],
        node_cost=problem.node_cost[nodes],
        appear_cost=problem.appear_cost[nodes],
        disappear_cost=problem.disappear_cost[nodes],
        division_cost=problem.division_cost[nodes],
        pinned_node=problem.pinned_node[nodes],
    )
    return part, nodes, edges


def exactly(problem: TrackingProblem) -> At:
    """Return `auto`: exact marginals where pieces are narrow, else pruned, else by belief propagation."""

    def at(temperature: float) -> ParentProbabilities:
        found = estimate(problem, temperature=temperature)
        return ParentProbabilities(found.link, found.new)

    return at


def links_of_optimum(problem: TrackingProblem) -> NDArray[np.int64]:
    """Return the row of the link into each cell in the cheapest solution, -1 for none."""
    parent = AssignmentProblem.of(problem)
    return parent.links(cheapest_parents(parent).option)


def mothers_of(problem: TrackingProblem, link: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the row of each cell's mother, given the row of the link into it: `NEW` where that is -1."""
    return np.where(link >= 0, np.append(problem.source, NEW)[link], NEW)


def mothers_of_optimum(problem: TrackingProblem) -> NDArray[np.int64]:
    """Return the row of each cell's mother in the cheapest solution, `NEW` for none."""
    return mothers_of(problem, links_of_optimum(problem))
