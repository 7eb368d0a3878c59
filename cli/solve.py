"""`trackdb link`, `score` and `solve`: from detections to lineages."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from ..storage.plain import plural
from .options import ConfigFile, Dataset, Detections, Store, open_set
from .parsing import parse_columns
from .view import Face, command

if TYPE_CHECKING:
    from ..engine.config import SolveConfig
    from ..engine.reports import SolveReport


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
        str | None,
        typer.Option(
            help="Scorer (distance, overlap, activity), a table of source, target, score: FILE, or a model: FOLDER."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the scores; by default that of what scores.")] = None,
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
    device: Annotated[
        str | None, typer.Option(help="What a model computes on: cpu, cuda (auto: CUDA where there is one).")
    ] = None,
    channel: Annotated[
        str | None, typer.Option(help="Images that tell a model how bright cells are; the first by default.")
    ] = None,
    window_mean: Annotated[
        str | None,
        typer.Option(help="Windows of a model that count: above_threshold (the default), all."),
    ] = None,
    max_gap: Annotated[int | None, typer.Option(help="Frames that links of a model may leap over (1).")] = None,
    embeddings: Annotated[bool | None, typer.Option("--embeddings", help="Keep what a model makes of cells.")] = None,
    dataset: Dataset = None,
    detections: Detections = None,
    config: ConfigFile = None,
) -> None:
    """Score the candidates: say of each link how likely it is.

    Example: trackdb score movie.trackdb --by overlap

    Example: trackdb score movie.trackdb --by network.csv --columns score=logit --scale similarity

    Example: trackdb score movie.trackdb --by models/general_2d --device cuda
    """
    from ..engine.config import load_config
    from ..engine.pipeline import score as score_edges

    given: dict[str, dict[str, object]] = {
        "score": {"by": by, "scale": scale},
        "network": {
            "device": device,
            "channel": channel,
            "window_mean": window_mean,
            "max_gap": max_gap,
            "embeddings": embeddings,
        },
    }
    opened, chosen = open_set(store, dataset, detections, face.command)
    settings = load_config(store, config, given)
    with face.progress() as progress:
        report = score_edges(
            opened,
            chosen,
            settings.score,
            network=settings.network,
            name=name,
            columns=parse_columns(columns),
            progress=progress,
        )
    estimates = "".join(f", {key} {value:.4g}" for key, value in report.estimates.items())
    face.close(
        f"scores {report.scores}: {plural(report.edges, 'candidate')}{estimates}, {report.seconds:.1f} s",
        {"scores": report.scores, "edges": report.edges, "seconds": report.seconds, "device": report.device},
    )


def solve(
    face: Face,
    store: Store,
    ilp: Annotated[bool, typer.Option("--ilp", help="Exact optimum (the default).")] = False,
    lap: Annotated[bool, typer.Option("--lap", help="Frame to frame, then gaps, divisions, merges.")] = False,
    greedy: Annotated[bool, typer.Option("--greedy", help="Best link first.")] = False,
    linker: Annotated[str | None, typer.Option(help="A solver that an installed package offers, by its name.")] = None,
    by: Annotated[
        str | None,
        typer.Option(
            help="What to go by: cost; --lap: distance (squared; the default without --scores) or cost; "
            "--greedy: cost (the default), score (at least --min-score), or activity (of masks with images: the least "
            "active cell first, as Ruzaeva et al.)."
        ),
    ] = None,
    cost: Annotated[
        str | None,
        typer.Option(
            help="--ilp: learned (drift, daughters, gaps, false detections; the default), density (the plain one, of "
            "distance or --scores), two-distance (Attrackt; --config), or association (Trackastra, of --scores that "
            "are probabilities; --preset)."
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="--cost association: its numbers, gt (the default), rare-divisions, rare-beginnings, res-tuned."
        ),
    ] = None,
    simple: Annotated[
        bool, typer.Option("--simple", help="--ilp: the plain cost of distance, as --cost density.")
    ] = False,
    without: Annotated[
        str | None,
        typer.Option(
            help="What the learned cost shall not look at, as drift,velocity; of drift, velocity, divisions, pairs, "
            "gaps, optional, skip_divisions, hazard, areas, intensity, outlines ([learned])."
        ),
    ] = None,
    learn_from: Annotated[
        str | None,
        typer.Option(
            help="Lineage that the learned cost learns from, in the place of the cells alone: NAME, a solution of this "
            "movie, or NAME@OTHER.trackdb, one of a movie of the same kind, as truth@OTHER.trackdb."
        ),
    ] = None,
    min_score: Annotated[float | None, typer.Option(help="--greedy --by score: least score of a link (0.5).")] = None,
    scores: Annotated[str | None, typer.Option(help="Scores to use; those of [score] by default (distance).")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the solution.")] = None,
    max_gap: Annotated[
        int | None, typer.Option(help="--lap: frames that a cell may be missing; by default those of the candidates.")
    ] = None,
    divisions: Annotated[
        bool | None, typer.Option("--divisions/--no-divisions", help="--lap: whether cells divide (they do).")
    ] = None,
    merges: Annotated[
        bool | None, typer.Option("--merges/--no-merges", help="--lap: whether cells merge (they do not).")
    ] = None,
    max_distance: Annotated[
        float | None, typer.Option(help="--lap: longest link and gap; by default that of the candidates.")
    ] = None,
    split_distance: Annotated[float | None, typer.Option(help="--lap: the same for second daughters.")] = None,
    merge_distance: Annotated[float | None, typer.Option(help="--lap: the same for second mothers.")] = None,
    percentile: Annotated[
        float | None, typer.Option(help="--lap: what joins segments is weighed against this percentile (90).")
    ] = None,
    factor: Annotated[float | None, typer.Option(help="--lap: times this factor (1.05).")] = None,
    backend: Annotated[str | None, typer.Option(help="What solves the ILP: matching, highs, motile.")] = None,
    require_optimal: Annotated[bool, typer.Option("--require-optimal", help="Refuse what is not proven.")] = False,
    time_limit: Annotated[
        float | None, typer.Option(help="Seconds for the solver; 0, the default, is no limit.")
    ] = None,
    window: Annotated[
        int | None, typer.Option(help="--ilp: frames to solve at a time, for movies that memory does not hold.")
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="File of trackdb calibrate --costs, whose costs are taken.")
    ] = None,
    ignore_pins: Annotated[bool, typer.Option("--ignore-pins", help="As if there were no annotations.")] = False,
    dataset: Dataset = None,
    detections: Detections = None,
    config: ConfigFile = None,
) -> None:
    """Choose the links and label the lineages. What is missing is linked and scored.

    Example: trackdb solve movie.trackdb

    Example: trackdb solve movie.trackdb --lap --max-gap 2 --split-distance 12

    Example: trackdb solve movie.trackdb --greedy --by score --scores network

    Example: trackdb solve movie.trackdb --greedy --by activity

    Example: trackdb solve movie.trackdb --window 50

    Example: trackdb solve movie.trackdb --calibration cal.toml

    Example: trackdb solve movie.trackdb --simple

    Example: trackdb solve movie.trackdb --without drift,velocity

    Example: trackdb solve movie.trackdb --learn-from truth@proofread.trackdb

    Example: trackdb solve movie.trackdb --scores general_2d --cost association --preset rare-divisions

    Example: trackdb solve movie.trackdb --cost two-distance --scores overlap --config weights.toml
    """
    from ..engine.config import load_config
    from ..engine.pipeline import solve as solve_links

    given: dict[str, dict[str, object]] = {
        "solve": {
            "linker": _only_one({"ilp": ilp, "lap": lap, "greedy": greedy}, linker),
            "cost": _cost_of(cost, simple=simple, without=without is not None, taught=learn_from is not None),
            "by": by,
            "min_score": min_score,
            "backend": backend,
            "require_optimal": require_optimal or None,
            "time_limit_s": time_limit,
            "window": window,
            "calibration": calibration and str(calibration),
            "learn_from": learn_from,
        },
        "lap": {
            "max_gap": max_gap,
            "divisions": divisions,
            "merges": merges,
            "max_distance": max_distance,
            "split_distance": split_distance,
            "merge_distance": merge_distance,
            "percentile": percentile,
            "factor": factor,
        },
        "learned": _left_out(without),
        "association": {"preset": preset},
    }
    opened, chosen = open_set(store, dataset, detections, face.command)
    settings = load_config(store, config, given)
    _refuse_of_others(settings.solve, given)
    with face.progress() as progress:
        report = solve_links(
            opened, chosen, settings, scores=scores, name=name, ignore_pins=ignore_pins, progress=progress
        )
    face.close(_told(report), asdict(report))


def _told(report: "SolveReport") -> str:
    """Return the closing line of a solve."""
    proof = "proven optimal" if report.proven else "not proven"
    merged = f"{plural(report.merges, 'link')} into merges, " if report.merges else ""
    pinned = f"{plural(report.pins, 'annotation')} kept, " if report.pins else ""
    return (
        f"solution {report.solution}: {plural(report.links, 'link')}, {plural(report.tracks, 'track')}, "
        f"{plural(report.divisions, 'division')}, {merged}{pinned}{proof}, {report.seconds:.1f} s"
    )


def _left_out(without: str | None) -> dict[str, object]:
    """Return the settings of the learned cost that does not look at what is named."""
    from ..engine.evidence import without as leave_out

    return {} if without is None else {**leave_out(without.split(","))}


def _refuse_of_others(settings: "SolveConfig", given: Mapping[str, Mapping[str, object]]) -> None:
    """Raise ConfigError if options are given that mean nothing to what links."""
    linker, own = settings.linker, given["solve"]
    _refuse(linker, "lap", given["lap"])
    if own["min_score"] is not None and settings.by != "score":
        raise ConfigError("--min-score is for --by score", **{"try": "--greedy --by score"})
    of_ilp = {"backend": own["backend"]}
    if linker in ("lap", "greedy"):  # a solver of somebody else may well have a time limit
        of_ilp["time_limit"] = own["time_limit_s"]
    _refuse(linker, "ilp", of_ilp)
    if given["association"]["preset"] is not None and settings.cost != "association":
        raise ConfigError("--preset is for --cost association", **{"try": "--cost association"})


def _only_one(flags: dict[str, bool], named: str | None) -> str | None:
    """Return the linker that was asked for, None for the default."""
    asked = {f"--{name}": name for name, is_set in flags.items() if is_set}
    if named is not None:
        asked["--linker"] = named
    if len(asked) > 1:
        raise ConfigError(f"{' and '.join(asked)} exclude each other", **{"try": "one of them"})
    return next(iter(asked.values()), None)


def _cost_of(named: str | None, *, simple: bool, without: bool, taught: bool) -> str | None:
    """Return the cost that was asked for, None for the default; the learned one alone is taught and leaves out."""
    asked = {
        "--cost": named,
        "--simple": "density" if simple else None,
        "--without": "learned" if without else None,
        "--learn-from": "learned" if taught else None,
    }
    given = {option: cost for option, cost in asked.items() if cost is not None}
    if len(set(given.values())) > 1:
        told = " and ".join(f"{option} {cost}" if option == "--cost" else option for option, cost in given.items())
        raise ConfigError(f"{told} are different costs", **{"try": "one of them"})
    return next(iter(given.values()), None)


def _refuse(linker: str, owner: str, options: Mapping[str, object]) -> None:
    """Raise ConfigError if an option of one linker is given while another links."""
    given = [name for name, value in options.items() if value is not None]
    if linker != owner and given:
        instead = "trackdb link STORE --max-gap N, then solve" if given[0] == "max_gap" else "without it"
        raise ConfigError(f"--{given[0].replace('_', '-')} is for --{owner}, not for {linker}", **{"try": instead})
