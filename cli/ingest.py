"""`trackdb ingest`: files into a store."""

from pathlib import Path
from typing import Annotated

import typer

from ..storage.plain import plural
from .parsing import parse_channels, parse_columns, parse_frames, parse_scale
from .view import Face, command


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app)(ingest)


def ingest(
    face: Face,
    src: Annotated[
        Path, typer.Argument(help="Label masks (folder, stack, Zarr folder), CTC data set, or table of points.")
    ],
    store: Annotated[Path, typer.Option("-o", "--store", help="Store to make or to add to: NAME.trackdb.")],
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help="auto, ctc, trackmate, track_xml, geff, lineage_mapper, masks, napari, tables, biotracks, acetree, "
            "sulston, mastodon, btrack, table.",
        ),
    ] = "auto",
    sequence: Annotated[
        str | None,
        typer.Option(help="One of several: the sequence of a CTC data set or a table, the labels of an OME-Zarr."),
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(help="Intensity images, as [CHANNEL=]PATH; repeatable. All channels of PATH come, or CHANNEL."),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Ground truth: an NN_GT folder; for tables a man_track.txt alone will do.")
    ] = None,
    frames: Annotated[str | None, typer.Option(help="Frames to read, START:STOP:STEP.")] = None,
    pixel_size: Annotated[str | None, typer.Option(help="Voxel size in micrometres, [Z,]Y,X.")] = None,
    frame_interval: Annotated[float | None, typer.Option(help="Seconds from one frame to the next.")] = None,
    columns: Annotated[
        str | None, typer.Option(help="Columns of a table: t=frame,y=..,x=..,z=..,id=..,parent=..,label=..,track=..")
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(help="Column of a table to keep as a property of the cells, or all; repeatable.")
    ] = None,
    links: Annotated[Path | None, typer.Option(help="Second table: source,target ids of linked points.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the dataset.")] = None,
) -> None:
    """Bring label masks or a table of points into a store.

    Example: trackdb ingest Fluo-N2DH-SIM+ --sequence 01 -o sim.trackdb

    Example: trackdb ingest masks --images DAPI=movie.ome.zarr -o movie.trackdb

    Example: trackdb ingest points.csv --columns t=frame,y=row,x=col -o points.trackdb
    """
    from ..engine.ingest import ingest as bring_in
    from ..storage.duckdb_store import DuckDBStore
    from ..storage.formats.base import SourceOptions

    options = SourceOptions(
        sequence=sequence,
        images=parse_channels(images or []),
        truth=truth,
        links=links,
        columns=parse_columns(columns),
        frames=parse_frames(frames),
        scale_um=parse_scale(pixel_size),
        interval_s=frame_interval,
        keep=tuple(keep or ()),
    )
    with face.progress() as progress:
        report = bring_in(
            src,
            DuckDBStore(store, command="trackdb ingest"),
            name=name,
            file_format=format_,
            options=options,
            progress=progress,
        )
    tracked = "".join(f", {plural(n, 'link')} of {name}" for name, n in report.links.items())
    face.close(
        f"dataset {report.dataset}: {plural(report.frames, 'frame')}, {plural(report.detections, 'detection')}"
        f"{tracked}, {report.seconds:.1f} s",
        {
            "store": str(store),
            "dataset": report.dataset,
            "frames": report.frames,
            "detections": report.detections,
            "truth_edges": report.links.get("truth"),
            "solution": next(iter(report.links), None),
            "seconds": report.seconds,
        },
    )
