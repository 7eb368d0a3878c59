"""`trackdb demo`: the way from nothing to a queried lineage."""

from pathlib import Path
from typing import Annotated

import typer

from ..storage.plain import as_table
from .view import Face, command


def add_commands(app: typer.Typer) -> None:
    """Add this file's command."""
    command(app)(demo)


def demo(
    face: Face,
    folder: Annotated[Path, typer.Argument(help="Folder to make.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="The same seed gives the same movie.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be written, write nothing.")] = False,
) -> None:
    """Go the whole way once, from a simulated movie to an answer. Each step is shown as its command.

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
