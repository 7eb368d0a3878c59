"""`trackdb link`, `score` and `solve`: from detections to lineages."""

from dataclasses import asdict
from typing import Annotated

import typer

from ..errors import ConfigError
from .options import ConfigFile, Dataset, Detections, Store, open_set
from .parsing import parse_columns
from .view import Face, command, plural


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    for function in (link, score, solve):
        command(app)(function)


def link(
    face: Face,
    store: Store,
    max_distance: Annotated[
        float | None,
        typer.Option(help="Radius in micrometres (pixels without a voxel size); by default from the data."),
    ] = None,
    neighbors: Annotated[int | None, typer.Option(help="Nearest cells that are candidates (10).")] = None,
    max_gap: Annotated[int | None, typer.Option(help="Frames that a cell may be missing (0).")] = None,
    dataset: Dataset = None,
    detections: Detections = None,
    config: ConfigFile = None,
) -> None:
    """Find the links that each cell could take.

    Example: trackdb link movie.trackdb --max-distance 15 --max-gap 1
    """
    from ..engine.config import load_config
    from ..engine.pipeline import link as link_cells

    given = {"link": {"max_distance": max_distance, "neighbors": neighbors, "max_gap": max_gap}}
    opened, chosen = open_set(store, dataset, detections, face.command)
    settings = load_config(store, config, given)
    with face.progress() as progress:
        report = link_cells(opened, chosen, settings.link, progress)
    face.close(
        f"{plural(report.edges, 'candidate')} within {report.max_distance:.4g} {report.unit}: {report.new:,} new, "
        f"{report.total:,} in the graph, {report.seconds:.1f} s",
        {
            "edges": report.edges,
            "max_distance": report.max_distance,
            "neighbors": report.neighbors,
            "max_gap": report.max_gap,
            "seconds": report.seconds,
        },
    )


def score(
    face: Face,
    store: Store,
    by: Annotated[
        str | None, typer.Option(help="Scorer (distance, overlap), or a table of source, target, score: FILE.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the scores; by default the scorer's, or FILE's.")] = None,
    scale: Annotated[
        str | None,
        typer.Option(help="What the numbers of FILE mean: probability, log-odds, log-density, similarity (auto)."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="Columns of FILE: source=..,target=..,score=.. by cell, or "
            "source_frame=..,source_label=..,target_frame=..,target_label=..,score=.."
        ),
    ] = None,
    dataset: Dataset = None,
    detections: Detections = None,
    config: ConfigFile = None,
) -> None:
    """Score the candidates: say of each link how likely it is.

    Example: trackdb score movie.trackdb --by overlap

    Example: trackdb score movie.trackdb --by network.csv --columns score=logit --scale similarity
    """
    from ..engine.config import load_config
    from ..engine.pipeline import score as score_edges

    opened, chosen = open_set(store, dataset, detections, face.command)
    settings = load_config(store, config, {"score": {"by": by, "scale": scale}})
    with face.progress() as progress:
        report = score_edges(
            opened, chosen, settings.score, name=name, columns=parse_columns(columns), progress=progress
        )
    estimates = "".join(f", {key} {value:.4g}" for key, value in report.estimates.items())
    face.close(
        f"scores {report.scores}: {plural(report.edges, 'candidate')}{estimates}, {report.seconds:.1f} s",
        {"scores": report.scores, "edges": report.edges, "seconds": report.seconds, "device": "cpu"},
    )


def solve(
    face: Face,
    store: Store,
    ilp: Annotated[bool, typer.Option("--ilp", help="Exact optimum (the default).")] = False,
    greedy: Annotated[bool, typer.Option("--greedy", help="Best link first.")] = False,
    scores: Annotated[str | None, typer.Option(help="Scores to use; the newest by default.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the solution.")] = None,
    backend: Annotated[str | None, typer.Option(help="What solves the ILP: matching, highs.")] = None,
    require_optimal: Annotated[bool, typer.Option("--require-optimal", help="Refuse what is not proven.")] = False,
    time_limit: Annotated[float | None, typer.Option(help="Seconds for the solver.")] = None,
    dataset: Dataset = None,
    detections: Detections = None,
    config: ConfigFile = None,
) -> None:
    """Choose the links and label the lineages; links and scores what is missing.

    Example: trackdb solve movie.trackdb --ilp
    """
    from ..engine.config import load_config
    from ..engine.pipeline import solve as solve_links

    if ilp and greedy:
        raise ConfigError("--ilp and --greedy exclude each other", **{"try": "one of them"})
    if greedy and (backend is not None or time_limit is not None):
        raise ConfigError("--backend and --time-limit are for the ILP", **{"try": "without --greedy"})
    given = {
        "linker": "greedy" if greedy else "ilp" if ilp else None,
        "backend": backend,
        "require_optimal": require_optimal or None,
        "time_limit_s": time_limit,
    }
    opened, chosen = open_set(store, dataset, detections, face.command)
    settings = load_config(store, config, {"solve": given})
    with face.progress() as progress:
        report = solve_links(opened, chosen, settings, scores=scores, name=name, progress=progress)
    proof = "proven optimal" if report.proven else "not proven"
    face.close(
        f"solution {report.solution}: {plural(report.links, 'link')}, {plural(report.tracks, 'track')}, "
        f"{plural(report.divisions, 'division')}, {proof}, {report.seconds:.1f} s",
        {**asdict(report), "pins": 0},
    )
