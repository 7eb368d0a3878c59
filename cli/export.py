"""`trackdb export`: a solution as files that other tools read."""

from pathlib import Path
from typing import Annotated

import typer

from ..storage.plain import plural
from .options import Dataset, Solution, Store, open_solution
from .view import Face, command


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app)(export)


def export(
    face: Face,
    format_: Annotated[
        str, typer.Argument(metavar="FORMAT", help="ctc, geff, trackmate, napari, csv, parquet or graphml.")
    ],
    store: Store,
    out: Annotated[Path, typer.Option("-o", "--out", help="File or folder to make; it must not be there.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, write nothing.")] = False,
    masks: Annotated[bool, typer.Option("--masks", help="geff: write the label masks beside the graph.")] = False,
    dataset: Dataset = None,
    solution: Solution = None,
) -> None:
    """Write a solution for other tools. Notes say what the format cannot hold.

    ctc is a folder of masks, geff a Zarr folder, trackmate and graphml are files, napari is a folder with tracks.csv
    and graph.json; csv and parquet are one table where OUT ends in .csv or .parquet, else a folder of tables.

    Example: trackdb export ctc movie.trackdb -o 01_RES
    """
    from ..engine import exports

    exports.require_format(format_)
    opened, chosen, info = open_solution(store, dataset, solution, face.command)
    with face.progress() as progress:
        report = exports.export(format_, opened, chosen, info, out, dry_run=dry_run, masks=masks, progress=progress)
    done = "would write" if dry_run else f"{plural(report.files, 'file')} in"
    face.close(
        f"solution {info.name}: {done} {out}: {plural(report.tracks, 'track')}, {plural(report.links, 'link')}, "
        f"{report.seconds:.1f} s",
        {
            "format": report.format,
            "path": report.path,
            "files": report.files,
            "links": report.links,
            "tracks": report.tracks,
            "notes": report.notes,
        },
    )
