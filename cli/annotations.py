"""`trackdb annotations`: look after what was said of cells."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from ..storage.plain import as_table, plural
from .annotate import Who
from .options import open_store
from .view import Face, command

if TYPE_CHECKING:
    from ..engine.annotations.agreement import Conflict
    from ..engine.annotations.records import Entry
    from ..engine.review.judged import Audit
    from ..storage.decisions import Decision
    from ..storage.duckdb_store import DuckDBStore

ACTIONS = ("list", "undo", "redo", "stats", "conflicts", "export", "import")


def add_commands(app: typer.Typer) -> None:
    """Add this file's command."""
    command(app)(annotations)


def annotations(
    face: Face,
    action: Annotated[
        str | None,
        typer.Argument(metavar="ACTION", help="list (default), undo, redo, stats, conflicts, export, import."),
    ] = None,
    store: Annotated[Path | None, typer.Argument(metavar="STORE", help="The store: NAME.trackdb.")] = None,
    which: Annotated[
        str | None,
        typer.Argument(metavar="WHICH", help="undo: number or key, by default your newest; import: the file."),
    ] = None,
    who: Annotated[str | None, typer.Option(help="list: of this person alone.")] = None,
    as_: Who = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="export: file to make; it must not be there.")] = None,
) -> None:
    """List, count, take back or carry over what people said. It goes to another store as JSON lines.

    Example: trackdb annotations list movie.trackdb

    Example: trackdb annotations undo movie.trackdb 7
    """
    action, place = _asked_of(action, store)
    _refuse_of_others(action, which, who=who, as_=as_, out=out)
    opened = open_store(place, face.command)
    match action:
        case "list":
            _list(face, opened, who)
        case "undo":
            _undo(face, opened, which, as_)
        case "redo":
            _redo(face, opened, as_)
        case "stats":
            _stats(face, opened)
        case "conflicts":
            _conflicts(face, opened)
        case "export":
            _export(face, opened, out)
        case "import":
            _import(face, opened, which)


def _asked_of(action: str | None, store: Path | None) -> tuple[str, Path]:
    """Return what is to be done with which store; `annotations STORE` lists.

    Raises
    ------
    ConfigError
        If no store is named, or nothing can be done by that name.
    """
    if action not in (None, *ACTIONS):
        if store is not None:
            turned = {"try": f"trackdb annotations {store} {action}"} if str(store) in ACTIONS else {}
            raise ConfigError(f"annotations cannot {action!r}", known=", ".join(ACTIONS), **turned)
        return "list", Path(action)
    asked = action or "list"
    if action is None or store is None:
        raise ConfigError(f"annotations {asked} of which store?", **{"try": f"trackdb annotations {asked} STORE"})
    return asked, store


def _refuse_of_others(action: str, which: str | None, *, who: str | None, as_: str | None, out: Path | None) -> None:
    """Raise ConfigError if an option is given that means nothing to what is to be done."""
    for option, value, owners in (("--who", who, ["list"]), ("--as", as_, ["undo", "redo"]), ("-o", out, ["export"])):
        if value is not None and action not in owners:
            owner = " and ".join(owners)
            raise ConfigError(f"{option} is for annotations {owner}, not for {action}", **{"try": "without it"})
    if which is not None and action not in ("undo", "import"):
        raise ConfigError(f"annotations {action} takes no {which!r}", known=", ".join(ACTIONS))


def _list(face: Face, store: "DuckDBStore", who: str | None) -> None:
    from ..engine.annotations.records import entries

    said = entries(store)
    number = {e.decision.key: e.decision.seq for e in said}
    found = [e for e in said if who in (None, e.decision.who)]
    columns = ["#", "who", "at", "cell", "frame", "says", "state"]
    rows = [
        [
            e.decision.seq,
            e.decision.who,
            f"{e.decision.at:%Y-%m-%d %H:%M:%S}",
            e.decision.cell and e.decision.cell.id,
            e.decision.cell and e.decision.cell.t,
            _said(e.decision) if e.decision.undo_of is None else f"takes back #{number.get(e.decision.undo_of)}",
            _state(e),
        ]
        for e in found
    ]
    counting = sum(not e.undone and e.decision.undo_of is None for e in found)
    payload = [
        {**_as_dict(e.decision), "undone": e.undone, "attached": e.attached, "in_conflict": e.disputed} for e in found
    ]
    line = f"{plural(len(found), 'annotation')}, {counting:,} in force"
    face.show(as_table(columns, rows) if rows else "", line, {"annotations": payload, "counting": counting})


def _undo(face: Face, store: "DuckDBStore", which: str | None, who: str | None) -> None:
    from ..engine.annotations.answers import undo
    from ..storage.decisions import this_person

    number = which is not None and which.isdecimal() and len(which) < 10  # else a key
    report = undo(store, int(which) if which and number else which, who=this_person() if who is None else who)
    [old] = report.replaced
    face.close(f"taken back: {_told(old)}", {**_as_dict(report.decision), "undone": old.seq, "pins": report.pins})


def _redo(face: Face, store: "DuckDBStore", who: str | None) -> None:
    from ..engine.annotations.answers import redo
    from ..storage.decisions import this_person

    report = redo(store, who=this_person() if who is None else who)
    told = ", ".join(_told(back) for back in report.restored)
    restored = [back.seq for back in report.restored]
    face.close(f"brought back: {told}", {**_as_dict(report.decision), "restored": restored, "pins": report.pins})


