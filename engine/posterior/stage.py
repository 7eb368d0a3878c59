"""The stage that says how sure a solution is: price it again, weigh what else could be, and keep the probabilities.

A posterior belongs to a solution and reads the same scores, costs and rates, with what people said since taken for
certain. No connection is open while it computes, and what it found becomes visible in one transaction.
"""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ConfigError, SchemaError
from ...solvers.posterior.outcomes import HowWeighed
from ...storage.followed import add_followed
from ...storage.posteriors import HOW, PosteriorInfo, add_posterior
from ..annotations.pins import decided
from ..config import Config
from ..names import free_posterior_name
from ..pixels import pixels_of
from ..progress import Silent
from ..scorers import known_scorers, open_scorer
from .again import Again, fingerprints, to_follow
from .calibration_file import read_calibration
from .estimate import PERTURBING, Redrawn, method_named, posterior_of
from .lifting import lifted, stored_links, stored_outcomes
from .perturbation import Perturbation
from .problem import WeighedMovie, run_of, weighed
from .softmax import parent_entropy
from .usual import usual_temperature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...solvers.posterior.touched import TouchedPart
    from ...solvers.problem import TrackingProblem
    from ...storage.catalogue import DetectionSet, RunInfo, SolutionInfo
    from ...storage.duckdb_store import DuckDBStore
    from ...storage.posteriors import CellOutcomes
    from ...storage.schema import CandidateEdges, Detections
    from ..posterior_config import PosteriorConfig
    from ..progress import Progress
    from ..scorers.base import Scorer, Scores
    from .estimate import Posterior

log = logging.getLogger(__name__)

OF_NETWORKS = 20
"""Draws of methods that perturb, where a network says what each is worth."""


@dataclass(frozen=True, slots=True)
class PosteriorReport:
    """What a posterior says in numbers.

    Parameters
    ----------
    posterior, solution : str
        Its name, and that of the solution that it belongs to.
    method : str
        How it was computed.
    temperature : float
        What costs were divided by.
    calibrated : bool
        Whether that was fitted to movies with truth.
    cells : int
        Cells that it tells of: those before the last frame; for methods that tell of links alone, daughters that have
        candidates.
    links : int
        Candidates that have a probability.
    how : dict of str to int
        How many of the cells are known how: ``exact``, ``pruned``, ``belief``, ``sampled``.
    mean_entropy_bits : float
        Mean entropy of what these cells do, or of who their mother is.
    pins : int
        Annotations that are taken for certain.
    left_out : int
        Candidates without a score, of which nothing is said.
    draws : int
        How many were made, or lineages listed; 0 where none are.
    again : Again or None
        How much was weighed again, the rest being that of a stored posterior; None where all was weighed.
    seconds : float
        How long it took.
    """

    posterior: str
    solution: str
    method: str
    temperature: float
    calibrated: bool
    cells: int
    links: int
    how: dict[str, int]
    mean_entropy_bits: float
    pins: int
    left_out: int
    draws: int
    again: Again | None
    seconds: float


