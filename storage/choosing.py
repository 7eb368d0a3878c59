"""Which detections, solution and posterior are meant, where a name says it and where none is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import MissingRowsError
from .catalogue import TRUTH, the_one

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from .catalogue import DetectionSet, SolutionInfo
    from .posteriors import PosteriorInfo


def the_set(sets: Sequence[DetectionSet], dataset: str | None, detections: str | None) -> DetectionSet:
    """Return the detection set of these names: by default the newest one of the only dataset.

    Parameters
    ----------
    sets : sequence of DetectionSet
        All finished ones, oldest first.
    dataset, detections : str or None
        Names.

    Raises
    ------
    MissingRowsError
        If there is none of that name, or several datasets and none is named.
    """
    by_dataset: dict[str, dict[str, DetectionSet]] = {}
    for one in sets:
        by_dataset.setdefault(one.movie.name, {})[one.name] = one
    named = the_one(by_dataset, dataset, "dataset")
    return the_one(named, list(named)[-1] if detections is None else detections, "detections")


def the_solution(
    known: Mapping[str, SolutionInfo], name: str | None, path: Path, *, besides: str | None, doubtful: bool
) -> SolutionInfo:
    """Return the solution of that name; without one the newest that was solved here, else the newest imported one.

    Parameters
    ----------
    known : mapping of str to SolutionInfo
        All finished solutions of a dataset by name, oldest first.
    name : str or None
        The one that is asked for.
    path : Path
        Of the store.
    besides : str or None
        An imported one that is taken only where there is no other; ``truth`` is one such always.
    doubtful : bool
        Whether it is to be doubted: then these two are taken by name alone.

    Raises
    ------
    MissingRowsError
        If there is none of that name, or without a name none to be doubted.
    """
    if not known and name is None:
        raise MissingRowsError(f"{path} holds no solution yet", **{"try": f"trackdb solve {path}"})
    solved = [n for n, info in known.items() if info.objective is not None]
    others = [n for n in known if n != besides]
    imported = [n for n in others if n != TRUTH] or others or list(known)
    wanted = next(reversed(solved or imported), None) if name is None else name
    info = the_one(known, wanted, "solution")
    if doubtful and name is None and info.name in (TRUTH, besides):
        raise MissingRowsError(
            f"{path} holds no solution but {info.name}, and how sure the truth is, nobody asks",
            **{"try": f"trackdb solve {path}, or --solution {info.name} to weigh it all the same"},
        )
    return info


def the_posterior(
    known: Mapping[str, PosteriorInfo],
    solutions: Mapping[int, SolutionInfo],
    name: str | None,
    path: Path,
    *,
    solution: str | None,
    besides: str | None,
    telling: Collection[int] | None,
    methods: Collection[str] | None,
) -> PosteriorInfo:
    """Return the posterior of that name; without one the newest that fits what else is asked.

    Parameters
    ----------
    known : mapping of str to PosteriorInfo
        All finished posteriors of a dataset by name, oldest first.
    solutions : mapping of int to SolutionInfo
        Its solutions by number.
    name : str or None
        The one that is asked for.
    path : Path
        Of the store.
    solution : str or None
        Name of the solution that it has to be of.
    besides : str or None
        A solution whose posteriors are taken only where there is no other.
    telling : collection of int or None
        Numbers of those that are taken before all others.
    methods : collection of str or None
        By one of which it has to be computed.

    Raises
    ------
    MissingRowsError
        If there is none.
    """
    fitting = known
    if solution is not None:
        asked = the_one({info.name: info for info in solutions.values()}, solution, "solution")
        fitting = {n: info for n, info in known.items() if info.solution_id == asked.id}
    if name is not None and fitting:
        return the_one(fitting, name, "posterior")
    if name is None:
        fitting = {n: info for n, info in fitting.items() if solutions[info.solution_id].name != besides} or fitting
        fitting = {n: info for n, info in fitting.items() if methods is None or info.method in methods}
        fitting = {n: info for n, info in fitting.items() if telling is None or info.id in telling} or fitting
        if fitting:
            return list(fitting.values())[-1]
    of_which = "" if solution is None else f" of {solution}"
    of_which += f" by {', '.join(methods)}" if methods is not None and name is None else ""
    again = "" if solution is None else f" --solution {solution}"
    raise MissingRowsError(f"{path} holds no posterior{of_which}", **{"try": f"trackdb posterior {path}{again}"})
