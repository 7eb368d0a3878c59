"""`trackdb posterior` and `trackdb uncertain`: how sure a solution is, and where to look first."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from ..storage.plain import as_table, plural
from .options import ConfigFile, Dataset, Solution, Store, open_solution, open_store
from .view import Face, command

if TYPE_CHECKING:
    from ..engine.posterior.stage import PosteriorReport
    from ..engine.review.queue import Question

AUTO = "auto"
SHOWN_OUTCOMES = 4  # in a table for people, and those that are not nothing; --json has all
SHOWN_FROM = 0.005
PARENTS = "parents"  # a view of questions, as engine.review.queue has it: that is imported where it is needed


def add_commands(app: typer.Typer) -> None:
    """Add this file's commands."""
    for function in (posterior, uncertain):
        command(app)(function)


def posterior(
    face: Face,
    store: Store,
    method: Annotated[
        str | None,
        typer.Option(
            help="auto (exact where it can be, the default), exact, belief, gibbs, perturb-map; of the paper: softmax "
            "(SM), topk (AS), perturb (FP), perturb-assign (FP+A)."
        ),
    ] = None,
    temperature: Annotated[
        str | None,
        typer.Option(
            help="What costs are divided by, .001 to 1000; auto: by the calibration, else by the settings, else as "
            "is usual (1.2 for the learned cost, else 1)."
        ),
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="File of trackdb calibrate that tells the temperature of the method.")
    ] = None,
    k: Annotated[int | None, typer.Option("--k", help="Lineages that topk lists (100).")] = None,
    draws: Annotated[
        int | None, typer.Option(min=1, help="Draws of the methods that perturb; by default as many as is usual.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed draws the same (0).")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the posterior; by default posterior-1 and so on.")] = None,
    afresh: Annotated[
        bool,
        typer.Option("--afresh", help="Weigh all, also where annotations alone are newer than a stored posterior."),
    ] = False,
    solution: Solution = None,
    dataset: Dataset = None,
    config: ConfigFile = None,
) -> None:
    """Say how likely each link is, and what each cell does next. So it tells how sure a solution is.

    Given again after annotations it weighs the pieces that they touch, and takes the rest over from what is stored.

    Example: trackdb posterior movie.trackdb

    Example: trackdb posterior movie.trackdb --method softmax --temperature 1.5 --name simple

    Example: trackdb posterior movie.trackdb --temperature auto --calibration cal.toml
    """
    from ..engine.config import load_config
    from ..engine.posterior.estimate import method_named
    from ..engine.posterior.stage import posterior as weigh
    from ..engine.posterior_config import temperature_options

    given: dict[str, object] = {"method": method and method_named(method), "k": k, "draws": draws, "seed": seed}
    fixed = None if temperature is None or temperature == AUTO else _number(temperature)
    given |= temperature_options(fixed, calibration)
    opened, chosen, info = open_solution(store, dataset, solution, face.command, doubtful=True)
    settings = load_config(store, config, {"posterior": given})
    if temperature == AUTO and not (settings.posterior.calibrated or settings.posterior.calibration):
        taken = f"{settings.posterior.temperature:g}" if settings.posterior.temperature else "the usual one"
        face.note(f"no temperature was fitted yet: {taken} is taken")
    with face.progress() as progress:
        report = weigh(opened, chosen, info, settings, name=name, afresh=afresh, progress=progress)
    how = ", ".join(f"{count:,} {label}" for label, count in report.how.items() if count)
    pinned = f", {plural(report.pins, 'annotation')} taken for certain" if report.pins else ""
    face.close(
        f"posterior {report.posterior} of {report.solution} by {report.method}: {plural(report.cells, 'cell')}"
        f"{f' ({how})' if how else ''}, {report.mean_entropy_bits:.3g} bits of doubt in each{pinned}{_again(report)}, "
        f"{report.seconds:.1f} s",
        asdict(report),
    )


