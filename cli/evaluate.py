"""`trackdb evaluate`: how well a solution agrees with the truth."""

from typing import Annotated

import typer

from ..errors import ConfigError
from .options import Dataset, Solution, Store, open_solution
from .view import Face, as_table, command


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app)(evaluate)


def evaluate(
    face: Face,
    store: Store,
    against: Annotated[str, typer.Option(help="Solution to compare with.")] = "truth",
    tolerance: Annotated[
        int, typer.Option(min=0, help="Frames that a division may be off; 0 and 1 are always given.")
    ] = 1,
    fail_under: Annotated[
        list[str] | None, typer.Option(help="Exit with 5 if a figure is lower, as edge_f1=0.98; repeatable.")
    ] = None,
    dataset: Dataset = None,
    solution: Solution = None,
) -> None:
    """Compare the links and divisions of a solution with the truth.

    Example: trackdb evaluate movie.trackdb --fail-under edge_f1=0.98
    """
    from ..engine.evaluate import evaluate as compare
    from ..engine.evaluate import require_at_least, require_known

    wanted = dict(parse_figure(text) for text in fail_under or ())
    require_known(wanted)
    opened, chosen, info = open_solution(store, dataset, solution, face.command, besides=against)
    result = compare(opened, chosen, info, against=against, tolerance=tolerance)
    parts = [("edges", result.edges)]
    parts += [(f"divisions (+-{frames})" if frames else "divisions", c) for frames, c in result.divisions.items()]
    rows = [[part, c.tp, c.fp, c.fn, c.precision, c.recall, c.f1] for part, c in parts]
    if result.reference_gaps:
        face.note(f"{result.reference_gaps} links of {against} skip frames")
    if result.uncounted:
        face.note(f"{result.uncounted} links between cells that {against} does not know are not counted")
    if not result.reference_divisions:
        face.note(f"{against} tells of no divisions")
    face.show(
        as_table(["", "tp", "fp", "fn", "precision", "recall", "f1"], rows),
        f"solution {info.name} against {against}: edge F1 {result.edges.f1:.4f}, "
        f"division F1 {result.divisions[0].f1:.4f}",
        result.as_dict(),
    )
    require_at_least(result, wanted)


def parse_figure(text: str) -> tuple[str, float]:
    """Return ``edge_f1=0.98`` as its two parts."""
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise ConfigError(f"--fail-under: cannot read {text!r}", expected="FIGURE=NUMBER, as edge_f1=0.98") from None
