"""Which detections and which solution are meant, where a name says it and where none is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import MissingRowsError
from .catalogue import TRUTH, the_one

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .catalogue import DetectionSet, SolutionInfo


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
