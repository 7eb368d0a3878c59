"""Lineages as lessons: the solution that a user names, and what the learned cost is taught by it.

What was taught is kept with the run, so that nobody has to find the other store again.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import CalibrationError, MissingRowsError, StoreDamagedError
from ..storage.catalogue import TRUTH
from ..storage.duckdb_store import DuckDBStore
from ..storage.facts import REMEDY
from ..storage.founding import GRAPH
from . import costs
from .candidates import link_nearest
from .graphs import graph_of_solution
from .looks import outlines_of, traits_of
from .names import done, linked_gap
from .progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..storage.catalogue import DetectionSet, SolutionInfo
    from ..storage.schema import CandidateEdges, Detections
    from .evidence import LearnedConfig

SPARSEST: Final = 0.8
"""Share of the detections that a lineage has to have, or it does not tell which of the others are no cells."""
FEWEST_LINKS: Final = 50
ANOTHER_PACE: Final = 0.1  # difference of the intervals between frames from which on it is said


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What was learned, and from which lineage.

    Parameters
    ----------
    solution, dataset, project, store : str
        The lineage: its name, its movie, the key of its store, and the folder of that.
    links, divisions, cells : int
        What it consists of, as far as candidates tell of it.
    first_frame, last_frame : int
        Where it has cells.
    taught : Taught
        The parameters.
    """

    solution: str
    dataset: str
    project: str
    store: str
    links: int
    divisions: int
    cells: int
    first_frame: int
    last_frame: int
    taught: costs.Taught

    def is_of(self, store: DuckDBStore, chosen: DetectionSet) -> bool:
        """Tell whether it was learned from a lineage of this very movie."""
        return (self.project, self.dataset) == (store.meta()["project"], chosen.movie.name)

    def as_dict(self) -> dict[str, Any]:
        """Return it as a run keeps it."""
        names = [field.name for field in fields(self) if field.name != "taught"]
        return {**{name: getattr(self, name) for name in names}, "parameters": self.taught.as_dict()}

    @classmethod
    def of_run(cls, params: Mapping[str, Any]) -> Lesson | None:
        """Return the lesson that a run of `trackdb solve` keeps, None where it had none.

        Raises
        ------
        StoreDamagedError
            If that is no lesson.
        """
        kept = params.get("taught")
        if kept is None:
            return None
        told = {name: value for name, value in kept.items() if name != "parameters"}
        try:
            return cls(**told, taught=costs.Taught.from_dict(kept["parameters"]))
        except StoreDamagedError:
            raise
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise StoreDamagedError(
                f"what the store tells of a lesson from {kept['solution']} is none",
                reason=str(error),
                **{"try": REMEDY},
            ) from None


def told_of(kept: Mapping[str, Any]) -> str:
    """Say what a lesson is from, as `Lesson.as_dict` keeps it.

    Examples
    --------
    >>> told_of({"links": 1234, "divisions": 12, "solution": "truth", "dataset": "hela"})
    'learned from 1,234 links and 12 divisions of truth of hela'
    """
    return (
        f"learned from {kept['links']:,} links and {kept['divisions']:,} divisions of {kept['solution']} "
        f"of {kept['dataset']}"
    )


def lesson_from(
    named: str, store: DuckDBStore, chosen: DetectionSet, read: LearnedConfig, progress: Progress | None = None
) -> Lesson:
    """Learn from the lineage that a user names, for a movie.

    Parameters
    ----------
    named : str
        ``NAME``, a solution of the same movie; ``NAME@STORE``, of the movie of another store; ``NAME@STORE/DATASET``
        where that holds several. Nothing before the ``@`` is ``truth``.
    store, chosen : DuckDBStore, DetectionSet
        The movie that it is for.
    read : LearnedConfig
        What to look at.
    progress : Progress
        Who is told what is no part of the lesson.

    Raises
    ------
    MissingRowsError
        If there is no such solution.
    StoreError
        If the other store cannot be read.
    CalibrationError
        If the other movie has another unit or number of axes, or its lineage knows less than 80 % of the detections or
        has fewer than 50 links.
    """
    progress = progress or Silent()
    place, of, info = _found(named, store, chosen)
    _require_alike(of, chosen, named, progress)
    lesson = _learned(place, of, info, read, max(linked_gap(store, chosen), int(read.gaps)), progress)
    here = {trait.name for trait in traits_of(store, chosen, store.detections(chosen), read)}
    there = set(lesson.taught.traits)
    if here - there:
        progress.note(f"{of.movie.name} tells nothing of {', '.join(sorted(here - there))}: not looked at")
    if there - here:
        progress.note(f"{chosen.movie.name} has no {', '.join(sorted(there - here))}: not looked at")
    if not lesson.taught.knows_errors:
        progress.note(
            f"no detection of {of.movie.name} is false and no cell is missed: how often they are is read from "
            f"{chosen.movie.name} itself"
        )
    progress.note(told_of(lesson.as_dict()))
    return lesson


