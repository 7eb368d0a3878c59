"""`trackdb annotate` and `annotations`: say what a cell does, and look after what was said."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from .options import CELL, Dataset, Detections, Store, open_set, open_store
from .parsing import parse_cell
from .view import Face, as_table, command, plural

if TYPE_CHECKING:
    from ..engine.annotations.agreement import Conflict
    from ..engine.annotations.answered import AnswerReport, OnConflict
    from ..engine.annotations.answers import Annotator
    from ..engine.annotations.records import Entry
    from ..engine.review.judged import Audit
    from ..storage.decisions import Decision
    from ..storage.duckdb_store import DuckDBStore

ACTIONS = ("list", "undo", "redo", "stats", "conflicts", "export", "import")
Who = Annotated[str | None, typer.Option("--as", help="Who says it; by default the user's name.")]


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    for function in (annotate, annotations):
        command(app)(function)


def annotate(
    face: Face,
    store: Store,
    cell: Annotated[str, typer.Argument(help=CELL)],
    daughters: Annotated[
        str | None, typer.Option(help="The cell that it becomes, or the two that it divides into: A[,B].")
    ] = None,
    ends: Annotated[bool, typer.Option("--ends", help="Nothing comes of it.")] = False,
    begins: Annotated[bool, typer.Option("--begins", help="It has no parent.")] = False,
    not_: Annotated[str | None, typer.Option("--not", help="It does not become this cell: A[,B...].")] = None,
    not_a_cell: Annotated[bool, typer.Option("--not-a-cell", help="It is a false detection.")] = False,
    bad_outline: Annotated[
        bool,
        typer.Option("--bad-outline", help="Its outline is merged, split or wrong; no solve changes."),
    ] = False,
    unsure: Annotated[bool, typer.Option("--unsure", help="Nobody can tell.")] = False,
    flag: Annotated[bool, typer.Option("--flag", help="It is worth another look.")] = False,
    note: Annotated[str | None, typer.Option(help="What is to be added in words.")] = None,
    as_: Who = None,
    add_candidate: Annotated[
        bool, typer.Option("--add-candidate", help="Make candidates of chosen links that are none.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take earlier annotations back that exclude this one.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave those that exclude this one; what was meant is kept as a flag.")
    ] = False,
    both_unsure: Annotated[
        bool, typer.Option("--both-unsure", help="Say of this and those that exclude it that nobody can tell.")
    ] = False,
    dataset: Dataset = None,
    detections: Detections = None,
) -> None:
    """Say what a cell does; every later solve keeps it.

    Example: trackdb annotate movie.trackdb 17 --daughters 25,26

    Example: trackdb annotate movie.trackdb 3:8 --not-a-cell --as ana
    """
    from ..engine.annotations.answers import Annotator
    from ..storage.decisions import this_person

    kind, named = _said_once(
        {
            "choose": daughters,
            "ends": ends,
            "begins": begins,
            "reject": not_,
            "not_a_cell": not_a_cell,
            "segmentation": bad_outline,
            "unsure": unsure,
            "flag": flag,
        }
    )
    _require_daughters(daughters, add_candidate=add_candidate)
    on_conflict = _on_conflict(replace, keep, both_unsure)
    who = this_person() if as_ is None else as_
    parse_cell(cell)  # before a store is opened for it
    annotator = Annotator(*open_set(store, dataset, detections, face.command))
    report = annotator.answer(
        kind,
        _number(annotator, cell),
        None if named is None else [_number(annotator, word) for word in named],
        who=who,
        note=note,
        add_candidate=add_candidate,
        on_conflict=on_conflict,
    )
    _close(face, report)


def _said_once(options: Mapping[str, str | bool | None]) -> tuple[str, list[str] | None]:
    """Return the kind of the one thing that is said, and the words for the cells that it names.

    Parameters
    ----------
    options : mapping of str to str, bool or None
        What is given for each kind; that a cell ends is a choice of no daughter.

    Raises
    ------
    ConfigError
        If nothing is said, or several things are.
    """
    said = {kind: given for kind, given in options.items() if given is not None and given is not False}
    if len(said) != 1:
        raise ConfigError(
            "an annotation says one thing about a cell" if said else "nothing is said about the cell",
            expected="--daughters A[,B], --ends, --begins, --not A, --not-a-cell, --bad-outline, --unsure or --flag",
        )
    [(kind, given)] = said.items()
    if kind == "ends":
        return "choose", []
    return kind, given.split(",") if isinstance(given, str) else None  # no name at all is not the same as --ends


def _require_daughters(daughters: str | None, *, add_candidate: bool) -> None:
    """Raise ConfigError if candidates shall be added and no link is chosen."""
    if add_candidate and daughters is None:
        raise ConfigError("--add-candidate is for --daughters", **{"try": "without it"})


def _on_conflict(replace: bool, keep: bool, both_unsure: bool) -> "OnConflict":
    asked: list[tuple[bool, OnConflict]] = [(replace, "replace"), (keep, "keep"), (both_unsure, "unsure")]
    ways = [way for given, way in asked if given]
    if len(ways) > 1:
        raise ConfigError("a conflict has one way out", expected="--replace, --keep or --both-unsure")
    return ways[0] if ways else "refuse"


def _close(face: Face, report: "AnswerReport") -> None:
    """Say what was kept, and all that came with it."""
    for old in report.replaced:
        face.note(f"taken back: {_told(old)}")
    for also in report.also:
        face.note(f"said with it: {_told(also)}")
    if report.added:
        face.note(f"{plural(report.added, 'new candidate')} for it")
    face.close(
        f"{_told(report.decision)}; {plural(report.pins, 'annotation')} will be kept by the next solve",
        {
            **_as_dict(report.decision),
            "replaced": [old.seq for old in report.replaced],
            "added_candidates": report.added,
            "pins": report.pins,
        },
    )


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
    asked = f"{audit.audits} questions were drawn, {audit.wrong} of {audit.judged} of its sample are wrong"
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


def _number(annotator: "Annotator", word: str) -> int:
    named = parse_cell(word.strip())
    return named if isinstance(named, int) else annotator.cells.cell_at(*named)


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