def _again(report: "PosteriorReport") -> str:
    """Return in words how much was weighed again; nothing where all was weighed."""
    again = report.again
    if again is None:
        return ""
    pieces = f"{again.pieces:,} of {plural(again.of_pieces, 'piece')}"
    cells = f"{again.cells:,} of {plural(report.cells, 'cell')}"
    return f"; {pieces} and {cells} weighed again, the rest as in {again.base}"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"--temperature is a number within .001 .. 1000, or {AUTO}, got {text!r}") from None


def uncertain(
    face: Face,
    store: Store,
    top: Annotated[int, typer.Option(min=1, help="How many questions.")] = 20,
    by: Annotated[
        str,
        typer.Option(
            help="error-reduction: wrong links that an answer takes away; entropy, margin, degree (expected daughters "
            "against those in the solution): as the posterior is stored."
        ),
    ] = "error-reduction",
    posterior_name: Annotated[
        str | None,
        typer.Option("--posterior", help="Posterior to ask; by default the newest that tells of cells."),
    ] = None,
    solution: Annotated[
        str | None, typer.Option("--solution", help="Solution whose newest posterior is asked.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the list as a page with pictures, FILE.html, too.")
    ] = None,
    dataset: Dataset = None,
    config: ConfigFile = None,
) -> None:
    """List where to look first: what cells may do next. The question whose answer is worth most is on top.

    A posterior by softmax or perturb tells of links alone: then it is asked whose daughters cells are.

    Example: trackdb uncertain movie.trackdb --top 10

    Example: trackdb uncertain movie.trackdb --by entropy --json

    Example: trackdb uncertain movie.trackdb --html review.html
    """
    from ..engine.config import load_config
    from ..engine.pixels import pixels_of
    from ..engine.plots.page import require_page, write_page
    from ..engine.review.asking import ask_first, posterior_to_ask

    if html is not None:
        require_page(html)

    opened = open_store(store, face.command)
    with face.progress() as progress:
        chosen, info, found = posterior_to_ask(opened, dataset, posterior_name, solution=solution, progress=progress)
        asked = ask_first(opened, chosen, info, found, load_config(store, config), top=top, by=by, progress=progress)
        if html is not None:
            write_page(asked, opened.detections(chosen), pixels_of(opened, chosen), html)
            face.note(f"{html} has {plural(len(asked.items), 'question')} with pictures")
    if asked.open and not asked.items:
        face.note(
            "no answer would take away a thousandth of a wrong link; --by entropy lists what is open all the same"
        )
    of_parents = any(item.view == PARENTS for item in asked)
    told = "whose daughter it may be" if of_parents else "what it may do next"
    columns = ["rank", "cell", "frame", "bits", "errors fewer", told, "solution", "how"]
    fewer = asked.errors_fewer
    worth = "" if fewer is None else f", {fewer:.3g} wrong links fewer once they are answered"
    questions = f"{plural(len(asked), 'question')}{' of parents' if of_parents else ''}"
    face.show(
        as_table(columns, [_row(item) for item in asked.items]) if asked.items else "",
        f"{questions} by {asked.by} of {asked.open:,} that {asked.posterior} of {asked.solution} leaves open{worth}",
        asked.as_dict(),
    )


def _row(item: "Question") -> list[object]:
    """Return a question for people; daughters are joined by a plus."""
    of_parents = item.view == PARENTS
    nobody = "new" if of_parents else "ends"
    likely = [outcome for outcome in item.outcomes if outcome.probability >= SHOWN_FROM]
    shown = [f"{_named(outcome.cells, nobody)} {outcome.probability:.2f}" for outcome in likely[:SHOWN_OUTCOMES]]
    more = len(likely) - len(shown)
    worth = None if item.expected_error_reduction is None else round(item.expected_error_reduction, 3)
    chosen = "not part of it" if item.chosen is None else _named(item.chosen, nobody)
    told = " | ".join([*shown, *([f"{more} more"] if more else [])])
    how = f"{item.how}, of parents" if of_parents else item.how
    return [item.rank, item.cell, item.frame, round(item.entropy_bits, 3), worth, told, chosen, how]


def _named(cells: tuple[int, ...], nobody: str) -> str:
    return "+".join(map(str, cells)) or nobody
