"""One function a stage: link, score (`scoring`), solve. Each reads from the store, computes, and commits once.

No connection is open while a stage computes. A stage that is killed leaves a pending run that nobody sees; the same
command does it again.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError, NotProvenError, SolverError
from ..solvers import OWN_SOLVERS
from ..solvers.problem import objective
from ..storage.catalogue import SolutionInfo
from ..storage.schema import Prices
from .annotations.pins import PinSet, decided
from .candidates import link_nearest, radius_from, unbridged
from .config import Config, LinkConfig, ScoreConfig, SolveConfig
from .default_cost import cost_for, missed_frames
from .guests import at_work
from .lineages import solution_table
from .linkers import ACTIVITY, ASSOCIATION, COST, LEARNED, TWO_DISTANCE, choose_linker
from .names import done, free_solution_name, linked_gap, named_scores
from .networks import names_a_model
from .pixels import pixels_of
from .pricing import learned_costs, pins_of, priced, with_forced
from .progress import Progress, Silent
from .remarks import remark, same_scores, without_score
from .reports import LinkReport, Merged, SolveReport, report_of
from .scorers.base import Scores, ScoreScale
from .scoring import ready_scores, score
from .teaching import lesson_from
from .windowed import WindowedMovie, require_windows_fit

if TYPE_CHECKING:
    from ..solvers.base import Solver
    from ..solvers.pins import Pins
    from ..solvers.problem import Selection, TrackingProblem
    from ..storage.catalogue import DetectionSet, RunInfo
    from ..storage.duckdb_store import DuckDBStore
    from ..storage.schema import CandidateEdges, Detections, SolutionTable
    from .linkers import LinkerChoice
    from .teaching import Lesson

__all__ = ["LinkReport", "SolveReport", "link", "require_sound", "score", "solve"]

log = logging.getLogger(__name__)


def link(
    store: DuckDBStore, chosen: DetectionSet, config: LinkConfig | None = None, progress: Progress | None = None
) -> LinkReport:
    """Add candidate links to the graph of a detection set; the graph only grows.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    chosen : DetectionSet
        Detections to link.
    config : LinkConfig
        Radius, neighbours and gaps.
    progress : Progress
        Who is told what was chosen.

    Raises
    ------
    StoreLockedError
        If another process is linking the same detections.
    """
    started = time.perf_counter()
    config, progress = config or LinkConfig(), progress or Silent()
    progress.start("linking")
    with store.running("link", "candidates", asdict(config), chosen=chosen) as run:
        with store.looking():
            detections, before = store.detections(chosen), store.count_candidates(chosen)
        radius, how = config.max_distance, "given"
        if not radius:
            read = radius_from(detections)
            radius, how = read.radius, read.how
            if read.doubt:
                progress.note(read.doubt)
        hole = unbridged(detections, config.max_gap)
        if hole:
            progress.note(hole)
        edges = link_nearest(detections, max_distance=radius, neighbors=config.neighbors, max_gap=config.max_gap)
        found = {"max_distance": radius, "unit": chosen.movie.unit, "how": how, "edges": len(edges)}
        store.add_candidates(run, chosen, detections, edges, found)
        total = store.count_candidates(chosen)
    log.info("linked: %d candidates within %g %s", total, radius, chosen.movie.unit)
    progress.note(f"radius {radius:.4g} {chosen.movie.unit}: {how}")
    if total > len(edges):
        progress.note(
            f"{total - len(edges):,} candidates of earlier links stay, the graph only grows; "
            "for a smaller one ingest again under another --name"
        )
    if chosen.movie.scale_um is None:
        progress.note("no voxel size is known, so distances are in pixels")
    return LinkReport(
        edges=len(edges),
        total=total,
        new=total - before,
        max_distance=radius,
        unit=chosen.movie.unit,
        how=how,
        neighbors=config.neighbors,
        max_gap=config.max_gap,
        seconds=time.perf_counter() - started,
    )


def solve(
    store: DuckDBStore,
    chosen: DetectionSet,
    config: Config | None = None,
    *,
    scores: str | None = None,
    name: str | None = None,
    solver: Solver | None = None,
    ignore_pins: bool = False,
    progress: Progress | None = None,
) -> SolveReport:
    """Link what is not linked, score what is not scored, choose the links, label the lineages and keep them.

    What people said of the cells holds, whatever it costs.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    chosen : DetectionSet
        Detections to track.
    config : Config
        Settings of this stage, and of linking and scoring where they have to come first.
    scores : str or None
        Name of a score run; by default the newest of the configured scorer, made if there is none.
    name : str or None
        Name of the solution; by default the linker and a number.
    solver : Solver or None
        In the place of the exact one: what no setting can say, as constraints that are added to `MotileSolver`.
    ignore_pins : bool
        Solve as if nobody had said anything.
    progress : Progress
        Who is told how far it is.

    Raises
    ------
    NotProvenError
        If an optimum was required and could not be proven; nothing is kept then.
    InfeasibleError
        If an annotation asks for a link that is no candidate.
    StoreExistsError
        If there is a solution of that name.
    MissingRowsError
        If there are no scores of the name asked for.
    ConfigError
        If there is no such linker or scorer.
    CalibrationError
        If learned costs are asked for that come from this very movie, or from other scores; if there is a lineage to
        learn from that tells too little.
    SolverError
        If the objective, computed again without the solver, is another one.
    """
    started = time.perf_counter()
    config, progress = config or Config(), progress or Silent()
    config = _with_cost(store, chosen, config, scores, solver, progress)
    settings = config.solve
    linker = choose_linker(config, scores, solver)
    _require_fitting(config, linker, scores)
    name = free_solution_name(store, chosen, name, settings.linker)
    windowed = None
    if settings.window:
        require_windows_fit(settings, solver)
        windowed = WindowedMovie(store, chosen, config, ignore_pins=ignore_pins, progress=progress)
    else:
        with store.looking():
            detections = store.detections(chosen)
            pins = PinSet() if ignore_pins else pins_of(store, chosen, detections, progress)  # refused before any work
    if scores is not None:
        linker.require_fitting(named_scores(store, chosen, scores))  # refused before any work
    else:
        _link_what_is_missing(store, chosen, config, progress)
    lesson = lesson_from(settings.learn_from, store, chosen, config.learned, progress) if settings.learn_from else None
    wanted = ScoreConfig(by=ACTIVITY) if linker.by == ACTIVITY else config.score
    score_run = ready_scores(store, chosen, scores, wanted, progress, config.network)
    linker.require_fitting(score_run)
    if windowed is not None:
        return windowed.solve(score_run, name, started)
    shifts = learned_costs(store, chosen, settings, score_run, progress)
    progress.start("solving")
    used = _used(config, linker, solver, lesson) | {"scores": score_run.name, "pins": len(pins)}
    with store.running("solve", name, used, chosen=chosen) as run:
        edges, given, pinned, left_out = _candidates(store, chosen, detections, pins, score_run, config, progress)
        problem, estimates = priced(
            store, chosen, detections, edges, given, pinned.forced, config, score_run.name, progress, lesson
        )
        if shifts is not None:
            problem, estimates = shifts.applied(problem), {**estimates, **shifts.as_dict()}
        left = decided(problem, pinned)
        free = replace(given, value=given.value[left.rows])
        bound = linker.solver(detections, edges.take(left.rows), free, pixels_of(store, chosen, progress))
        with at_work(f"the solver {settings.linker}", ours=solver is not None or settings.linker in OWN_SOLVERS):
            found = bound.solve(left.problem)
        selection = left.whole(found)
        require_sound(left.asked, selection, settings)
        model = score_run.params.get("model", {}).get("name", "") if settings.cost != LEARNED else ""
        breaks = remark(detections, edges, selection, settings, str(store.path), progress, model)
        table, merged = _labelled(detections, edges, selection)
        info = SolutionInfo(
            0, chosen.id, run.id, name, settings.linker, selection.objective, selection.lower_bound, selection.proven
        )
        progress.start("saving")
        store.add_solution(run, info, table, {"estimates": estimates, "left_out": left_out})
    report = report_of(
        info, _occupied(detections), table, merged, len(pins), left_out, estimates, time.perf_counter() - started
    )
    log.info("solved: %s, %d links", name, report.links)
    return replace(report, breaks=breaks)


def _with_cost(
    store: DuckDBStore,
    chosen: DetectionSet,
    config: Config,
    scores: str | None,
    solver: Solver | None,
    progress: Progress,
) -> Config:
    """Return the settings with the cost that they come to, and tell where it is another than usual."""
    with store.looking():
        n = store.count_detections(chosen)
        scale = _scale_of(store, chosen, config, scores)
    cost, why = cost_for(config, scores=scores, own_solver=solver is not None, n_detections=n, scale=scale)
    if why:
        progress.note(why)
    return replace(config, solve=replace(config.solve, cost=cost))


def _scale_of(store: DuckDBStore, chosen: DetectionSet, config: Config, scores: str | None) -> str:
    """Return what the numbers of the scores that are asked for mean, as far as that is known before they are made."""
    made = done(store, chosen, "score")
    asked = [run for run in made if (run.params.get("by") == config.score.by if scores is None else run.name == scores)]
    if asked:
        return str(asked[-1].params["scale"])
    of_model = scores is None and names_a_model(config.score.by)
    return ScoreScale.PROBABILITY if of_model else ScoreScale.LOG_DENSITY


def _require_fitting(config: Config, linker: LinkerChoice, scores: str | None) -> None:
    """Raise ConfigError if a calibration or scores do not fit the linker and the cost, or are lacking."""
    settings = config.solve
    if settings.calibration and linker.by != COST:
        raise ConfigError(
            f"learned costs are for linkers by cost, {settings.linker} goes by {linker.by}", **{"try": "--ilp"}
        )
    if settings.cost == ASSOCIATION and scores is None and config.score.by == ScoreConfig().by:
        raise ConfigError(
            f"the cost {ASSOCIATION} reads probabilities, as a model tells them, not distances",
            **{"try": "trackdb score STORE --by FOLDER, then --scores NAME"},
        )
    if settings.cost == LEARNED and (scores is not None or config.score.by != ScoreConfig().by):
        raise ConfigError(
            "the learned cost reads places and masks, not scores", **{"try": "--cost density, or no scores"}
        )


def _used(config: Config, linker: LinkerChoice, solver: Solver | None, lesson: Lesson | None) -> dict[str, Any]:
    """Return what the run keeps of the settings: those that it goes by."""
    settings = config.solve
    used: dict[str, Any] = {**asdict(settings), "by": linker.by}
    if solver is not None:
        used["solver"] = type(solver).__name__
    if settings.linker == "lap":
        used["lap"] = asdict(config.lap)
    if linker.by == ACTIVITY:
        used["activity"] = asdict(config.activity)
    if settings.cost == LEARNED:
        used["learned"] = asdict(config.learned)
    if lesson is not None:
        used["taught"] = lesson.as_dict()
    if settings.cost == TWO_DISTANCE:
        used["two_distance"] = asdict(config.two_distance)
    if settings.cost == ASSOCIATION:
        used["association"] = {"preset": config.association.preset, **asdict(config.association.costs())}
    return used


def _candidates(
    store: DuckDBStore,
    chosen: DetectionSet,
    detections: Detections,
    pins: PinSet,
    score_run: RunInfo,
    config: Config,
    progress: Progress,
) -> tuple[CandidateEdges, Scores, Pins, int]:
    """Return the candidates that have a score, their scores, what people decided, and how many have none."""
    with store.looking():
        edges = store.candidate_edges(chosen, detections)
        value = store.scores(score_run, edges)
    pinned = pins.for_edges(edges, len(detections))
    value = with_forced(value, pinned.forced, score_run.name, progress)
    seen = ~np.isnan(value)
    edges, value, pinned = edges.take(seen), value[seen], replace(pinned, edge=pinned.edge[seen])
    left_out = int(np.count_nonzero(~seen))
    if left_out:
        progress.note(without_score(left_out, len(seen), score_run.name))
    if config.solve.cost != LEARNED and (same := same_scores(value, score_run.name)):
        progress.note(same)
    scores = Scores(value, ScoreScale(score_run.params["scale"]), score_run.params["estimates"])
    return edges, scores, pinned, left_out


def _occupied(detections: Detections) -> tuple[int, int]:
    """Return the first and the last frame that has cells."""
    return (int(detections.frame[0]), int(detections.frame[-1])) if len(detections) else (0, 0)


def require_sound(problem: TrackingProblem, selection: Selection, config: SolveConfig) -> None:
    """Compute the objective again without the solver, and hold the solution to what the user required."""
    again = objective(problem, selection.edge, selection.node)
    if again != selection.objective:
        raise SolverError(f"the solver says {selection.objective}, the solution costs {again}: nothing was kept")
    if config.require_optimal and not selection.proven:
        raise NotProvenError(
            f"the optimum could not be proven: cost {selection.objective:.6f}, bound {selection.lower_bound:.6f}",
            **{"try": "a longer --time-limit, or without --require-optimal"},
        )


def _link_what_is_missing(store: DuckDBStore, chosen: DetectionSet, config: Config, progress: Progress) -> None:
    """Link what was not linked, or not over as many frames as a LAP closes, or over none where the learned cost wants.

    What is linked again keeps its radius and its neighbours, unless the settings name others. Frames that the settings
    or the candidates say are enough for the learned cost.
    """
    settings = config.link
    with store.looking():
        reach, wanted = linked_gap(store, chosen), missed_frames(config, store.count_detections(chosen))
    if wanted and config.solve.linker != "lap":
        wanted = settings.max_gap or wanted
    if reach < 0:
        progress.note("no candidates yet: linking")
    elif wanted > reach and (reach == 0 or config.solve.linker == "lap"):
        progress.note(f"no candidates skip more than {reach} frames yet: linking over {wanted}")
        if settings == LinkConfig():
            before = done(store, chosen, "link")[-1].params
            settings = replace(settings, max_distance=before["max_distance"], neighbors=before["neighbors"])
    else:
        return
    link(store, chosen, replace(settings, max_gap=max(settings.max_gap, wanted)), progress)


def _labelled(detections: Detections, edges: CandidateEdges, selection: Selection) -> tuple[SolutionTable, Merged]:
    """Return the selection with tracklets and interval labels, and what its merges cut."""
    cells = np.flatnonzero(selection.node)
    merges = np.zeros(len(edges), dtype=bool) if selection.merge is None else selection.merge
    chosen = selection.edge | merges
    taken, merge = edges.take(chosen), merges[chosen]
    prices = None if selection.dual is None else Prices(detections.id, selection.dual)
    table = solution_table(detections, cells, taken.source, taken.target, taken.id, prices, merge=merge)
    ends, begins = np.zeros((2, len(table.tracks)), dtype=bool)
    ends[table.pre[np.searchsorted(cells, taken.source[merge])]] = True
    begins[table.pre[np.searchsorted(cells, taken.target[merge])]] = True
    return table, Merged(ends, begins)
