"""The whole way once, on a simulated movie: simulate, ingest, solve, say how sure it is, evaluate, ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import FormatError
from ..storage.duckdb_store import DuckDBStore
from ..storage.formats.base import SourceOptions
from ..storage.posteriors import find_posterior
from ..storage.sandbox import ask
from .config import Config
from .evaluate import evaluate
from .ingest import ingest
from .pipeline import solve
from .posterior.stage import posterior
from .progress import Progress, Silent
from .review.queue import Question, uncertain
from .simulation import Simulation, simulate, write_movie

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..storage.sandbox import Answer

QUESTION = """\
select track, first_t, last_t, n_children as daughters, (select cells from clone_size('ilp-1', cell, 29)) as clone
from (select track, min(cell) as cell from tracked where solution = 'ilp-1' group by track)
join tracks using (track) where solution = 'ilp-1' and parent is null order by clone desc, track limit 5"""


@dataclass(frozen=True, slots=True, eq=False)
class DemoStep:
    """One step of the demo.

    Parameters
    ----------
    command : str
        What a user would type.
    result : str
        What came of it, in a line.
    answer : Answer or None
        What the query returned.
    """

    command: str
    result: str
    answer: Answer | None = None


def demo(folder: Path, *, seed: int = 0, progress: Progress | None = None) -> Iterator[DemoStep]:
    """Go from nothing to a queried lineage in a folder, telling each step as it is done.

    Raises
    ------
    FormatError
        If the folder exists and is not empty.
    """
    progress = progress or Silent()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FormatError(f"{folder} is not empty", **{"try": "another folder, or remove it"})
    movie, store = folder / "movie", DuckDBStore(folder / "demo.trackdb", command="trackdb demo")

    settings = Simulation(seed=seed)
    written = write_movie(movie, simulate(settings), progress=progress)
    yield DemoStep(
        f"trackdb simulate -o {movie} --seed {seed}",
        f"{settings.frames} frames, {written.tracks} tracks of simulated cells; {settings.missed:.0%} of the cells are "
        f"missed by the segmentation, {settings.false:.0%} are false",
    )

    options = SourceOptions(truth=movie / "01_GT", images={"nuclei": movie / "01"})
    brought = ingest(movie / "01_SEG", store, name="demo", options=options, progress=progress)
    yield DemoStep(
        f"trackdb ingest {movie / '01_SEG'} --truth {movie / '01_GT'} --images nuclei={movie / '01'} -o {store.path}",
        f"{brought.frames} frames, {brought.detections} detections, {brought.links['truth']} true links",
    )

    solved = solve(store, store.detection_set(), progress=progress)
    yield DemoStep(
        f"trackdb solve {store.path}",
        f"{solved.links} links, {solved.tracks} tracks, {solved.divisions} divisions, "
        f"{'proven optimal' if solved.proven else 'not proven'}",
    )

    chosen, info = store.find_solution()
    sure = posterior(store, chosen, info, progress=progress)
    yield DemoStep(
        f"trackdb posterior {store.path}",
        f"what {sure.cells} cells do next, {sure.how['exact']} of them exactly; "
        f"{sure.mean_entropy_bits:.3f} bits of doubt in each",
    )

    asked = uncertain(store, *find_posterior(store), Config(), top=3, progress=progress)
    yield DemoStep(f"trackdb uncertain {store.path} --top 3", "; ".join(map(_told, asked)) or "nothing is in doubt")

    judged = evaluate(store, chosen, info)
    yield DemoStep(
        f"trackdb evaluate {store.path}",
        f"edge F1 {judged.edges.f1:.3f}, division F1 {judged.divisions[0].f1:.3f}",
    )

    answer = ask(store.path, QUESTION)
    yield DemoStep(f'trackdb sql {store.path} "{QUESTION}"', "the five largest families", answer)


def _told(question: Question) -> str:
    """Return what a cell may do in words, its two likeliest outcomes."""
    first, *others = (
        f"{'goes on as' if len(o.cells) == 1 else 'divides into' if o.cells else 'ends'}"
        f"{' ' if o.cells else ''}{' and '.join(map(str, o.cells))} ({o.probability:.0%})"
        for o in question.outcomes[:2]
    )
    return f"cell {question.cell} {' or '.join([first, *others])}"
