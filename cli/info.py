"""`trackdb info`, `log` and `version`: what a store holds, and what was done."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from ..storage.plain import as_table, plural
from .options import Store, open_store
from .view import Face, command


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    for function in (info, log, version):
        command(app)(function)


def info(face: Face, store: Store) -> None:
    """Show what a store holds.

    Example: trackdb info movie.trackdb
    """
    from ..engine.contents import contents_of

    held = contents_of(open_store(store, face.command))
    blocks = [
        as_table(
            ["dataset", "frames", "detections", "size", "voxel um", "interval s", "pixels", "candidates"],
            held.dataset_rows(),
        ),
    ]
    if held.solutions:
        columns = ["solution", "dataset", "linker", "links", "tracks", "divisions", "cost", "proven"]
        blocks.append(as_table(columns, held.solution_rows()))
    blocks += held.learned
    blocks += [f"scores: {', '.join(dict.fromkeys(held.scores))}"] if held.scores else []
    blocks += [f"posteriors: {', '.join(dict.fromkeys(held.posteriors))}"] if held.posteriors else []
    blocks += [f"annotations: {held.annotations:,}"] if held.annotations else []
    blocks += [f"unfinished: {text}" for text in held.unfinished]
    face.show(
        "\n\n".join(blocks),
        f"{store}: {plural(len(held.datasets), 'dataset')}, {plural(len(held.solutions), 'solution')}, "
        f"{held.bytes / 1e6:.1f} MB, schema version {held.schema_version}",
        held.as_dict(),
    )


def log(face: Face, store: Store) -> None:
    """List what was done in a store, oldest first. Each run says what was chosen and estimated.

    Example: trackdb log movie.trackdb
    """
    runs = open_store(store, face.command).runs()
    columns = ["run", "kind", "name", "state", "started", "seconds", "params"]
    chosen = [short(run.params) for run in runs]
    rows = [
        [
            run.id,
            run.kind,
            run.name,
            run.state,
            f"{run.started:%Y-%m-%d %H:%M:%S}",
            None if run.finished is None else (run.finished - run.started).total_seconds(),
            run.params,
        ]
        for run in runs
    ]
    text = as_table([*columns[:-1], "what was chosen"], [[*row[:-1], s] for row, s in zip(rows, chosen, strict=True)])
    payload = {"runs": [dict(zip(columns, row, strict=True)) for row in rows]}
    face.show(text, f"{plural(len(runs), 'run')}", payload)


def short(params: Mapping[str, Any]) -> str:
    """Return the settings and estimates of a run in one line for people; --json has all of them."""
    told = {**params, **params.get("estimates", {})}
    hidden = {"files", "frames_done", "options", "require_optimal", "time_limit_s", "scale", "left_out"}
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in told.items()
        if key not in hidden and not key.startswith("box_") and isinstance(value, str | int | float) and value != ""
    )


def version(face: Face) -> None:
    """Show the version of trackdb.

    Example: trackdb version
    """
    number = _number()
    face.close(f"trackdb {number}", {"version": number, "path": str(Path(__file__).parents[1])})


def show_version(asked: bool) -> None:
    """Show the version of trackdb and end, where that is all that was asked."""
    if asked:
        typer.echo(f"trackdb {_number()}")
        raise typer.Exit


def _number() -> str:
    from importlib.metadata import version

    return version("trackdb")
