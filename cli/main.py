"""The command line: joins the commands; each does nothing but parse, call one engine function, and show."""

from typing import Annotated

import typer

from . import (
    annotate,
    annotations,
    calibrate,
    check,
    demo,
    diff,
    doctor,
    evaluate,
    export,
    importing,
    info,
    ingest,
    models,
    plot,
    posterior,
    query,
    review,
    simulate,
    solve,
    space,
    train,
)
from .start import forgive_stderr

app = typer.Typer(
    name="trackdb",
    help="Follow cells over time: from label masks or points to a lineage you can trust and query.\n\n"
    "    trackdb ingest MOVIE -o movie.trackdb\n\n    trackdb solve movie.trackdb --ilp\n\n"
    '    trackdb sql movie.trackdb "select t, count(*) n from cells group by t order by t"',
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
ROOMS = (
    ingest,
    importing,
    solve,
    posterior,
    annotate,
    annotations,
    review,
    diff,
    query,
    evaluate,
    calibrate,
    plot,
    models,
    train,
    export,
    info,
    check,
    space,
    doctor,
    simulate,
    demo,
)
for room in ROOMS:
    room.add_commands(app)


@app.callback()
def before(
    version: Annotated[
        bool, typer.Option("--version", callback=info.show_version, is_eager=True, help="Show the version of trackdb.")
    ] = False,
) -> None:
    """Take what is said before any command."""


def run() -> None:
    """Run the command line of this process; `start.run` heeds interrupts from the first import on."""
    forgive_stderr()
    app()


if __name__ == "__main__":
    run()
