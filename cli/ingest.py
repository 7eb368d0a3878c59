"""`trackdb ingest`: files into a store."""

import re
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError
from .view import Face, command, plural


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


def parse_channels(texts: list[str]) -> dict[str, Path]:
    """Return ``[CHANNEL=]PATH`` texts as a mapping; channels have plain names, each once."""
    channels: dict[str, Path] = {}
    for channel, folder in map(parse_channel, texts):
        if not re.fullmatch(r"[\w.-]{1,64}", channel) or channel in channels:
            raise ConfigError(
                f"--images: channel {channel!r} is named twice or badly", expected="letters, digits, dots and dashes"
            )
        channels[channel] = folder
    return channels


def parse_channel(text: str) -> tuple[str, Path]:
    """Return ``CHANNEL=PATH`` as its two parts; a bare path is channel ``image``."""
    channel, sep, folder = text.partition("=")
    return (channel, Path(folder)) if sep else ("image", Path(text))


def parse_columns(text: str | None) -> dict[str, str]:
    """Return ``t=frame,y=row`` as a mapping of our names to the table's."""
    columns = {}
    for part in (text or "").split(",") if text else ():
        ours, sep, theirs = part.partition("=")
        if not sep or not ours or not theirs:
            raise ConfigError(f"--columns: cannot read {part!r}", expected="t=frame,y=row,x=col")
        columns[ours.strip()] = theirs.strip()
    return columns


def parse_frames(text: str | None) -> slice:
    """Return ``START:STOP:STEP`` as a slice."""
    if text is None:
        return slice(None)
    if not re.fullmatch(r"\d*:\d*(:\d*)?", text):
        raise ConfigError(f"--frames: cannot read {text!r}", expected="START:STOP:STEP, for example 0:100:5")
    start, stop, step = ([int(p) if p else None for p in text.split(":")] + [None])[:3]
    if step == 0:
        raise ConfigError("--frames: a step of 0 goes nowhere", expected="1 or more")
    return slice(start, stop, step)


def parse_scale(text: str | None) -> tuple[float, ...] | None:
    """Return ``[Z,]Y,X`` as numbers."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--pixel-size: cannot read {text!r}", expected="[Z,]Y,X in micrometres") from None
