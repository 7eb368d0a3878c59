"""`trackdb review`: answer questions about a solution in the browser, most useful first."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError, MissingRowsError
from ..storage.plain import plural, printable
from .options import ConfigFile, Dataset, Solution, Store, open_store
from .view import Face, command

if TYPE_CHECKING:
    from ..engine.config import Config
    from ..engine.review.session import ReviewSession
    from ..storage.duckdb_store import DuckDBStore

PORT = 8765


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app)(review)


def review(
    face: Face,
    store: Store,
    as_: Annotated[str | None, typer.Option("--as", help="Who answers; by default the user's name.")] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where the page is served on this machine; 0: any that is free.")
    ] = PORT,
    host: Annotated[
        str, typer.Option(help="An address of this machine that no other reaches: 127.0.0.1, localhost or ::1.")
    ] = "127.0.0.1",
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address, open no browser.")] = False,
    audit: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of questions drawn at random and asked blind.")
    ] = 0.1,
    limit: Annotated[int | None, typer.Option(min=1, help="Answers after which nothing more is asked.")] = None,
    posterior: Annotated[str | None, typer.Option(help="Posterior that is reviewed; the newest by default.")] = None,
    solution: Solution = None,
    dataset: Dataset = None,
    config: ConfigFile = None,
) -> None:
    """Answer questions about a solution in the browser. One key each; answers are kept at once, and kept by solves.

    It serves this machine alone and ends with Ctrl-C. Meanwhile the store can be queried and solved.

    Example: trackdb review movie.trackdb --as ana

    Example: trackdb review movie.trackdb --no-browser --port 0 --audit 0.2
    """
    from ..engine.config import load_config
    from ..engine.review.material import Wanted
    from ..engine.review.opening import ITS_OWN
    from ..storage.decisions import require_who, this_person

    serving = _serving()
    serving.require_loopback(host, port)
    who = this_person() if as_ is None else require_who(as_)
    opened = open_store(store, face.command)
    settings = load_config(store, config, {})
    wanted = Wanted(dataset, solution, posterior)
    session = _session(face, opened, settings, wanted, who=who, audit=audit, limit=limit)
    before = session.answered
    _note_lost(face, session)
    found = session.material.revision.posterior
    if found.method not in ITS_OWN:
        face.note(f"{found.name} is by {found.method}: the review weighs the movie itself, as by auto")

    def tell(address: str) -> None:
        typer.echo(address, err=face.json)
        if not no_browser:
            _show(address)
        face.note("Ctrl-C ends it; every answer is on the disk")

    serving.serve(session, store, host=host, port=port, opened=tell)
    given = session.answered - before
    face.close(
        f"{plural(given, 'answer')} by {who}; {plural(session.open, 'question')} open",
        {"answers": given, "answered": session.answered, "open": session.open, "who": who},
    )


def _note_lost(face: Face, session: "ReviewSession") -> None:
    from ..engine.annotations.words import told

    if lost := session.unattached:
        several = plural(len(lost), "annotation")
        face.note(f"{several} of cells that are not among these detections, kept in the log: {told(lost[0])}")


def _serving() -> Any:
    """Return the server, or say how to get what it needs."""
    try:
        from ..server import serving
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn", "anyio", "h11"):
            raise
        raise ConfigError(
            "the review needs a web server, which is not installed", **{"try": "pip install 'trackdb[review]'"}
        ) from None
    return serving


def _session(face: Face, store: "DuckDBStore", settings: "Config", wanted: Any, **given: Any) -> "ReviewSession":
    """Open the review; where there is no posterior to review, compute it if the user wants that."""
    from ..engine.review.session import ReviewSession
    from ..server.ending import INTERRUPTED, leave_at_once, waited_for

    def opened() -> ReviewSession:
        try:
            with face.progress() as progress:
                progress.start("opening the posterior")
                return waited_for(lambda: ReviewSession(store, settings, wanted=wanted, progress=progress, **given))
        except KeyboardInterrupt:
            typer.echo("Aborted.", err=True)
            leave_at_once(INTERRUPTED)
            raise

    try:
        return opened()
    except MissingRowsError as missing:
        chosen, info = store.find_solution(wanted.dataset, wanted.solution, doubtful=True)
        if wanted.posterior is not None or face.json or not _is_terminal():
            raise
        question = f"{store.path} holds no posterior of {info.name} that can be reviewed: compute it now?"
        if not typer.confirm(printable(question), default=True, err=True):
            raise missing
    from ..engine.posterior.stage import posterior as weigh

    with face.progress() as progress:
        weigh(store, chosen, info, settings, progress=progress)
    return opened()


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _show(address: str) -> None:
    """Open the address in a browser, if there is one."""
    import webbrowser

    try:
        webbrowser.open(address)
    except webbrowser.Error:
        return
