"""`trackdb import`: someone's tracking as a solution beside the others."""

from pathlib import Path
from typing import Annotated

import typer

from ..storage.plain import plural
from .options import Dataset, Detections, Store, open_set
from .tracked import Columns, Format, Frames, Links, MatchDistance, PixelSize, Sequence, tracking_options
from .view import Face, command


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app)(import_)


def import_(
    face: Face,
    store: Store,
    path: Annotated[
        Path, typer.Argument(help="Tracking of the same movie: a CTC folder, a table, any format we read.")
    ],
    name: Annotated[str | None, typer.Option(help="Name of the solution; by default that of the file.")] = None,
    format_: Format = "auto",
    sequence: Sequence = None,
    columns: Columns = None,
    links: Links = None,
    truth: Annotated[Path | None, typer.Option(help="Track file with the parents of a table's tracks.")] = None,
    frames: Frames = None,
    pixel_size: PixelSize = None,
    match_distance: MatchDistance = None,
    dataset: Dataset = None,
    detections: Detections = None,
) -> None:
    """Bring someone's tracking into a store as a solution.

    Example: trackdb import movie.trackdb 01_RES --name theirs

    Example: trackdb import movie.trackdb tracks.csv --columns t=frame,y=row,x=col,track=id
    """
    from ..engine.imports.importing import import_tracking

    options = tracking_options(sequence, columns, links, frames, pixel_size, truth)
    opened, chosen = open_set(store, dataset, detections, face.command)
    with face.progress() as progress:
        report = import_tracking(
            path,
            opened,
            chosen,
            name=name,
            file_format=format_,
            options=options,
            match_distance=match_distance,
            progress=progress,
        )
    face.close(
        f"solution {report.solution}: {plural(report.links, 'link')} of {plural(report.cells, 'cell')} over "
        f"{plural(report.detections, 'detection')} of {report.dataset}, {report.seconds:.1f} s",
        {
            "store": str(store),
            "dataset": report.dataset,
            "frames": report.frames,
            "detections": report.detections,
            "truth_edges": report.links,
            "solution": report.solution,
            "seconds": report.seconds,
            "cells": report.cells,
            "merges": report.merges,
            "dropped": report.dropped,
            "bridged": report.bridged,
            "cut": report.cut,
        },
    )
