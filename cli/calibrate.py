"""`trackdb calibrate`: what makes probabilities as unsure as they should be, fitted on stores with truth."""

from pathlib import Path
from typing import Annotated

import typer

from .options import ConfigFile, open_solution
from .view import Face, command, plural


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app)(calibrate)


def calibrate(
    face: Face,
    stores: Annotated[list[Path], typer.Argument(help="Stores with truth and a solution, other than it is for.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File to make (TOML); it must not be there.")],
    method: Annotated[
        list[str] | None,
        typer.Option(help="Method of trackdb posterior that gets a temperature; repeatable. By default auto, softmax."),
    ] = None,
    costs: Annotated[
        bool, typer.Option("--costs", help="Learn what new cells and divisions should cost, too.")
    ] = False,
    against: Annotated[str, typer.Option(help="Solution that is the truth.")] = "truth",
    solution: Annotated[
        str | None, typer.Option(help="Solution in every store; by default the newest that was solved.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Fit a temperature for each method on movies with truth; refused with fewer than 200 daughters or no errors.

    Example: trackdb calibrate a.trackdb b.trackdb -o cal.toml

    Example: trackdb posterior c.trackdb --temperature auto --calibration cal.toml
    """
    from ..engine.config import load_config
    from ..engine.posterior.calibrating import DEFAULT_METHODS
    from ..engine.posterior.calibrating import calibrate as fit

    opened = [open_solution(store, None, solution, face.command, besides=against) for store in stores]
    with face.progress() as progress:
        report = fit(
            opened,
            out,
            methods=method or DEFAULT_METHODS,
            costs=costs,
            against=against,
            config=load_config(None, config),
            progress=progress,
        )
    fitted = ", ".join(
        f"{name} T = {found.temperature:.3g} (NLL {found.nll_before:.4g} to {found.nll_after:.4g})"
        for name, found in report.fits.items()
    )
    if report.learned is not None:
        shifts = report.learned.shifts
        fitted += f", new cells {shifts.appear:+.2f} nats, divisions {shifts.division:+.2f}"
    face.close(
        f"{out}: {fitted}; {report.daughters:,} daughters of {plural(len(opened), 'movie')}, "
        f"{plural(report.errors, 'error')}, candidate recall {report.candidate_recall:.4f}, {report.seconds:.1f} s",
        report.as_dict(),
    )
