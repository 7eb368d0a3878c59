"""`trackdb evaluate`: how well a solution agrees with the truth."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import CheckFailedError
from ..storage.plain import as_table
from .options import Dataset, Solution, Store, open_solution
from .parsing import parse_figure
from .tracked import Columns, Format, Frames, Links, MatchDistance, PixelSize, Sequence, tracking_options
from .view import Face, command

if TYPE_CHECKING:
    from ..engine.evaluation import Evaluation
    from ..engine.posterior.judging import CalibrationFigures


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app)(evaluate)


def evaluate(
    face: Face,
    store: Store,
    against: Annotated[
        str, typer.Option(help="Solution, CTC folder, or any file with a tracking to compare with.")
    ] = "truth",
    tolerance: Annotated[
        int, typer.Option(min=0, help="Frames that a division may be off; 0 and 1 are always given.")
    ] = 1,
    fail_under: Annotated[
        list[str] | None,
        typer.Option(help="Exit with 5 if a figure is worse, as edge_f1=0.98 or (a cost) AOGM=500; repeatable."),
    ] = None,
    ctc: Annotated[
        bool,
        typer.Option(
            "--ctc", help="Measure TRA, DET, LNK and AOGM with py-ctcmetrics too; exit with 5 where it differs."
        ),
    ] = False,
    sparse_truth: Annotated[
        bool, typer.Option("--sparse-truth", help="Cells that the reference does not know are no errors.")
    ] = False,
    format_: Format = "auto",
    sequence: Sequence = None,
    columns: Columns = None,
    links: Links = None,
    frames: Frames = None,
    pixel_size: PixelSize = None,
    match_distance: MatchDistance = None,
    dataset: Dataset = None,
    solution: Solution = None,
) -> None:
    """Compare a solution with the truth or any other tracking.

    Example: trackdb evaluate movie.trackdb --fail-under edge_f1=0.98

    Example: trackdb evaluate movie.trackdb --against 01_GT --ctc
    """
    from ..engine.evaluate import evaluate as compare
    from ..engine.evaluation import require_at_least, require_known

    wanted = dict(parse_figure(text) for text in fail_under or ())
    require_known(wanted)
    options = tracking_options(sequence, columns, links, frames, pixel_size)
    opened, chosen, info = open_solution(store, dataset, solution, face.command, besides=against)
    with face.progress() as progress:
        result = compare(
            opened,
            chosen,
            info,
            against=against,
            tolerance=tolerance,
            sparse=sparse_truth,
            by_py_ctcmetrics=ctc,
            file_format=format_,
            options=options,
            match_distance=match_distance,
            progress=progress,
        )
    for note in result.notes():
        face.note(note)
    face.show(
        as_text(result),
        f"solution {info.name} against {against}: edge F1 {result.edges.f1:.4f}, "
        f"division F1 {result.divisions[0].f1:.4f}, TRA {result.figures()['TRA']:.4f}",
        result.as_dict(),
    )
    if different := result.disagreements():
        raise CheckFailedError("py-ctcmetrics and trackdb disagree", **{"where": "; ".join(different)})
    require_at_least(result, wanted)


def as_text(result: "Evaluation") -> str:
    """Return the figures as tables for people."""
    parts = [("edges", result.edges)]
    parts += [(f"divisions (+-{frames})" if frames else "divisions", c) for frames, c in result.divisions.items()]
    parts += [("associations", result.associations)]
    counted = [[part, c.tp, c.fp, c.fn, c.precision, c.recall, c.f1] for part, c in parts]
    measures = [
        ["association accuracy", result.association_accuracy],
        ["target effectiveness", result.target_effectiveness],
        *([name, value] for name, value in (result.measured or result.ctc).items()),
    ]
    shown = [
        as_table(["", "tp", "fp", "fn", "precision", "recall", "f1"], counted),
        as_table(["measure", "by py-ctcmetrics" if result.measured else "value"], measures),
    ]
    if result.calibration is not None:
        shown.append(calibration_as_text(result.calibration))
    return "\n\n".join(shown)


def calibration_as_text(report: "CalibrationFigures") -> str:
    """Return the figures of a posterior as a table: with "new" as a class, and without."""
    from ..engine.metrics.calibration import COVERAGES

    both = [report.with_new, *([] if report.without_new is None else [report.without_new])]
    rows = [
        (name, [getattr(summary, figure) for summary in both])
        for name, figure in (
            ("daughters", "daughters"),
            ("accuracy", "accuracy"),
            ("mean confidence", "confidence"),
            ("ECE", "ece"),
            ("ECE, bins of equal mass", "ece_equal_mass"),
            ("ECE by chance alone", "ece_floor"),
            ("NLL", "nll"),
            ("Brier", "brier"),
            ("mean entropy, nats", "mean_entropy"),
            ("AURC by entropy", "aurc_entropy"),
            ("AURC by confidence", "aurc_confidence"),
        )
    ]
    kept = [[dict(zip(COVERAGES, s.kept_by_entropy, strict=True))[share] for s in both] for share in COVERAGES]
    rows += [(f"accuracy, surest {share:.0%}", values) for share, values in zip(COVERAGES, kept, strict=True)]
    rows += [("candidate recall", [report.asked.candidate_recall] * len(both))]
    head = [f"posterior {report.posterior.name}", "with new", "links alone"][: 1 + len(both)]
    return as_table(head, [[name, *values] for name, values in rows])
