"""`trackdb check`: what is wrong with a store, and what of it can be mended without loss."""

from typing import Annotated

import typer

from ..errors import CheckFailedError
from ..storage.plain import as_table, plural
from .options import Store
from .view import Face, command


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app)(check)


def check(
    face: Face,
    store: Store,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what can be mended without loss, say what was done, and look again.")
    ] = False,
) -> None:
    """Look for everything that could be wrong with a store.

    Every block and every pixel is read. What is found ends in exit code 5, what --repair has mended does not.

    Example: trackdb check movie.trackdb

    Example: trackdb check movie.trackdb --repair
    """
    from ..engine import check as checking
    from ..storage.duckdb_store import DuckDBStore

    opened, done = DuckDBStore(store, command=f"trackdb {face.command}"), []
    if repair:
        opened.check_version(whole=False)  # what is lost is one problem among others
        done = checking.mend(opened)
    with face.progress() as progress:
        problems = checking.check(opened, progress)
    found = [{"what": p.what, "count": p.count, "try": p.remedy, "mendable": p.mendable} for p in problems]
    mended = [{"what": m.what, "count": m.count, "done": m.done} for m in done]
    blocks = []
    if done:
        blocks.append(as_table(["mended", "times", "how"], [[m.what, m.count, m.done] for m in done]))
    if problems:
        blocks.append(as_table(["problem", "times", "try"], [[p.what, p.count, p.remedy] for p in problems]))
    line = f"{store}: {plural(len(problems), 'problem')}" + f", {plural(len(done), 'thing')} mended" * repair
    face.show("\n\n".join(blocks), line, {"ok": not problems, "problems": found, "mended": mended})
    if problems:
        raise CheckFailedError(f"{store} has {plural(len(problems), 'problem')}")
