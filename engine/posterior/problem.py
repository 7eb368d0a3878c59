"""The problem that a stored solution answers, priced again as its run priced it, with what people said since.

The rates are those that the run keeps, so that the exact solution is the maximum of its posterior. A solution that was
made without the cost model (imported, LAP by distance, greedy by score) is weighed by the model all the same: by the
scores of its run where it has some, else by those that are configured.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ConfigError, StoreDamagedError
from ...storage.facts import REMEDY
from ...storage.schema import Detections
from .. import costs
from ..annotations.pins import decided
from ..config import TwoDistanceConfig
from ..costs.shifts import CostShifts
from ..evidence import LearnedConfig
from ..linkers import ASSOCIATION, COST, LEARNED, TWO_DISTANCE
from ..names import done, named_scores, require_linked
from ..pricing import learned_cost, pins_of, with_forced
from ..remarks import without_score
from ..scorers.base import Scores, ScoreScale
from ..scoring import ready_scores
from ..teaching import Lesson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from ...solvers.pins import PinnedProblem, Pins
    from ...solvers.problem import TrackingProblem
    from ...storage.catalogue import DetectionSet, RunInfo, SolutionInfo
    from ...storage.duckdb_store import DuckDBStore
    from ...storage.schema import CandidateEdges
    from ..config import Config
    from ..progress import Progress
    from .perturbation import Price


@dataclass(frozen=True, slots=True, eq=False)
class PricedMovie:
    """The candidates of a movie with what each costs, as a solution saw them, and what annotations say of them.

    Parameters
    ----------
    detections : Detections
        n cells.
    edges : CandidateEdges
        m candidates, those that have a score.
    score_run : RunInfo
        Where their scores come from.
    densities : Scores
        What their scores say, as log densities where rates price them.
    rates : Rates or None
        What cells do, before anything that was learned elsewhere; None where nothing is priced by rates.
    price : callable
        Makes a problem of the cells, the candidates and their scores; the same ones elsewhere are priced alike.
    problem : TrackingProblem
        The problem of all n and m, what people said left aside.
    pinned : Pins
        What annotations decide.
    pins : int
        Annotations that these honour.
    left_out : int
        Candidates without a score.
    """

    detections: Detections
    edges: CandidateEdges
    score_run: RunInfo
    densities: Scores
    rates: costs.Rates | None
    price: Price
    problem: TrackingProblem
    pinned: Pins
    pins: int
    left_out: int


@dataclass(frozen=True, slots=True, eq=False)
class WeighedMovie:
    """The candidates of a movie with what each would cost, as a solution saw them.

    Parameters
    ----------
    detections : Detections
        n cells.
    edges : CandidateEdges
        m candidates, those that have a score.
    score_run : RunInfo
        Where their scores come from.
    price : callable
        Makes a problem of the cells, the candidates and their scores; the same ones elsewhere are priced alike.
    priced : TrackingProblem
        The problem of all n and m, what people said left aside.
    pinned : Pins
        What annotations decide.
    left : PinnedProblem
        The problem of all n and m, and what annotations leave of it.
    pins : int
        Annotations that it honours.
    left_out : int
        Candidates without a score.
    """

    detections: Detections
    edges: CandidateEdges
    score_run: RunInfo
    price: Price
    priced: TrackingProblem
    pinned: Pins
    left: PinnedProblem
    pins: int
    left_out: int

    @property
    def problem(self) -> TrackingProblem:
        """The problem of all cells and candidates, what people said left aside."""
        return self.left.asked


def weighed(
    store: DuckDBStore, chosen: DetectionSet, info: SolutionInfo, config: Config, progress: Progress
) -> WeighedMovie:
    """Price the candidates of a solution as its run did, and take out what annotations decide; as `priced_again`.

    Raises
    ------
    InfeasibleError
        If annotations ask for what no selection can honour.
    """
    movie = priced_again(store, chosen, info, config, progress)
    left = decided(movie.problem, movie.pinned)
    return WeighedMovie(
        movie.detections,
        movie.edges,
        movie.score_run,
        movie.price,
        movie.problem,
        movie.pinned,
        left,
        movie.pins,
        movie.left_out,
    )


def priced_again(
    store: DuckDBStore, chosen: DetectionSet, info: SolutionInfo, config: Config, progress: Progress
) -> PricedMovie:
    """Price the candidates of a solution as its run did.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    chosen : DetectionSet
        The detections of the solution.
    info : SolutionInfo
        The solution.
    config : Config
        Settings, for what its run does not tell.
    progress : Progress
        Who is told what was chosen.

    Raises
    ------
    MissingRowsError
        If there are no candidates.
    InfeasibleError
        If an annotation asks for a link that is no candidate.
    """
    with store.looking():
        require_linked(store, chosen)
        params = run_of(store, info).params
    score_run = _scores_of(store, chosen, info, params, config, progress)
    with store.looking():
        detections = store.detections(chosen)
        pins = pins_of(store, chosen, detections, progress)
        edges = store.candidate_edges(chosen, detections)
        value = store.scores(score_run, edges)
    pinned = pins.for_edges(edges, len(detections))
    value = with_forced(value, pinned.forced, score_run.name, progress)
    seen = ~np.isnan(value)
    if not seen.all():
        edges, value, pinned = edges.take(seen), value[seen], replace(pinned, edge=pinned.edge[seen])
    scores = Scores(value, ScoreScale(score_run.params["scale"]), score_run.params["estimates"])
    densities, rates, price = _pricing(store, chosen, detections, edges, scores, pinned.forced, params)
    problem = price(detections, edges, scores)
    left_out = int(np.count_nonzero(~seen))
    if left_out:
        progress.note(without_score(left_out, len(seen), score_run.name))
    return PricedMovie(detections, edges, score_run, densities, rates, price, problem, pinned, len(pins), left_out)


def run_of(store: DuckDBStore, info: SolutionInfo) -> RunInfo:
    """Return the run that made a solution."""
    return next(run for run in store.runs() if run.id == info.run_id)


def goes_by_cost(params: Mapping[str, Any]) -> bool:
    """Tell whether a run chose its links by the costs of the model, minus logs of probabilities."""
    return params.get("by") == COST and params.get("cost") != ASSOCIATION


def may_leave_out(params: Mapping[str, Any]) -> bool:
    """Tell whether the costs that a run went by leave it open which detections are cells."""
    return goes_by_cost(params) and params.get("cost") == LEARNED and params.get("learned", {}).get("optional", True)


def _scores_of(
    store: DuckDBStore,
    chosen: DetectionSet,
    info: SolutionInfo,
    params: Mapping[str, Any],
    config: Config,
    progress: Progress,
) -> RunInfo:
    """Return the scores that a solution went by; where it went by none, those that are configured."""
    named = params.get("scores")
    if named in {run.name for run in done(store, chosen, "score")}:
        found = named_scores(store, chosen, str(named))
    else:
        found = ready_scores(store, chosen, None, config.score, progress, config.network)
    if params.get("cost") == ASSOCIATION:
        progress.note(
            f"{info.name} goes by probabilities as they are: it is weighed by their odds, scores {found.name}"
        )
    elif not goes_by_cost(params):
        progress.note(f"{info.name} does not go by costs: its links are weighed by the model, with scores {found.name}")
    return found


def _pricing(
    store: DuckDBStore,
    chosen: DetectionSet,
    detections: Detections,
    edges: CandidateEdges,
    scores: Scores,
    forced: NDArray[np.bool_],
    params: Mapping[str, Any],
) -> tuple[Scores, costs.Rates | None, Price]:
    """Return what prices scores as a run did: by the rates that it keeps, and what its scores were worth.

    Beside it stand the log densities and the rates that it prices by, if it goes by rates.

    The learned cost is learned again, which gives the same: drift and ages are those of a lineage, not of a few rates.
    What a lineage taught it, the run keeps.
    """
    if goes_by_cost(params) and params.get("cost") == LEARNED:
        read = LearnedConfig(**{"areas": False, "intensity": False, "outlines": False, **params.get("learned", {})})
        learned = learned_cost(store, chosen, detections, edges, read, Lesson.of_run(params))
        return scores, None, lambda d, e, s: learned.problem(d, e, forced)
    if goes_by_cost(params) and params.get("cost") == TWO_DISTANCE:
        with _kept_by_a_run():
            of_run = TwoDistanceConfig(**params["two_distance"])
        return scores, None, lambda d, e, s: costs.two_distance_problem(d, e, s, of_run).problem
    unit = "px" if detections.scale_um is None else "um"
    worth = _worth(detections, edges, scores, bool(params.get("window")))
    densities = worth.as_densities(detections, edges, scores)
    try:
        with _kept_by_a_run():
            rates = costs.Rates.from_dict(params["estimates"], ndim=detections.ndim, unit=unit)
    except KeyError:
        rates = costs.fit(detections, edges, densities)
    shifts = CostShifts.from_dict(params.get("estimates", {})) or CostShifts()

    def price(d: Detections, e: CandidateEdges, s: Scores) -> TrackingProblem:
        return shifts.applied(costs.problem_from(d, e, worth.as_densities(d, e, s), rates))

    return densities, None if densities.scale is ScoreScale.PROBABILITY else rates, price


@contextmanager
def _kept_by_a_run() -> Iterator[None]:
    """Tell numbers that cannot be as damage: nobody gave them, a run kept them."""
    try:
        yield
    except ConfigError as error:
        raise StoreDamagedError(
            f"the store tells of a run what cannot be: {error.message}", **error.details, **{"try": REMEDY}
        ) from None


def _worth(detections: Detections, edges: CandidateEdges, scores: Scores, windowed: bool) -> costs.Worth:
    """Learn what scores are worth from what the run learned it from: windows look at sampled frames alone."""
    if windowed and len(detections):
        frame = detections.frame
        runs = costs.sampled_runs(int(frame[0]), int(frame[-1]), len(frame))
        run = np.searchsorted(runs.starts, frame, side="right") - 1
        run[frame >= runs.starts[run] + runs.length] = -1
        kept = (run[edges.source] == run[edges.target]) & (run[edges.source] >= 0)
        if not kept.all():
            detections, edges = _part(detections, edges.take(kept), run >= 0)
            scores = replace(scores, value=scores.value[kept])
    return costs.learn_worth(detections, edges, scores)


def _part(detections: Detections, edges: CandidateEdges, kept: NDArray[np.bool_]) -> tuple[Detections, CandidateEdges]:
    """Return some of the detections, with edges that tie no others."""
    row = np.cumsum(kept) - 1
    part = Detections(
        id=detections.id[kept],
        frame=detections.frame[kept],
        position_px=detections.position_px[kept],
        label=detections.label[kept],
        area=detections.area[kept],
        scale_um=detections.scale_um,
    )
    return part, replace(edges, source=row[edges.source], target=row[edges.target])
