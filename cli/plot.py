"""`trackdb plot`: figures of how far the probabilities of a posterior can be trusted."""

from pathlib import Path
from typing import Annotated

import typer

from .options import Dataset, Solution, Store, open_store
from .view import Face, command


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    command(app)(plot)


def plot(
    face: Face,
    what: Annotated[str, typer.Argument(metavar="WHAT", help="reliability or rejection.")],
    store: Store,
    out: Annotated[Path, typer.Option("-o", "--out", help="File to make, .svg or .png; it must not be there.")],
    against: Annotated[str, typer.Option(help="Solution, CTC folder, or any file with the truth.")] = "truth",
    posterior: Annotated[str | None, typer.Option(help="Posterior; the newest by default.")] = None,
    dataset: Dataset = None,
    solution: Solution = None,
) -> None:
    """Draw how often confidences are right, or what rejecting the least sure cells gains.

    Example: trackdb plot reliability movie.trackdb -o reliability.svg

    Example: trackdb plot rejection movie.trackdb -o rejection.png
    """
    from ..engine.evaluate import judge_posterior
    from ..engine.plotting import plot as draw
    from ..engine.plotting import require_plottable

    require_plottable(what, out)
    opened = open_store(store, face.command)
    with face.progress() as progress:
        judged = judge_posterior(
            opened, dataset, solution=solution, posterior=posterior, against=against, progress=progress
        )
        draw(what, judged, out)
    report = judged.report()
    face.close(
        f"{out}: posterior {report.posterior.name}, {report.with_new.daughters:,} daughters, "
        f"ECE {report.with_new.ece:.4f}, AURC {report.with_new.aurc_entropy:.4f}",
        {"plot": what, "path": str(out), **report.as_dict()},
    )
