"""The posteriors of the paper and ours, each as the probabilities that it gives at a temperature.

All methods see the same cells, candidates and costs of a base tracker, and the reported links are those of its optimum:
what differs is how sure they are of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from movies import APART, FramePairs

from trackdb.engine import costs
from trackdb.engine.candidates import link_nearest
from trackdb.engine.metrics.calibration import NEW, Questions
from trackdb.engine.metrics.parents import Asked, ask_parents
from trackdb.engine.pixels import NO_PIXELS
from trackdb.engine.posterior.perturbation import Perturbation, mean_problem
from trackdb.engine.posterior.softmax import ParentProbabilities, softmax
from trackdb.engine.posterior.temperature import tempered
from trackdb.engine.posterior.trackers import tracker_costs, tracker_problem, tracker_scorer
from trackdb.engine.scorers import open_scorer
from trackdb.solvers.posterior.assignment import AssignmentProblem
from trackdb.solvers.posterior.marginals import HowWeighed, estimate
from trackdb.solvers.posterior.parents import cheapest_parents
from trackdb.solvers.posterior.product import AssignmentList, best_assignments

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from trackdb.engine.pixels import Pixels
    from trackdb.engine.scorers.base import Scores
    from trackdb.solvers.problem import TrackingProblem
    from trackdb.storage.schema import CandidateEdges, Detections

    At = Callable[[float], ParentProbabilities]

METHODS: Final = ("SM", "FP", "FP+A", "AS", "auto")
TRACKDB: Final = "trackdb"
"""The cost model of trackdb itself, in the place of a base tracker."""

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
    """

    assignments: int = 100
    draws: int = 100
    mask_draws: int = 20
    neighbors: int = 10


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
    reported: NDArray[np.int64] = field(init=False)
    approximate: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reported", mothers_of_optimum(self.problem))
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

    def questions(self, method: str, temperature: float = 1.0) -> Questions:
        """Return the same without what is known of the candidates."""
        return self.asked(method, temperature).questions


def trackers_of(pairs: FramePairs) -> tuple[str, ...]:
    """Return the base trackers that apply: what is in the movie decides."""
    names = ["distance"]
    if pairs.pixels.has_masks:
        names.append("overlap")
    if pairs.pixels.channels:
        names.append("activity")
    return (*names, TRACKDB)


def case_of(pairs: FramePairs, tracker: str, effort: Effort) -> Case:
    """Return a base tracker, or trackdb itself, on the frame pairs of a movie, with all methods that apply."""
    edges = link_nearest(pairs.detections, max_distance=pairs.radius, neighbors=effort.neighbors)
    if tracker == TRACKDB:
        problem = own_problem(pairs.detections, edges, pairs.n_pairs)
        at = {"auto": exactly(problem)}
    else:
        pixels, draws = (NO_PIXELS, effort.draws) if tracker == "distance" else (pairs.pixels, effort.mask_draws)
        problem, at = by_tracker(pairs.detections, edges, pixels, tracker, draws)
        at |= {"AS": listed(problem, effort.assignments), "auto": exactly(problem)}
    return Case(pairs.name, pairs.kind, pairs.role, tracker, pairs.step, problem, pairs.true, at)


def own_problem(detections: Detections, edges: CandidateEdges, n_pairs: int) -> TrackingProblem:
    """Price candidates by the cost model of trackdb, whose rates are learned from the same pairs."""
    scores = open_scorer("distance").score(detections, edges)
    runs = costs.Runs(APART * np.arange(n_pairs), 2)
    return costs.problem_from(detections, edges, scores, costs.fit(detections, edges, scores, runs=runs))


def by_tracker(
    detections: Detections, edges: CandidateEdges, pixels: Pixels, tracker: str, draws: int
) -> tuple[TrackingProblem, dict[str, At]]:
    """Return the problem of a base tracker, and the methods that need its scorer or its costs alone."""
    scorer = tracker_scorer(tracker)

    def price(detections: Detections, edges: CandidateEdges, scores: Scores) -> TrackingProblem:
        return tracker_problem(detections, edges, tracker_costs(detections, edges, scores, tracker=tracker))

    problem = price(detections, edges, scorer.score(detections, edges, pixels))
    drawn: list[TrackingProblem] = []

    def noted(detections: Detections, edges: CandidateEdges, scores: Scores) -> TrackingProblem:
        drawn.append(price(detections, edges, scores))
        return drawn[-1]

    perturbation = Perturbation.of(detections, pixels)
    mean = mean_problem(perturbation, edges, scorer, noted, draws=draws)
    return problem, {"SM": by_softmax(problem), "FP": by_softmax(mean), "FP+A": by_frequency(drawn)}


def by_softmax(problem: TrackingProblem) -> At:
    """Return SM, or FP where the costs are means over perturbed cells."""
    return lambda temperature: softmax(problem, temperature=temperature)


def by_frequency(drawn: list[TrackingProblem]) -> At:
    """Return FP+A: how often links stand in the optima of perturbed cells."""
    link, new = np.zeros(drawn[0].n_edges), np.zeros(drawn[0].n_nodes)
    for problem in drawn:
        parent = AssignmentProblem.of(problem)
        row = parent.links(cheapest_parents(parent).option)
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


def mothers_of_optimum(problem: TrackingProblem) -> NDArray[np.int64]:
    """Return the row of each cell's mother in the cheapest solution, `NEW` for none."""
    parent = AssignmentProblem.of(problem)
    link = parent.links(cheapest_parents(parent).option)
    return np.where(link >= 0, np.append(problem.source, NEW)[link], NEW)
