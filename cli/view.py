"""How a command talks: data on stdout, everything else on stderr, bars only on a terminal."""

import errno
import inspect
import json
import logging
import math
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ConfigError, TrackdbError
from ..storage.plain import printable
from .compiling import told_of_compiling
from .reporting import Reporter, bar_on_terminal, line_now_and_then
from .start import INTERRUPTED

JSON_SCHEMA_VERSION = 1
LONGEST_LINE = 1000  # letters of a line of an error: what a damaged file holds may be any length
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass(frozen=True, slots=True)
class Face:
    """One command's way to talk to its user.

    Parameters
    ----------
    command : str
        Its name.
    json : bool
        Whether stdout carries one JSON object and nothing else.
    quiet : bool
        Whether notes and progress are left out.
    """

    command: str
    json: bool = False
    quiet: bool = False

    def note(self, text: str) -> None:
        """Tell a fact on stderr."""
        if not self.quiet:
            typer.echo(f"note: {printable(text)}", err=True)

    def close(self, line: str, payload: Mapping[str, Any]) -> None:
        """End a command whose result is an effect: one line, or one JSON object."""
        typer.echo(as_json(payload) if self.json else printable(line))

    def show(self, text: str, line: str, payload: Mapping[str, Any]) -> None:
        """End a command whose result is data: the data on stdout, the closing line on stderr."""
        if self.json:
            typer.echo(as_json(payload))
            return
        if text:
            typer.echo(printable(text))
        if not self.quiet:
            typer.echo(printable(line), err=True)

    @contextmanager
    def progress(self) -> Iterator[Reporter]:
        """Draw the progress of a stage after the other while the block runs, and tell when kernels are compiled."""
        with told_of_compiling(self.note), self._drawn() as reporter:
            yield reporter

    def _drawn(self) -> AbstractContextManager[Reporter]:
        if self.quiet:
            return nullcontext(Reporter(self.note))
        if sys.stderr.isatty():
            return bar_on_terminal(self.note)
        return line_now_and_then(self.note, lambda line: typer.echo(f"{self.command}: {printable(line)}", err=True))


def command(app: typer.Typer) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function ``f(face, ...)`` as a command, with the options that every command has.

    Those are ``--json``, ``-q/--quiet``, ``-v/--verbose`` and ``--debug``. An error that trackdb raises on purpose
    becomes one to four lines on stderr and its exit code, and so does one of the operating system (a folder that cannot
    be written); anything else is a bug and keeps its traceback.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        title = function.__name__.strip("_").replace("_", "-")

        def run(**options: Any) -> None:
            as_json, quiet = options.pop("json_"), options.pop("quiet")
            level = {0: logging.WARNING, 1: logging.INFO}.get(options.pop("verbose"), logging.DEBUG)
            logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s", force=True)
            logging.getLogger(__package__.partition(".")[0]).setLevel(level)  # not that of every library
            logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)  # what it says when it is interrupted
            debug = options.pop("debug")
            with _heeding_interrupts() as interrupted:
                try:
                    require_text(options)
                    function(Face(title, as_json, quiet), **options)
                except Exception as error:  # ours end in words, an interrupt in 130, a bug is raised again
                    if debug or (isinstance(error, OSError) and error.errno == errno.EPIPE):
                        raise
                    if interrupted:  # libraries turn an interrupt into errors of their own
                        raise _stopped() from None
                    if isinstance(error, OSError) and not isinstance(error, TrackdbError):
                        error = _of_the_system(error, title, options)
                    if "no locator available" in str(error):  # numba's words where it may write nowhere
                        error = _NO_PLACE_FOR_KERNELS
                    if isinstance(error, MemoryError):
                        error = _of_memory(error, title, options)
                    if not isinstance(error, TrackdbError):
                        raise
                    show_error(error)
                    raise typer.Exit(error.exit_code) from None
                except KeyboardInterrupt:
                    raise _stopped() from None

        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        parameters = [*own, *_COMMON]
        run.__name__, run.__doc__ = function.__name__, function.__doc__
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        app.command(title)(run)
        return function

    return register


_NO_PLACE_FOR_KERNELS = TrackdbError(
    "there is no folder to keep compiled kernels in: neither that of the package nor one at home can be written",
    **{"try": "set NUMBA_CACHE_DIR to a folder that you may write"},
)


def _stopped() -> typer.Exit:
    """Say that a command was interrupted, and return what ends it."""
    typer.echo(INTERRUPTED, err=True)
    return typer.Exit(130)


def _of_memory(error: MemoryError, title: str, options: Mapping[str, Any]) -> TrackdbError:
    """Return an error of too little memory in our words, for a whole solve with what needs less."""
    told = {"reason": str(error)} if str(error) else {}
    if title == "solve" and not options["window"]:
        told["try"] = "--window 5, which solves in the memory of a window: docs/howto/big-movies.md"
    return TrackdbError("there is not enough memory for this", **told)


def _of_the_system(error: OSError, title: str, options: Mapping[str, Any]) -> TrackdbError:
    """Return an error of the operating system in our words; where it names no file, with the place that is written."""
    out = options.get("out")
    place = error.filename or out or options.get("store") or title
    if isinstance(out, Path) and str(place).startswith(str(out.with_name(f".{out.name}."))):
        place = out  # it has another name while it is written
    if error.errno in NO_ROOM:
        helps = {"try": "make room, then give the command again"}
    elif error.errno in NOT_ALLOWED and place == out:
        helps = {"try": "another place for -o"}
    else:
        helps = {}
    return TrackdbError(f"{place}: {error.strerror or error}", **helps)


@contextmanager
def _heeding_interrupts() -> Iterator[list[int]]:
    """Yield a list that holds an entry once the user has pressed Ctrl-C, which also raises KeyboardInterrupt."""
    seen: list[int] = []

    def heed(number: int, _frame: object) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # where only the main thread hears signals
        yield seen
        return
    before = signal.signal(signal.SIGINT, heed)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


def require_text(options: Mapping[str, Any]) -> None:
    """Raise ConfigError if an option holds bytes that are no text in this locale."""
    for name, value in options.items():
        for item in value if isinstance(value, list) else [value]:
            try:
                str(item).encode()
            except UnicodeEncodeError:
                raise ConfigError(f"{name.strip('_')} is no text that this locale can write", got=ascii(item)) from None


def _flag(name: str, annotation: object, default: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


_COMMON = (
    _flag("json_", Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")], False),
    _flag("quiet", Annotated[bool, typer.Option("--quiet", "-q", help="No notes, no progress.")], False),
    _flag(
        "verbose",
        Annotated[int, typer.Option("--verbose", "-v", count=True, help="Log each stage; -vv each window.")],
        0,
    ),
    _flag("debug", Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")], False),
)


def show_error(error: TrackdbError) -> None:
    """Say on stderr what went wrong, where, why, and what to do: one to four lines."""
    typer.echo(f"error: {_shortened(error.message)}", err=True)
    width = max((len(key) for key in error.details), default=0)
    for key, text in list(error.details.items())[:3]:
        typer.echo(f"  {key:<{width}}  {_shortened(text)}", err=True)


def _shortened(text: str) -> str:
    """Return a text as one line that is not too long."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} ..."


def as_json(payload: Mapping[str, Any]) -> str:
    """Return one JSON object with stable keys; numbers that JSON does not know become null."""
    return json.dumps({"schema_version": JSON_SCHEMA_VERSION, **_plain(payload)}, default=str)


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
