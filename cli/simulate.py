"""`trackdb simulate`: a movie of cells with known truth, of cells that live as asked or on a real lineage."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError
from ..storage.plain import plural
from .parsing import parse_columns, parse_scale, parse_shape
from .view import Face, command

if TYPE_CHECKING:
    from ..engine.progress import Progress
    from ..engine.simulation import SimulatedMovie, SimulationReport


def add_commands(app: typer.Typer) -> None:
    """Add this file's command."""
    command(app)(simulate)


def simulate(
    face: Face,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to make.")],
    frames: Annotated[int | None, typer.Option(min=1, help="Frames (30); with --on as many from its first on.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed and settings give the same movie.")] = 0,
    cells: Annotated[int | None, typer.Option(min=1, help="Cells in the first frame (40).")] = None,
    volume: Annotated[bool, typer.Option("--3d", help="Volumes instead of flat frames.")] = False,
    shape: Annotated[
        str | None,
        typer.Option(help="Pixels of a frame, [Z,]Y,X (as large as the cells need)."),
    ] = None,
    density: Annotated[
        float | None,
        typer.Option(help="Share of the first frame that cells fill (0.15; 3D 0.08); 1: no gap."),
    ] = None,
    radius: Annotated[
        float | None,
        typer.Option(help="Radius of a full-grown cell, pixels (9; with --on from its neighbours)."),
    ] = None,
    division_rate: Annotated[
        float | None, typer.Option(help="Chance of a grown cell to divide, a frame (0.02).")
    ] = None,
    death_rate: Annotated[float | None, typer.Option(help="Chance of a cell to die, a frame (0.002).")] = None,
    motion: Annotated[
        float | None,
        typer.Option(help="Median step, in distances of nearest neighbours (0.06)."),
    ] = None,
    persistence: Annotated[float | None, typer.Option(help="Correlation of a step with the last one (0.6).")] = None,
    drift: Annotated[
        float | None,
        typer.Option(help="Step of all cells together, in the unit of --motion (0)."),
    ] = None,
    open_borders: Annotated[
        bool | None,
        typer.Option("--open/--closed", help="Cells come and go at the borders (they do)."),
    ] = None,
    missed: Annotated[float | None, typer.Option(help="Share of cells that are missed (0.02).")] = None,
    false: Annotated[float | None, typer.Option(help="False detections for each true one (0.02).")] = None,
    merged: Annotated[
        float | None,
        typer.Option(help="Merges of two neighbours into one label, for each cell (0)."),
    ] = None,
    split: Annotated[float | None, typer.Option(help="Share of cells that become two labels (0).")] = None,
    ragged: Annotated[float | None, typer.Option(help="How far outlines stray, pixels (0.5).")] = None,
    images: Annotated[bool, typer.Option("--images/--no-images", help="Draw images too.")] = True,
    modality: Annotated[str | None, typer.Option(help="nuclei (fluorescent) or phase (contrast).")] = None,
    condition: Annotated[
        str | None,
        typer.Option(help="a, or b: the same cells dimmer, blurred, noisy, on uneven ground."),
    ] = None,
    pixel_size: Annotated[str | None, typer.Option(help="Voxel size in micrometres, [Z,]Y,X.")] = None,
    frame_interval: Annotated[float | None, typer.Option(help="Seconds from one frame to the next.")] = None,
    on: Annotated[
        Path | None,
        typer.Option(help="Draw on the lineage of this file or folder, of any format that ingest reads."),
    ] = None,
    format_: Annotated[str | None, typer.Option("--format", help="Its format (auto).")] = None,
    columns: Annotated[str | None, typer.Option(help="Columns of its table, as in ingest.")] = None,
    links: Annotated[Path | None, typer.Option(help="Its second table: source,target ids.")] = None,
    truth: Annotated[Path | None, typer.Option(help="Its truth, where that is elsewhere.")] = None,
    zoom: Annotated[float | None, typer.Option(help="Pixels to draw for each of its pixels (1).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, write nothing.")] = False,
) -> None:
    """Draw a movie of cells with known truth, in CTC layout. It has images, masks with errors, and the whole truth.

    Example: trackdb simulate -o movie --frames 50 --cells 100 --motion 0.4 --missed 0.05 --seed 1

    Example: trackdb simulate -o phase --modality phase --density 0.6 --condition b

    Example: trackdb simulate -o embryo --on spots.csv --links links.csv --zoom 0.25
    """
    from ..engine.simulation import write_movie

    drawing = _given(
        seed=seed,
        missed=missed,
        false=false,
        merged=merged,
        split=split,
        ragged_px=ragged,
        modality=modality,
        condition=condition,
    )
    life = _given(
        cells=cells,
        ndim=3 if volume else None,
        shape_px=parse_shape(shape),
        density=density,
        division_rate=division_rate,
        death_rate=death_rate,
        motion=motion,
        persistence=persistence,
        drift=drift,
        open_borders=open_borders,
    )
    source = _given(columns=columns, links=links, truth=truth)
    layout = _given(frames=frames, radius_px=radius)
    on_grid = _given(file_format=format_, zoom=zoom)
    scale = _given(scale_um=parse_scale(pixel_size), interval_s=frame_interval)
    with face.progress() as progress:
        if on is None:
            _refuse({**source, **on_grid}, "without --on there is no lineage to read")
            movie = _living({**drawing, **life, **layout, **scale})
        else:
            _refuse(life, "--on tells what the cells do")
            movie = _known(on, {**source, **scale}, {**layout, **on_grid}, drawing, progress)
        report = None if dry_run else write_movie(out, movie, images=images, progress=progress)
    _close(face, out, movie, seed, report, images=images)