def _found(named: str, store: DuckDBStore, chosen: DetectionSet) -> tuple[DuckDBStore, DetectionSet, SolutionInfo]:
    """Return the store, the detections and the solution that a name stands for."""
    name, at, folder = named.partition("@")
    if not at or named in store.solution_names(chosen):
        try:
            return store, *store.find_solution(chosen.movie.name, named)
        except MissingRowsError as error:
            if not Path(named).exists():
                raise
            raise MissingRowsError(error.message, **error.details, **{"try": f"{TRUTH}@{named}"}) from None
    path, dataset = Path(folder), None
    if not path.exists() and (path.parent / GRAPH).exists():
        path, dataset = path.parent, path.name
    other = DuckDBStore(path)
    other.check_version()
    return other, *other.find_solution(dataset, name or TRUTH)


def _require_alike(of: DetectionSet, chosen: DetectionSet, named: str, progress: Progress) -> None:
    """Raise CalibrationError where lengths of one movie mean something else in the other one; say it of times."""
    there, here = of.movie, chosen.movie
    if there.ndim != here.ndim:
        raise CalibrationError(
            f"{named} is of a movie in {there.ndim}D, {here.name} is in {here.ndim}D",
            **{"try": "a movie with as many axes"},
        )
    if there.unit != here.unit:
        raise CalibrationError(
            f"{named} is in {there.unit}, {here.name} in {here.unit}: lengths of one tell nothing of the other",
            **{"try": "ingest with --pixel-size"},
        )
    if there.interval_s and here.interval_s:
        pace = there.interval_s / here.interval_s
        if abs(pace - 1) > ANOTHER_PACE:
            progress.note(
                f"frames are {there.interval_s:g} s apart in {there.name} and {here.interval_s:g} s in {here.name}: "
                "steps and rates are learned per frame"
            )


def _learned(
    store: DuckDBStore, chosen: DetectionSet, info: SolutionInfo, read: LearnedConfig, max_gap: int, progress: Progress
) -> Lesson:
    """Learn, of links that miss as many frames at most as those of the movie that it is for."""
    whole = store.detections(chosen)
    graph, row = graph_of_solution(store, info, whole)
    cell = np.zeros(len(whole), dtype=bool)
    cell[row] = True
    kept = ~graph.merge
    source, target = row[graph.links.source[kept]], row[graph.links.target[kept]]
    if not len(source):
        raise CalibrationError(f"{info.name} of {chosen.movie.name} has no links to learn from")

    # a lineage of some frames tells of these frames, whatever else was detected
    first = int(np.searchsorted(whole.frame, whole.frame[source].min()))
    stop = int(np.searchsorted(whole.frame, whole.frame[target].max(), side="right"))
    detections, cell = whole.between(first, stop), cell[first:stop]
    share = float(cell.mean())
    if share < SPARSEST:
        raise CalibrationError(
            f"{info.name} of {chosen.movie.name} has {100 * share:.0f} % of the detections in its frames: of the "
            "others it does not tell whether they are cells",
            expected=f"a lineage with {100 * SPARSEST:.0f} % of them or more",
            **{"try": "trackdb solve, correct it, and learn from that solution"},
        )
    edges = _candidates(store, chosen, detections, max_gap)
    labels = costs.Labels(source - first, target - first, cell)
    traits = [trait.part(first, stop) for trait in traits_of(store, chosen, whole, read)]
    outlines = outlines_of(store, chosen, detections, edges, read)
    taught, lineage = costs.learn_from_labels(detections, edges, labels, read, traits, outlines)
    links = int(lineage.has_child.sum()) + int((lineage.second >= 0).sum())
    if links < FEWEST_LINKS:
        raise CalibrationError(
            f"{info.name} of {chosen.movie.name} has {links:,} links that are candidates: too few to learn from",
            expected=f"{FEWEST_LINKS} or more",
            **{"try": "trackdb solve without --learn-from, which learns from the cells themselves"},
        )
    if links < len(source):
        progress.note(
            f"{len(source) - links:,} of {len(source):,} links of {info.name} are no candidates: each is learned as an "
            "end and a beginning"
        )
    return Lesson(
        solution=info.name,
        dataset=chosen.movie.name,
        project=store.meta()["project"],
        store=store.path.name,
        links=links,
        divisions=int((lineage.second >= 0).sum()),
        cells=int(cell.sum()),
        first_frame=int(detections.frame[0]),
        last_frame=int(detections.frame[-1]),
        taught=taught,
    )


def _candidates(store: DuckDBStore, chosen: DetectionSet, detections: Detections, max_gap: int) -> CandidateEdges:
    """Return the candidates of some frames as `trackdb solve` would find them; nothing is written."""
    before = done(store, chosen, "link")
    if not before:
        return link_nearest(detections, max_gap=max_gap)
    settings = before[-1].params
    return link_nearest(
        detections, max_distance=settings["max_distance"], neighbors=settings["neighbors"], max_gap=max_gap
    )
