"""One function a stage: link, score, solve. Each reads from the store, computes, and commits once.

No connection is open while a stage computes. A stage that is killed leaves a pending run that nobody sees; the same
command does it again.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import MissingRowsError, NotProvenError, SolverError, StoreExistsError
from ..solvers import open_solver
from ..solvers.problem import objective
from ..storage import tables
from ..storage.catalogue import SolutionInfo
from . import costs
from .candidates import link_nearest, radius_from
from .config import Config, LinkConfig, ScoreConfig, SolveConfig
from .lineages import solution_table
from .pixels import pixels_of
from .progress import Progress, Silent
from .scorers import open_scorer
from .scorers.base import Scores, ScoreScale

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..solvers.problem import Selection, TrackingProblem
    from ..storage.catalogue import DetectionSet, RunInfo
    from ..storage.duckdb_store import DuckDBStore
    from ..storage.schema import CandidateEdges, Detections, SolutionTable

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LinkReport:
    """What linking found.

    Parameters
    ----------
    edges, total, new : int
        Candidates that these settings propose, all in the graph, and how many of those this run added.
    max_distance : float
        Radius in the unit of the dataset.
    unit : str
        ``um`` or ``px``.
    how : str
        Where the radius comes from.
    neighbors, max_gap : int
        Settings.
    seconds : float
        How long it took.
    """

    edges: int
    total: int
    new: int
    max_distance: float
    unit: str
    how: str
    neighbors: int
    max_gap: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """What scoring did: name of the run, edges scored, what was estimated, and how long it took."""

    scores: str
    edges: int
    estimates: dict[str, float]
    seconds: float


@dataclass(frozen=True, slots=True)
class SolveReport:
    """What solving found.

    Parameters
    ----------
    solution, linker : str
        Name of the solution and what made it.
    objective, lower_bound : float
        Cost, and what no solution can be cheaper than (minus infinity where nobody knows).
    proven : bool
        Whether the two meet.
    links, tracks, divisions, appearances, disappearances : int
        What the lineage consists of; the first and the last frame with cells do not count as ends.
    left_out : int
        Candidates without a score, which could not be chosen.
    estimates : dict of str to float
        What was estimated from the data.
    seconds : float
        How long it took.
    """

    solution: str
    linker: str
    objective: float
    lower_bound: float
    proven: bool
    links: int
    tracks: int
    divisions: int
    appearances: int
    disappearances: int
    left_out: int
    estimates: dict[str, float]
    seconds: float


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
        detections = store.detections(chosen)
        radius, how = config.max_distance, "given"
        if not radius:
            read = radius_from(detections)
            radius, how = read.radius, read.how
            if read.doubt:
                progress.note(read.doubt)
        edges = link_nearest(detections, max_distance=radius, neighbors=config.neighbors, max_gap=config.max_gap)
        found = {"max_distance": radius, "unit": chosen.movie.unit, "how": how, "edges": len(edges)}
        before = store.count_candidates(chosen)
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


def score(
    store: DuckDBStore,
    chosen: DetectionSet,
    config: ScoreConfig | None = None,
    *,
    name: str | None = None,
    progress: Progress | None = None,
) -> ScoreReport:
    """Score all candidates of a detection set in a new run.

    Raises
    ------
    MissingRowsError
        If there are no candidates yet.
    StoreExistsError
        If there are scores of that name.
    """
    started = time.perf_counter()
    config, progress = config or ScoreConfig(), progress or Silent()
    scorer = open_scorer(config.by)
    require_linked(store, chosen)
    name = free_score_name(store, chosen, name, scorer.name)
    progress.start("scoring")
    with store.running("score", name, asdict(config), chosen=chosen) as run:
        detections = store.detections(chosen)
        edges = store.candidate_edges(chosen, detections)
        scores = scorer.score(detections, edges, pixels_of(store, chosen, progress))
        store.add_scores(run, edges, scores.value, {"scale": scores.scale.value, "estimates": scores.estimates})
    log.info("scored: %d candidates by %s", len(edges), scorer.name)
    return ScoreReport(name, len(edges), scores.estimates, time.perf_counter() - started)


def solve(
    store: DuckDBStore,
    chosen: DetectionSet,
    config: Config | None = None,
    *,
    scores: str | None = None,
    name: str | None = None,
    progress: Progress | None = None,
) -> SolveReport:
    """Link what is not linked, score what is not scored, choose the links, label the lineages and keep them.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    chosen : DetectionSet
        Detections to track.
    config : Config
        Settings of this stage, and of linking and scoring where they have to come first.
    scores : str or None
        Name of a score run; by default the newest, made if there is none.
    name : str or None
        Name of the solution; by default the linker and a number.
    progress : Progress
        Who is told how far it is.

    Raises
    ------
    NotProvenError
        If an optimum was required and could not be proven; nothing is kept then.
    StoreExistsError
        If there is a solution of that name.
    MissingRowsError
        If there are no scores of the name asked for.
    ConfigError
        If there is no such linker or scorer.
    SolverError
        If the objective, computed again without the solver, is another one.
    """
    started = time.perf_counter()
    config, progress = config or Config(), progress or Silent()
    settings = config.solve
    exact_by_other_means = settings.linker == "ilp" and settings.backend != "matching"
    solver = open_solver(
        settings.backend if exact_by_other_means else settings.linker, time_limit_s=settings.time_limit_s or None
    )
    name = free_solution_name(store, chosen, name, settings.linker)
    if scores is not None:
        named_scores(store, chosen, scores)  # refused before any work
    if not linked(store, chosen):
        progress.note("no candidates yet: linking")
        link(store, chosen, config.link, progress)
    score_run = ready_scores(store, chosen, scores, config.score, progress)
    progress.start("solving")
    with store.running("solve", name, {**asdict(settings), "scores": score_run.name}, chosen=chosen) as run:
        detections = store.detections(chosen)
        edges = store.candidate_edges(chosen, detections)
        value = store.scores(score_run, edges)
        seen = ~np.isnan(value)
        edges, value = edges.take(seen), value[seen]
        left_out = int(np.count_nonzero(~seen))
        if left_out:
            progress.note(f"{left_out} candidates have no score in {score_run.name} and are left out")
        given = Scores(value, ScoreScale(score_run.params["scale"]), score_run.params["estimates"])
        known = costs.as_densities(detections, edges, given)
        rates = costs.fit(detections, edges, known)
        problem = costs.problem_from(detections, edges, known, rates)
        selection = solver.solve(problem)
        require_sound(problem, selection, settings)
        table = _labelled(detections, edges, selection)
        info = SolutionInfo(
            0, chosen.id, run.id, name, settings.linker, selection.objective, selection.lower_bound, selection.proven
        )
        estimates = {**rates.as_dict(), **known.estimates}
        progress.start("saving")
        store.add_solution(run, info, table, {"estimates": estimates, "left_out": left_out})
    report = _report(info, detections, table, left_out, estimates, time.perf_counter() - started)
    log.info("solved: %s, %d links", name, report.links)
    return report


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


def _labelled(detections: Detections, edges: CandidateEdges, selection: Selection) -> SolutionTable:
    """Return the selection with tracklets and interval labels."""
    cells = np.flatnonzero(selection.node)
    taken = edges.take(selection.edge)
    dual = None if selection.dual is None else selection.dual[cells]
    return solution_table(detections, cells, taken.source, taken.target, taken.id, dual)


def _report(
    info: SolutionInfo,
    detections: Detections,
    table: SolutionTable,
    left_out: int,
    estimates: dict[str, float],
    seconds: float,
) -> SolveReport:
    tracks = table.tracks
    occupied = detections.frame[[0, -1]] if len(detections) else np.zeros(2, np.int64)
    return SolveReport(
        solution=info.name,
        linker=info.linker,
        objective=float(info.objective or 0.0),
        lower_bound=float("-inf") if info.lower_bound is None else info.lower_bound,
        proven=bool(info.proven),
        links=len(table.edge),
        tracks=len(tracks),
        divisions=int(np.count_nonzero(tracks.n_children > 1)),
        appearances=int(np.count_nonzero((tracks.parent == 0) & (tracks.first_frame > occupied[0]))),
        disappearances=int(np.count_nonzero((tracks.n_children == 0) & (tracks.last_frame < occupied[1]))),
        left_out=left_out,
        estimates=estimates,
        seconds=seconds,
    )


# -- what is there already, and names that are free -------------------------------------------------------------------


def linked(store: DuckDBStore, chosen: DetectionSet) -> bool:
    """Return whether the detection set was linked."""
    return bool(_done(store, chosen, "link"))


def require_linked(store: DuckDBStore, chosen: DetectionSet) -> None:
    """Raise MissingRowsError unless the detection set was linked."""
    if not linked(store, chosen):
        raise MissingRowsError(f"{store.path} has no candidates yet", **{"try": f"trackdb link {store.path}"})


def ready_scores(
    store: DuckDBStore, chosen: DetectionSet, name: str | None, config: ScoreConfig, progress: Progress
) -> RunInfo:
    """Return the score run of that name, or the newest one of the configured scorer; make scores where there are none.

    Scores that a scorer of ours made before the graph grew are made again under a new name. Scores that the user named
    are taken as they are.
    """
    if name is not None:
        return named_scores(store, chosen, name)
    made = [run for run in _done(store, chosen, "score") if run.params.get("by") == config.by]
    newest = made[-1] if made else None
    if newest is not None and store.count_scores(newest) >= store.count_candidates(chosen):
        return newest
    if newest is None:
        progress.note(f"no scores by {config.by} yet: scoring")
    else:
        progress.note(f"{newest.name} does not know all candidates: scoring again")
    report = score(store, chosen, config, progress=progress)
    return named_scores(store, chosen, report.scores)


def named_scores(store: DuckDBStore, chosen: DetectionSet, name: str) -> RunInfo:
    """Return the score run of that name, or raise MissingRowsError."""
    done = {run.name: run for run in _done(store, chosen, "score")}
    if name not in done:
        raise MissingRowsError(f"there are no scores named {name}", known=", ".join(done) or "none")
    return done[name]


def _done(store: DuckDBStore, chosen: DetectionSet, kind: str) -> list[RunInfo]:
    r = tables.run
    return store.runs(r.c.kind == kind, r.c.set_id == chosen.id, r.c.state == "done")


def free_score_name(store: DuckDBStore, chosen: DetectionSet, asked: str | None, scorer: str) -> str:
    """Return the name for new scores: the one asked for, else the scorer's with a number where it is taken."""
    taken = {run.name for run in _done(store, chosen, "score")}
    if asked is not None:
        if asked in taken:
            raise StoreExistsError(f"there are already scores named {asked}", **{"try": "another --name"})
        return asked
    return next(n for n in _numbered(scorer, first_bare=True) if n not in taken)


def free_solution_name(store: DuckDBStore, chosen: DetectionSet, asked: str | None, linker: str) -> str:
    """Return the name for a new solution: the one asked for, else the linker's with a number."""
    at_work = {run.name for run, alive in store.unfinished() if alive and run.kind == "solve"}
    taken = store.solution_names(chosen)
    if asked is not None:
        if asked in taken:
            raise StoreExistsError(f"there is already a solution named {asked}", **{"try": "another --name"})
        return asked
    return next(n for n in _numbered(linker) if n not in taken | at_work)


def _numbered(word: str, *, first_bare: bool = False) -> Iterator[str]:
    """Yield ``word-1``, ``word-2``, ...; the first without its number if asked."""
    number = 1
    while True:
        yield word if first_bare and number == 1 else f"{word}-{number}"
        number += 1