def posterior(
    store: DuckDBStore,
    chosen: DetectionSet,
    info: SolutionInfo,
    config: Config | None = None,
    *,
    name: str | None = None,
    afresh: bool = False,
    progress: Progress | None = None,
) -> PosteriorReport:
    """Compute how sure a solution is, and keep it.

    Where the store holds a posterior of the solution by ``auto`` or ``exact`` that differs by annotations alone, the
    pieces that these touch are weighed again, and all else is taken over from it.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    chosen : DetectionSet
        The detections of the solution.
    info : SolutionInfo
        The solution.
    config : Config
        Method, temperature and options.
    name : str or None
        Name of the posterior; by default ``posterior`` and a number.
    afresh : bool
        Weigh all, whatever the store holds.
    progress : Progress
        Who is told how far it is.

    Raises
    ------
    ConfigError
        If there is no such method, it perturbs detections and their scores come from a table, or the calibration cannot
        be read.
    CalibrationError
        If the calibration was fitted on this very movie, on other scores, or not for this method.
    MissingRowsError
        If there are no candidates.
    StoreExistsError
        If there is a posterior of that name.
    InfeasibleError
        If an annotation asks for a link that is no candidate.
    SolverError
        If the method is ``exact`` and a piece is too wide for it.
    """
    started = time.perf_counter()
    config, progress = config or Config(), progress or Silent()
    method = method_named(config.posterior.method)
    name = free_posterior_name(store, chosen, name)
    settings = _tempered(config.posterior, run_of(store, info), info, progress)
    with store.running("posterior", name, {**asdict(settings), "solution": info.name}, chosen=chosen) as run:
        progress.start("pricing")
        said = store.decisions()
        movie = weighed(store, chosen, info, config, progress)
        if settings.calibration:
            settings = _calibrated(settings, method, store, chosen, movie)
            progress.note(f"temperature {settings.temperature:.4g}, fitted on other movies")
        if method in PERTURBING and not settings.draws and "model" in movie.score_run.params:
            settings = replace(settings, draws=OF_NETWORKS)
            progress.note(
                f"{OF_NETWORKS} draws: a model looks at the whole movie for each; [posterior] draws takes more"
            )
        progress.start("weighing")
        prints = fingerprints(movie)
        followed = None
        if not afresh:
            followed, why = to_follow(store, chosen, info, movie, prints, settings, said)
            if why:
                progress.note(f"all is weighed: {why}")
        report = _blank(name, info, method, settings, movie)
        kept = {"scores": movie.score_run.name, "heard": max((d.seq for d in said), default=0)} | prints
        made = PosteriorInfo(0, chosen.id, info.id, run.id, name, method, settings.temperature, report.calibrated)
        if followed is None:
            redrawn = redrawn_of(store, chosen, movie, settings, progress) if method in PERTURBING else None
            report = _all_of(store, run, made, movie, posterior_of(movie.left.problem, settings, redrawn), report, kept)
        else:
            report = _some_of(store, run, made, movie, *followed, settings, report, kept)
    log.info("posterior: %s, %d cells", name, report.cells)
    return replace(report, seconds=time.perf_counter() - started)


def _tempered(settings: PosteriorConfig, solved: RunInfo, info: SolutionInfo, progress: Progress) -> PosteriorConfig:
    """Return the settings with the usual temperature where none is given; tell that, and what is left aside."""
    if not settings.temperature:
        settings = replace(settings, temperature=usual_temperature(solved.params))
        if settings.temperature != 1 and not settings.calibration:
            progress.note(f"temperature {settings.temperature:g}, usual for the learned cost")
    solver = solved.params.get("solver")
    if solver is not None:
        progress.note(f"{info.name} is by {solver}: what it knows beyond the costs is left aside")
    return settings


def _blank(
    name: str, info: SolutionInfo, method: str, settings: PosteriorConfig, movie: WeighedMovie
) -> PosteriorReport:
    """Return the report of a posterior of which nothing is weighed yet."""
    return PosteriorReport(
        posterior=name,
        solution=info.name,
        method=method,
        temperature=settings.temperature,
        calibrated=settings.calibrated,
        cells=0,
        links=0,
        how={},
        mean_entropy_bits=0.0,
        pins=movie.pins,
        left_out=movie.left_out,
        draws=0,
        again=None,
        seconds=0.0,
    )


def _all_of(
    store: DuckDBStore,
    run: RunInfo,
    made: PosteriorInfo,
    movie: WeighedMovie,
    found: Posterior,
    report: PosteriorReport,
    kept: dict[str, Any],
) -> PosteriorReport:
    """Keep what was found of the whole movie, and return the report of it."""
    found = lifted(found, movie.left)
    outcomes = stored_outcomes(found, movie.left, movie.detections.id, _before_the_last_frame(movie.detections))
    entropy, how = _summary(found, movie, outcomes)
    report = replace(
        report,
        cells=len(how),
        links=len(movie.edges),
        how={label: int(np.count_nonzero(how == code)) for code, label in enumerate(HOW)},
        mean_entropy_bits=float(entropy.mean()) if len(entropy) else 0.0,
        draws=found.draws,
    )
    add_posterior(store, run, made, stored_links(found, movie.edges), outcomes, _told(report) | kept)
    return report


