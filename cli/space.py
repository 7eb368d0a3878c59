"""`trackdb drop` and `compact`: what is taken out of a store, and the room that gives back."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from ..storage.plain import as_table, plural, printable
from .options import Dataset, Detections, Store, open_store
from .view import Face, command

if TYPE_CHECKING:
    from ..engine.space import Dropped
    from ..storage.dropping import Plan
    from ..storage.duckdb_store import DuckDBStore

KINDS = ("solution", "scores", "posterior", "detections", "dataset")


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    for function in (drop, compact):
        command(app)(function)


def drop(
    face: Face,
    store: Store,
    what: Annotated[str, typer.Argument(metavar="WHAT", help=f"{', '.join(KINDS[:-1])} or {KINDS[-1]}.")],
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Its name, as trackdb info shows it.")] = None,
    with_dependents: Annotated[
        bool, typer.Option("--with-dependents", help="Drop what hangs on it, too: posteriors of a solution, ...")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go, and drop nothing.")] = False,
    dataset: Dataset = None,
    detections: Detections = None,
) -> None:
    """Take a solution or something else out of a store for good. That is scores, a posterior, detections or a dataset.

    Answers of people are never lost: those whose cells go are kept, listed as unattached, and found again by their
    places when the movie is brought in again. The space is used for new rows; trackdb compact gives it back.

    Example: trackdb drop movie.trackdb solution ilp-1

    Example: trackdb drop movie.trackdb scores network --with-dependents --yes
    """
    from ..engine import space

    opened = open_store(store, face.command)
    if what not in KINDS or name is None:
        raise _unclear(opened, what, name, f"trackdb drop {store}")
    plan = space.planned(
        opened, what, name, dataset=dataset, detections=detections, with_dependents=with_dependents or dry_run
    )
    if dry_run:
        rows = [[table, n] for table, n in plan.rows.items()]
        line = f"would drop {_said(plan)}; nothing was dropped"
        face.show(as_table(["table", "rows"], rows), line, _payload(plan, answers=space.answers_about(opened, plan)))
        return
    if not (yes or _agreed(face, plan)):
        face.close("nothing was dropped", _payload(plan))
        return
    dropped = space.drop(opened, plan)
    if dropped.answers:
        face.note(f"{plural(dropped.answers, 'answer')} about its cells kept: trackdb annotations {store}")
    line = f"{_said(dropped.plan)} dropped: {dropped.given_back / 1e6:.1f} MB given back"
    free = f", {dropped.free / 1e6:.1f} MB free for new rows (trackdb compact {store} gives them back)"
    face.close(line + free * bool(dropped.free), _payload(dropped.plan, dropped, answers=dropped.answers))


def _unclear(store: "DuckDBStore", what: str, name: str | None, begun: str) -> ConfigError:
    """Return the error of a drop that lacks its WHAT or its NAME, with the whole command where one word tells it."""
    from ..engine import space

    if what in KINDS:
        return ConfigError(f"drop which {what}?", **{"try": f"{begun} {what} NAME; trackdb info lists the names"})
    asked = {word for word in (what, name) if word is not None and word not in KINDS}
    kinds = [
        (kind, word) for word in sorted(asked) for kind in space.kinds_of(store, word) if name in (None, what, kind)
    ]
    whole = {"try": " or ".join(f"{begun} {kind} {word}" for kind, word in kinds)} if kinds else {}
    return ConfigError(f"drop wants to know what {what} is", known=", ".join(KINDS), **whole)


def _agreed(face: Face, plan: "Plan") -> bool:
    """Ask on stderr whether what was planned may go."""
    if face.json:
        raise ConfigError(f"{plan.part} goes for good, and --json cannot ask", **{"try": "--yes"})
    try:
        return typer.confirm(f"drop {printable(_said(plan))} for good?", err=True)
    except typer.Abort:
        raise ConfigError(f"nobody said that {plan.part} may go", **{"try": "--yes"}) from None


def _said(plan: "Plan") -> str:
    """Return what goes in words: its rows, and what goes with it."""
    rows = f"{plan.part} ({plural(sum(plan.rows.values()), 'row')})"
    return f"{rows} with {', '.join(map(str, plan.dependents))}" if plan.dependents else rows


def _payload(plan: "Plan", dropped: "Dropped | None" = None, *, answers: int = 0) -> dict[str, object]:
    return {
        "what": plan.part.kind.value,
        "name": plan.part.name,
        "dataset": plan.dataset,
        "dependents": [{"what": part.kind.value, "name": part.name} for part in plan.dependents],
        "rows": plan.rows,
        "answers_kept": answers,
        "dropped": dropped is not None,
        "given_back": dropped.given_back if dropped else 0,
        "free": dropped.free if dropped else 0,
        "seconds": dropped.seconds if dropped else 0.0,
    }


def compact(face: Face, store: Store) -> None:
    """Give the space of what was dropped back. The database is rewritten, and files that belong to nothing go.

    Killed at any moment it leaves the store as it was, or compacted.

    Example: trackdb compact movie.trackdb
    """
    from ..engine import space

    done = space.compact(open_store(store, face.command))
    for work in done.kept:
        face.note(f"{work} is unfinished: its files were left alone")
    removed = f"; {plural(len(done.strays), 'file')} or folders that belong to nothing removed" if done.strays else ""
    face.close(
        f"{store} compacted: {done.before / 1e6:.1f} MB to {done.after / 1e6:.1f} MB, "
        f"{max(done.before - done.after, 0) / 1e6:.1f} MB given back{removed}",
        done.as_dict(),
    )
