"""`trackdb simulate` and `trackdb demo`: a movie with known truth, and the way from there to a queried lineage."""

from pathlib import Path
from typing import Annotated

import typer

from .view import Face, as_table, command, plural


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    for function in (simulate, demo):
        command(app)(function)


def simulate(
    face: Face,
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder to make.")],
    frames: Annotated[int, typer.Option(min=1, help="Frames.")] = 30,
    cells: Annotated[int, typer.Option(min=1, help="Cells in the first frame.")] = 40,
    division_rate: Annotated[float, typer.Option(help="Chance of a grown cell to divide, a frame.")] = 0.02,
    missed: Annotated[float, typer.Option(help="Share of cells that the segmentation misses.")] = 0.02,
    false: Annotated[float, typer.Option(help="False detections for each true one.")] = 0.02,
    seed: Annotated[int, typer.Option(help="The same seed gives the same movie.")] = 0,
    images: Annotated[bool, typer.Option("--images/--no-images", help="Draw images too.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, write nothing.")] = False,
) -> None:
    """Draw a movie of dividing cells with known truth, in CTC layout.

    Example: trackdb simulate -o movie --frames 50 --cells 100 --missed 0.05 --seed 1
    """
    from ..engine.simulation import Simulation, write_simulated

    settings = Simulation(
        frames=frames, cells=cells, division_rate=division_rate, missed=missed, false=false, seed=seed
    )
    payload = {"path": str(out), "frames": frames, "seed": seed, "shape": list(settings.shape)}
    if dry_run:
        face.close(f"would write {plural(frames, 'frame')} to {out}", {**payload, "tracks": None})
        return
    with face.progress() as progress:
        n_tracks = write_simulated(out, settings, images=images, progress=progress)
    face.close(
        f"{out}: {plural(frames, 'simulated frame')}, {plural(n_tracks, 'track')}, seed {seed}; "
        f"next: trackdb ingest {out}/01_SEG --truth {out}/01_GT -o {out.name}.trackdb",
        {**payload, "tracks": n_tracks},
    )


def demo(
    face: Face,
    folder: Annotated[Path, typer.Argument(help="Folder to make.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="The same seed gives the same movie.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, write nothing.")] = False,
) -> None:
    """Go the whole way once: simulate, ingest, solve, evaluate, ask.

    Example: trackdb demo /tmp/demo
    """
    from ..engine.demo import demo as walk

    if dry_run:
        face.close(f"would write a simulated movie and a store to {folder}", {"path": str(folder), "steps": []})
        return
    done = []
    with face.progress() as progress:
        for step in walk(folder, seed=seed, progress=progress):
            if not face.json:
                typer.echo(f"$ {step.command}")
                if step.answer is not None:
                    typer.echo(as_table(step.answer.rows.column_names, step.answer.rows_by_position()))
                typer.echo(f"  {step.result}\n")
            done.append({"command": step.command, "result": step.result})
    store = folder / "demo.trackdb"
    face.close(f"{store} holds it all; next: trackdb info {store}", {"path": str(store), "steps": done})