def _some_of(
    store: DuckDBStore,
    run: RunInfo,
    made: PosteriorInfo,
    movie: WeighedMovie,
    base: PosteriorInfo,
    part: TouchedPart,
    settings: PosteriorConfig,
    report: PosteriorReport,
    kept: dict[str, Any],
) -> PosteriorReport:
    """Weigh a part of the movie and keep it with what a stored posterior tells of the rest; return the report."""
    found = lifted(posterior_of(part.left.problem, settings), part.left)
    ids = movie.detections.id[part.cells]
    asked = part.mothers & _before_the_last_frame(movie.detections)[part.cells]
    outcomes = stored_outcomes(found, part.left, ids, asked)
    if outcomes is None:
        raise SchemaError(f"{report.method} tells of links alone, and cannot follow annotations")
    again = Again(base.name, part.pieces, part.of_pieces, int(np.count_nonzero(asked)))
    report = replace(report, again=again)
    links = stored_links(found, movie.edges.take(part.links))
    totals = add_followed(store, run, made, base, links, outcomes, ids[asked], _told(report) | kept)
    return replace(report, **asdict(totals))


def _told(report: PosteriorReport) -> dict[str, Any]:
    """Return what the run keeps of a report."""
    return {key: value for key, value in asdict(report).items() if key not in ("posterior", "seconds")}


def _before_the_last_frame(detections: Detections) -> NDArray[np.bool_]:
    frame = detections.frame
    return np.less(frame, frame[-1] if len(frame) else 0)


def _calibrated(
    settings: PosteriorConfig, method: str, store: DuckDBStore, chosen: DetectionSet, movie: WeighedMovie
) -> PosteriorConfig:
    """Return the settings with the temperature that was fitted for a method on other movies."""
    fitted = read_calibration(Path(settings.calibration))
    temperature = fitted.temperature_for(method, store, chosen, str(movie.score_run.params["by"]))
    return replace(settings, temperature=temperature, calibrated=True)


def redrawn_of(
    store: DuckDBStore, chosen: DetectionSet, movie: WeighedMovie, settings: PosteriorConfig, progress: Progress
) -> Redrawn:
    """Return what draws detections anew and prices them as the solution was priced, annotations taken for certain."""
    scorer = _scorer_of(movie.score_run)
    if scorer is None:
        raise ConfigError(
            f"scores {movie.score_run.name} come from a table: they say nothing of perturbed detections",
            **{"try": "--method auto, or a solution by a scorer"},
        )
    pixels = pixels_of(store, chosen, progress)

    def price(detections: Detections, edges: CandidateEdges, scores: Scores) -> TrackingProblem:
        return decided(movie.price(detections, edges, scores), movie.pinned).problem

    drawn = Perturbation.of(movie.detections, pixels, sigma_px=settings.sigma_px or None, seed=settings.seed)
    return Redrawn(drawn, movie.edges, scorer, price)


def _scorer_of(scored: RunInfo) -> Scorer | None:
    """Return what said scores once, to be asked again; None where a table did."""
    by = str(scored.params["by"])
    if "model" in scored.params:
        from ..scorers.network import NetworkScorer

        return NetworkScorer(by, channel=str(scored.params.get("channel") or ""))
    return open_scorer(by) if by in known_scorers() else None


def _summary(
    found: Posterior, movie: WeighedMovie, outcomes: CellOutcomes | None
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Return the entropy in bits of each cell that a posterior tells of, and how it is known."""
    if outcomes is not None:
        return outcomes.entropy_bits, outcomes.how[outcomes.first[:-1]]
    target = movie.problem.target
    asked = np.unique(target)
    entropy = parent_entropy(target, found.link, found.new)[asked] / np.log(2)
    how = np.full(len(movie.detections), HowWeighed.EXACT, dtype=np.uint8)
    np.maximum.at(how, target, found.how)
    return entropy, how[asked]
