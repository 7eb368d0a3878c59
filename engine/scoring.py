"""The stage that scores candidates: by a scorer, by a network, or by a table of somebody's own numbers."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SchemaError
from ..storage.formats.tabular.reader import SUFFIXES
from .by_models import hardly_taught_of, scored_since
from .config import AUTO, ScoreConfig
from .guests import at_work
from .names import done, free_score_name, named_scores, require_linked
from .network_config import NetworkConfig
from .networks import names_a_model, score_by_network
from .own_scores import digest_of, read_own_scores
from .pixels import pixels_of
from .progress import Progress, Silent
from .remarks import without_score
from .scorers import OURS, Scores, ScoreScale, known_scorers, open_scorer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..storage.catalogue import DetectionSet, RunInfo
    from ..storage.duckdb_store import DuckDBStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """What scoring did.

    Parameters
    ----------
    scores : str
        Name of the run.
    scale : str
        What its numbers mean, a `ScoreScale`.
    edges, new : int
        Candidates that were scored, and how many of them the graph did not have before.
    estimates : dict of str to float
        What was estimated from the data.
    seconds : float
        How long it took.
    device : str
        What computed: ``cpu`` or ``cuda``.
    """

    scores: str
    scale: str
    edges: int
    new: int
    estimates: dict[str, float]
    seconds: float
    device: str = "cpu"


def score(
    store: DuckDBStore,
    chosen: DetectionSet,
    config: ScoreConfig | None = None,
    *,
    network: NetworkConfig | None = None,
    name: str | None = None,
    columns: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> ScoreReport:
    """Score the candidates of a detection set in a new run.

    A scorer scores all of them. A table, or a network, scores pairs of its own: those that are no candidates yet become
    candidates, since who scores a pair thinks it possible.

    Parameters
    ----------
    store : DuckDBStore
        The store.
    chosen : DetectionSet
        Detections that are scored.
    config : ScoreConfig
        Name of the scorer, folder of a model, or path of a table and what its numbers mean.
    network : NetworkConfig
        How a model judges.
    name : str or None
        Name of the scores; by default that of the scorer or the model, or of the table without its ending.
    columns : mapping of str to str or None
        Columns of the table as the user names them.
    progress : Progress
        Who is told how far it is.

    Raises
    ------
    ConfigError
        If there is no such scorer or scale.
    MissingRowsError
        If there are no candidates yet, or no pixels that the scorer needs.
    FormatError
        If the table, or the model, is not what it should be; nothing is kept then.
    StoreExistsError
        If there are scores of that name.
    """
    config, progress = config or ScoreConfig(), progress or Silent()
    if names_a_table(config.by):
        return _by_table(store, chosen, config, name, columns, progress)
    if names_a_model(config.by):
        return _by_network(store, chosen, config, network or NetworkConfig(), name, progress)
    if config.scale != AUTO or columns:
        progress.note(f"scale and columns are for tables of scores: {config.by} is a scorer, they are not looked at")
    return _by_scorer(store, chosen, config, name, progress)


def names_a_table(by: str) -> bool:
    """Tell whether scores are asked for by the path of a table, not by the name of a scorer."""
    if by in OURS or by in known_scorers():  # who else is installed takes long to find
        return False
    return by.lower().removesuffix(".gz").endswith(SUFFIXES) or Path(by).is_file()


def _by_scorer(
    store: DuckDBStore, chosen: DetectionSet, config: ScoreConfig, name: str | None, progress: Progress
) -> ScoreReport:
    started = time.perf_counter()
    scorer = open_scorer(config.by)
    with store.looking():
        require_linked(store, chosen)
        name = free_score_name(store, chosen, name, scorer.name)
    progress.start("scoring")
    with store.running("score", name, asdict(config), chosen=chosen) as run:
        with store.looking():
            detections = store.detections(chosen)
            edges = store.candidate_edges(chosen, detections)
            pixels = pixels_of(store, chosen, progress)
        with at_work(f"the scorer {config.by}", ours=config.by in OURS):
            scores = scorer.score(detections, edges, pixels)
        _require_one_each(scores, scorer.name, len(edges))
        found = {"scale": scores.scale.value, "estimates": scores.estimates}
        store.add_scores(run, edges, scores.value, found)
    log.info("scored: %d candidates by %s", len(edges), scorer.name)
    return ScoreReport(name, scores.scale.value, len(edges), 0, scores.estimates, time.perf_counter() - started)


def _require_one_each(scores: object, name: str, n_edges: int) -> None:
    """Raise SchemaError where a scorer, which may be of another package, does not return a score for each candidate."""
    if not isinstance(scores, Scores):
        raise SchemaError(f"the scorer {name} returned a {type(scores).__name__}, expected Scores(value, scale)")
    if len(scores) != n_edges:
        raise SchemaError(f"the scorer {name} returned {len(scores):,} scores, expected one a candidate: {n_edges:,}")


def _by_network(
    store: DuckDBStore,
    chosen: DetectionSet,
    config: ScoreConfig,
    network: NetworkConfig,
    name: str | None,
    progress: Progress,
) -> ScoreReport:
    made = score_by_network(store, chosen, config.by, network, name, progress)
    if made.kept:
        progress.note(f"{made.kept:,} of {made.windows:,} windows were judged before the last scoring ended too soon")
    scale = ScoreScale.PROBABILITY.value
    return ScoreReport(made.name, scale, made.edges, made.new, {}, made.seconds, made.device)


def _by_table(
    store: DuckDBStore,
    chosen: DetectionSet,
    config: ScoreConfig,
    name: str | None,
    columns: Mapping[str, str] | None,
    progress: Progress,
) -> ScoreReport:
    started = time.perf_counter()
    path = Path(config.by)
    name = free_score_name(store, chosen, name, _stem(path))
    progress.start("reading")
    detections = store.detections(chosen)
    own = read_own_scores(path, detections, scale=config.scale, columns=columns)
    for note in own.notes:
        progress.note(note)
    with store.running("score", name, {**asdict(config), "columns": dict(columns or {})}, chosen=chosen) as run:
        progress.start("saving")
        before = store.count_candidates(chosen)
        found = {**own.found, "scale": own.scores.scale.value, "estimates": own.scores.estimates}
        store.add_scored_pairs(run, chosen, detections, own.edges, own.scores.value, found)
        after = store.count_candidates(chosen)
    if after > before:
        progress.note(f"{after - before:,} pairs of {path.name} were no candidates and are now")
    if after > len(own.edges):
        progress.note(without_score(after - len(own.edges), after, name))
    log.info("scored: %d pairs by %s", len(own.edges), path)
    return ScoreReport(name, own.scores.scale.value, len(own.edges), after - before, {}, time.perf_counter() - started)


def _lacks_candidates(store: DuckDBStore, run: RunInfo, chosen: DetectionSet) -> bool:
    """Tell whether the graph has grown since a scoring."""
    with store.looking():
        return store.count_scores(run) < store.count_candidates(chosen)


def _stem(path: Path) -> str:
    """Return the name of a table without its ending."""
    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    suffix = next((s for s in SUFFIXES if name.lower().endswith(s)), "")
    return name[: len(name) - len(suffix)] or path.name


def ready_scores(
    store: DuckDBStore,
    chosen: DetectionSet,
    name: str | None,
    config: ScoreConfig,
    progress: Progress,
    network: NetworkConfig | None = None,
) -> RunInfo:
    """Return the score run of that name, or the newest one of the configured scorer; make scores where there are none.

    Scores that a scorer of ours made before the graph grew are made again under a new name, and so are those of a table
    that has changed. Scores that the user named are taken as they are.
    """
    there = done(store, chosen, "score")
    if name is not None:
        named = named_scores(store, chosen, name)
        for note in (hardly_taught_of(named), scored_since(named, there)):
            if note:
                progress.note(note)
        return named
    made = [run for run in there if run.params.get("by") == config.by]
    newest = made[-1] if made else None
    passed_over = [run.name for run in there[there.index(newest) + 1 if newest else 0 :]]
    if passed_over:
        progress.note(f"not solving by the newer {', '.join(passed_over)}: --scores NAME takes those")
    if newest is None:
        progress.note(f"no scores by {config.by} yet: scoring")
    elif "sha256" in newest.params:
        if not Path(config.by).is_file():
            progress.note(f"{config.by} is gone: solving by {newest.name} that came from it")
            return newest
        if newest.params["sha256"] == digest_of(Path(config.by)):
            return newest
        progress.note(f"{config.by} has changed since {newest.name}: scoring again")
    elif "model" in newest.params:
        return newest
    elif _lacks_candidates(store, newest, chosen):
        progress.note(f"{newest.name} does not know all candidates: scoring again")
    else:
        return newest
    report = score(store, chosen, config, network=network, progress=progress)
    return named_scores(store, chosen, report.scores)
