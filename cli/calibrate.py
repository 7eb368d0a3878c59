"""`trackdb calibrate`: what makes probabilities as unsure as they should be, of stores with truth or without."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from ..storage.plain import plural
from .options import ConfigFile, open_solution
from .view import Face, command

if TYPE_CHECKING:
    from ..engine.config import Config
    from ..engine.costs.shifts import CostShifts
    from ..storage.catalogue import DetectionSet, SolutionInfo
    from ..storage.duckdb_store import DuckDBStore

    Opened = list[tuple[DuckDBStore, DetectionSet, SolutionInfo]]

TRUTH = "truth"


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app)(calibrate)


def calibrate(
    face: Face,
    stores: Annotated[
        list[Path],
        typer.Argument(help="Stores with a solution; with truth, these are others than those that it is for."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="File to make (TOML); it must not be there.")],
    method: Annotated[
        list[str] | None,
        typer.Option(help="Method of trackdb posterior that gets a temperature; repeatable. By default auto, softmax."),
    ] = None,
    costs: Annotated[
        bool, typer.Option("--costs", help="Learn what new cells and divisions should cost, too.")
    ] = False,
    without_truth: Annotated[
        bool,
        typer.Option(
            "--without-truth",
            help="Look at no truth: learn rates and steps by expectation maximisation, for these movies and others.",
        ),
    ] = False,
    against: Annotated[str | None, typer.Option(help="Solution that is the truth (truth).")] = None,
    solution: Annotated[
        str | None, typer.Option(help="Solution in every store; by default the newest that was solved.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Fit a temperature for each method on movies with truth. Refused with fewer than 200 daughters or no errors.

    Example: trackdb calibrate a.trackdb b.trackdb -o cal.toml

    Example: trackdb posterior c.trackdb --temperature auto --calibration cal.toml

    Example: trackdb calibrate c.trackdb --without-truth -o own.toml
    """
    from ..engine.config import load_config

    if without_truth and (method or costs or against is not None):
        raise ConfigError(
            "without truth there are costs and nothing else to learn", expected="no --method, --costs or --against"
        )
    opened = [
        open_solution(store, None, solution, face.command, besides=against or TRUTH, doubtful=True) for store in stores
    ]
    settings = load_config(None, config)
    if without_truth:
        _without_truth(face, opened, out, settings)
    else:
        _with_truth(face, opened, out, settings, method, costs, against or TRUTH)


def _with_truth(
    face: Face, opened: "Opened", out: Path, config: "Config", method: list[str] | None, costs: bool, against: str
) -> None:
    from ..engine.posterior.calibrating import DEFAULT_METHODS
    from ..engine.posterior.calibrating import calibrate as fit

    with face.progress() as progress:
        report = fit(
            opened,
            out,
            methods=method or DEFAULT_METHODS,
            costs=costs,
            against=against,
            config=config,
            progress=progress,
        )
    fitted = ", ".join(
        f"{name} T = {found.temperature:.3g} (NLL {found.nll_before:.4g} to {found.nll_after:.4g})"
        for name, found in report.fits.items()
    )
    if report.learned is not None:
        fitted += f"; {_as_text(report.learned.shifts, report.calibration.scores)}"
    face.close(
        f"{out}: {fitted}; {report.daughters:,} daughters of {plural(len(opened), 'movie')}, "
        f"{plural(report.errors, 'error')}, candidate recall {report.candidate_recall:.4f}, {report.seconds:.1f} s",
        report.as_dict(),
    )


def _without_truth(face: Face, opened: "Opened", out: Path, config: "Config") -> None:
    from ..engine.posterior.calibrating_unlabelled import calibrate_without_truth

    with face.progress() as progress:
        report = calibrate_without_truth(opened, out, config=config, progress=progress)
    rounds = max(fit.learned.rounds for fit in report.fits.values())
    face.close(
        f"{out}: {_as_text(report.shifts, report.calibration.scores)}; learned without truth from "
        f"{plural(report.cells, 'cell')} of {plural(len(opened), 'movie')} in {plural(rounds, 'round')}, "
        f"{report.seconds:.1f} s",
        report.as_dict(),
    )


def _as_text(shifts: "CostShifts", scores: str) -> str:
    steps = f" (steps {shifts.motion_scale:.3g} times as long)" if scores == "distance" else ""
    return (
        f"links T = {shifts.temperature:.3g}{steps}, new cells {shifts.appear:+.2f} nats, "
        f"ends {shifts.end:+.2f}, divisions {shifts.division:+.2f}"
    )