def _stats(face: Face, store: "DuckDBStore") -> None:
    from ..engine.annotations.agreement import agreements, conflicts
    from ..engine.annotations.records import median_times, work
    from ..engine.review.audit import audits_of

    people, said = work(store), store.decisions()
    pairs, apart, audits = agreements(said), conflicts(store, said), audits_of(store, said)
    times = median_times(said)
    columns = ["who", "answers", "undone", "pins", "median s", "asked too", "agreed"]
    rows = [
        [p.who, p.answers, p.undone, p.pins, p.median_ms and p.median_ms / 1000, p.asked_too, p.agreed] for p in people
    ]
    tables = [as_table(columns, rows)] if rows else []
    if times:
        tables.append(as_table(["kind", "median s"], [[kind, ms / 1000] for kind, ms in times.items()]))
    if pairs:
        kappas = [[p.a, p.b, p.cells, p.agreed, None if p.kappa is None else round(p.kappa, 3)] for p in pairs]
        tables.append(as_table(["one", "other", "cells", "agreed", "kappa"], kappas))
    for dataset, audit in audits.items():
        face.note(f"audit of {audit.solution} of {dataset}: {_audited(audit)}")
    if apart:
        face.note(f"{plural(len(apart), 'conflict')}: trackdb annotations conflicts {store.path}")
    payload = {
        "people": [asdict(p) for p in people],
        "median_ms": times,
        "pairs": [asdict(p) for p in pairs],
        "conflicts": len(apart),
        "audits": {dataset: audit.as_dict() for dataset, audit in audits.items()},
    }
    face.show("\n".join(tables), "1 person" if len(people) == 1 else f"{len(people)} people", payload)


def _audited(audit: "Audit") -> str:
    """Return in words what an audit tells."""
    asked = f"{plural(audit.audits, 'question')} drawn, {audit.wrong} of {audit.judged} of its sample are wrong"
    if audit.rate is None or audit.low is None or audit.high is None:
        return f"{asked}; {audit.needed} more before more can be told"
    rate = f"{asked}: {audit.rate:.1%} ({audit.low:.1%} to {audit.high:.1%}) of the cells in doubt"
    if audit.temperature is None or audit.expected_wrong is None:
        return rate
    expected = f"{rate}; {audit.expected_wrong:.1f} were expected, at a temperature of {audit.temperature:.2f} it fits"
    if audit.expected_wrong_left is None:
        return f"{rate}; {audit.expected_wrong:.1f} were expected, and no temperature mends that"
    return f"{expected}, and {audit.expected_wrong_left:.1f} wrong links are left"


def _conflicts(face: Face, store: "DuckDBStore") -> None:
    from ..engine.annotations.agreement import conflicts

    found = conflicts(store, store.decisions())
    columns = ["earlier", "later", "why", "state"]
    rows = [[_told(c.earlier), _told(c.later), c.why, "open" if c.open else "one taken back"] for c in found]
    still = sum(c.open for c in found)
    payload = [_conflict(c) for c in found]
    line = f"{plural(len(found), 'conflict')}, {still:,} of them open"
    face.show(as_table(columns, rows) if rows else "", line, {"conflicts": payload, "open": still})


def _export(face: Face, store: "DuckDBStore", out: Path | None) -> None:
    from ..engine.annotations.records import export_log
    from ..storage.decisions import as_line

    if out is None:
        said = store.decisions()
        text = "".join(map(as_line, said)).rstrip("\n")
        face.show(text, f"{plural(len(said), 'annotation')}", {"annotations": [d.as_dict() for d in said]})
        return
    count = export_log(store, out)
    face.close(f"{plural(count, 'annotation')} in {out}", {"path": str(out), "count": count})


def _import(face: Face, store: "DuckDBStore", path: str | None) -> None:
    from ..engine.annotations.records import import_log

    if path is None:
        raise ConfigError("annotations import needs a file", **{"try": "trackdb annotations import STORE FILE"})
    brought = import_log(store, Path(path))
    for lost in brought.lost:
        face.note(f"its cell is not here: {_told(lost)}")
    for apart in brought.conflicts:
        face.note(f"exclude each other ({apart.why}): {_told(apart.earlier)} and {_told(apart.later)}")
    count, n = len(brought.new), len(brought.conflicts)
    line = plural(count, "new annotation")
    if n:
        line += f"; {plural(n, 'conflict')}, which {'pins' if n == 1 else 'pin'} nothing until decided"
    payload = {
        "path": path,
        "count": count,
        "conflicts": [_conflict(c) for c in brought.conflicts],
        "unattached": [_as_dict(d) for d in brought.lost],
    }
    face.close(line, payload)


def _conflict(conflict: "Conflict") -> dict[str, object]:
    earlier, later = _as_dict(conflict.earlier), _as_dict(conflict.later)
    return {"earlier": earlier, "later": later, "why": conflict.why, "open": conflict.open}


def _as_dict(decision: "Decision") -> dict[str, object]:
    from ..engine.annotations.words import as_read

    return as_read(decision)


def _told(decision: "Decision") -> str:
    from ..engine.annotations.words import told

    return told(decision)


def _said(decision: "Decision") -> str:
    from ..engine.annotations.words import said

    return said(decision)


def _state(entry: "Entry") -> str:
    state = (
        "undone" if entry.undone else "in conflict" if entry.disputed else "" if entry.attached else "its cell is gone"
    )
    return " ".join(word for word in (state, entry.decision.note and repr(entry.decision.note)) if word)