def _close(
    face: Face, out: Path, movie: "SimulatedMovie", seed: int, report: "SimulationReport | None", *, images: bool
) -> None:
    """Say what was written, or what would be, and what comes next."""
    counts = ("tracks", "cells", "divisions", "errors")
    planned = {"path": str(out), "frames": movie.cast.n_frames, "seed": seed, "shape": list(movie.shape)}
    if report is None:
        face.close(f"would write {plural(movie.cast.n_frames, 'frame')} to {out}", {**planned, **dict.fromkeys(counts)})
        return
    drawn = f" --images {out}/01" if images else ""
    face.close(
        f"{out}: {plural(report.frames, 'simulated frame')} of {' x '.join(map(str, movie.shape))}, "
        f"{plural(report.tracks, 'track')}, {plural(report.divisions, 'division')}, seed {seed}; "
        f"next: trackdb ingest {out}/01_SEG --truth {out}/01_GT{drawn} -o {out.name}.trackdb",
        {**planned, **{name: getattr(report, name) for name in counts}},
    )


def _living(settings: dict[str, Any]) -> "SimulatedMovie":
    """Return a movie of cells that live as the options say."""
    from ..engine.simulation import Simulation
    from ..engine.simulation import simulate as living

    return living(Simulation(**settings))


def _known(
    path: Path, source: dict[str, Any], layout: dict[str, Any], drawing: dict[str, Any], progress: "Progress"
) -> "SimulatedMovie":
    """Return a movie of the cells of a real lineage."""
    from ..engine.simulation import Drawing, Known, simulate_on
    from ..storage.formats.base import SourceOptions

    options = SourceOptions(**{**source, "columns": parse_columns(source.get("columns"))})
    return simulate_on(Known(path, options, **layout), Drawing(**drawing), progress=progress)


def _given(**options: Any) -> dict[str, Any]:
    """Return the options that the user gave; what is not given is the engine's to choose."""
    return {name: value for name, value in options.items() if value is not None}


def _refuse(options: dict[str, Any], why: str) -> None:
    """Raise ConfigError if one of these options is given."""
    names = {"ndim": "3d", "shape_px": "shape", "file_format": "format"}
    if options:
        name = next(iter(options))
        raise ConfigError(f"--{names.get(name, name).replace('_', '-')} has no meaning here: {why}")
