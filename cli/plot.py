"""`trackdb plot`: lineage trees, overlays, and figures of how far the probabilities of a posterior can be trusted."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError
from ..storage.plain import plural
from .options import Dataset, Solution, Store, open_solution, open_store
from .parsing import parse_cell
from .view import Face, command

OWN = {
    "--against": ("reliability", "rejection"),
    "--posterior": ("reliability", "rejection"),
    "--cell": ("tree",),
    "--lineages": ("tree",),
    "--frame": ("overlay",),
    "--tail": ("overlay",),
    "--channel": ("overlay",),
}
"""Plots that an option is for."""


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app)(plot)


def plot(
    face: Face,
    what: Annotated[str, typer.Argument(metavar="WHAT", help="tree, overlay, reliability or rejection.")],
    store: Store,
    out: Annotated[Path, typer.Option("-o", "--out", help="File to make, .svg or .png; it must not be there.")],
    cell: Annotated[
        str | None, typer.Option(help="tree: the lineage of this cell: its number, or FRAME:LABEL.")
    ] = None,
    lineages: Annotated[int | None, typer.Option(min=1, help="tree: so many lineages, the largest (12).")] = None,
    frame: Annotated[int | None, typer.Option(help="overlay: the frame; by default the middle one.")] = None,
    tail: Annotated[int | None, typer.Option(min=0, help="overlay: frames back that ways are drawn (8).")] = None,
    channel: Annotated[str | None, typer.Option(help="overlay: the image; by default the first.")] = None,
    against: Annotated[
        str | None, typer.Option(help="reliability, rejection: solution or file with the truth (truth).")
    ] = None,
    posterior: Annotated[
        str | None, typer.Option(help="reliability, rejection: posterior; the newest by default.")
    ] = None,
    dataset: Dataset = None,
    solution: Solution = None,
) -> None:
    """Draw lineages, a tracked frame, or how far confidences hold. Also what rejecting the least sure gains.

    Example: trackdb plot tree movie.trackdb -o tree.svg --cell 17

    Example: trackdb plot overlay movie.trackdb -o overlay.png --frame 20

    Example: trackdb plot reliability movie.trackdb -o reliability.svg
    """
    from ..engine.plots.drawing import require_plottable

    require_plottable(what, out)
    given = {
        "--against": against,
        "--posterior": posterior,
        "--cell": cell,
        "--lineages": lineages,
        "--frame": frame,
        "--tail": tail,
        "--channel": channel,
    }
    for option, value in given.items():
        if value is not None and what not in OWN[option]:
            raise ConfigError(f"{option} is not for plot {what}", **{"for": ", ".join(OWN[option])})
    if what == "tree":
        _tree(face, store, out, cell, lineages, dataset, solution)
    elif what == "overlay":
        _overlay(face, store, out, frame, tail, channel, dataset, solution)
    else:
        _calibration(face, what, store, out, against or "truth", posterior, dataset, solution)


def _tree(
    face: Face,
    store: Path,
    out: Path,
    cell: str | None,
    lineages: int | None,
    dataset: str | None,
    solution: str | None,
) -> None:
    from ..engine.exports.tracking import tracking_of
    from ..engine.plots.tree import LINEAGES, plot_tree
    from ..storage.families import number_of

    named = None if cell is None else parse_cell(cell)  # before a store is opened for it
    opened, chosen, info = open_solution(store, dataset, solution, face.command)
    number = None if named is None else number_of(opened, chosen, named)
    drawn = plot_tree(tracking_of(opened, chosen, info), out, cell=number, lineages=lineages or LINEAGES)
    face.close(
        f"{out}: {drawn.lineages:,} of {plural(drawn.of_lineages, 'lineage')} of {info.name}, "
        f"{plural(drawn.tracks, 'track')}, {drawn.doubtful:,} of {plural(drawn.links, 'link')} doubtful, "
        f"{drawn.pinned:,} pinned",
        {
            "plot": "tree",
            "path": str(out),
            "lineages": drawn.lineages,
            "of_lineages": drawn.of_lineages,
            "tracks": drawn.tracks,
            "links": drawn.links,
            "pinned": drawn.pinned,
            "doubtful": drawn.doubtful,
        },
    )


def _overlay(
    face: Face,
    store: Path,
    out: Path,
    frame: int | None,
    tail: int | None,
    channel: str | None,
    dataset: str | None,
    solution: str | None,
) -> None:
    from ..engine.exports.tracking import tracking_of
    from ..engine.pixels import pixels_of
    from ..engine.plots.overlay import TAIL, plot_overlay

    opened, chosen, info = open_solution(store, dataset, solution, face.command)
    tracking = tracking_of(opened, chosen, info)
    drawn = plot_overlay(
        tracking,
        pixels_of(opened, chosen),
        out,
        frame=frame,
        tail=TAIL if tail is None else tail,
        channel=channel,
    )
    below = f"image {drawn.channel}" if drawn.channel else "no image"
    face.close(
        f"{out}: frame {drawn.frame}, {plural(drawn.cells, 'cell')} of {info.name}, {below}, "
        f"{drawn.doubtful:,} of {plural(drawn.links, 'link')} doubtful",
        {
            "plot": "overlay",
            "path": str(out),
            "frame": drawn.frame,
            "cells": drawn.cells,
            "links": drawn.links,
            "doubtful": drawn.doubtful,
            "channel": drawn.channel,
            "outlined": drawn.outlined,
        },
    )


def _calibration(
    face: Face,
    what: str,
    store: Path,
    out: Path,
    against: str,
    posterior: str | None,
    dataset: str | None,
    solution: str | None,
) -> None:
    from ..engine.evaluate import judge_posterior
    from ..engine.plots.calibration import plot_calibration

    opened = open_store(store, face.command)
    with face.progress() as progress:
        judged = judge_posterior(
            opened, dataset, solution=solution, posterior=posterior, against=against, progress=progress
        )
        plot_calibration(what, judged, out)
    report = judged.report()
    face.close(
        f"{out}: posterior {report.posterior.name}, {report.with_new.daughters:,} daughters, "
        f"ECE {report.with_new.ece:.4f}, AURC {report.with_new.aurc_entropy:.4f}",
        {"plot": what, "path": str(out), **report.as_dict()},
    )
