"""`trackdb annotate`: say what a cell does."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from ..storage.plain import plural
from .options import CELL, Dataset, Detections, Store, open_set
from .parsing import parse_cell
from .view import Face, command

if TYPE_CHECKING:
    from ..engine.annotations.answered import AnswerReport, OnConflict
    from ..engine.annotations.answers import Annotator

Who = Annotated[str | None, typer.Option("--as", help="Who says it; by default the user's name.")]


def add_commands(app: typer.Typer) -> None:
    """Add this file's command."""
    command(app)(annotate)


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
    from ..engine.annotations.words import as_read, told

    for old in report.replaced:
        face.note(f"taken back: {told(old)}")
    for also in report.also:
        face.note(f"said with it: {told(also)}")
    if report.added:
        face.note(f"{plural(report.added, 'new candidate')} for it")
    face.close(
        f"{told(report.decision)}; {plural(report.pins, 'annotation')} will be kept by the next solve",
        {
            **as_read(report.decision),
            "replaced": [old.seq for old in report.replaced],
            "added_candidates": report.added,
            "pins": report.pins,
        },
    )


def _number(annotator: "Annotator", word: str) -> int:
    named = parse_cell(word.strip())
    return named if isinstance(named, int) else annotator.cells.cell_at(*named)
