"""The lineage of one cell: who it came from, what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import MissingRowsError
from ..storage.families import read_family

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..storage.catalogue import SolutionInfo
    from ..storage.duckdb_store import DuckDBStore
    from ..storage.families import FamilyRows


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """The part of a lineage tree around a cell.

    Parameters
    ----------
    cell : int
        The cell that was asked for.
    id, frame, track : (n,) int64
        The cell and its relatives, ordered by (tracklet in the walk, frame).
    source, target : (m,) int64
        Ids of the cells that each link ties.
    branch, parent, depth : (k,) int64
        Tracklets that these cells make up, a mother before her daughters: number, number of the mother (0: none),
        and divisions since the first of them.
    """

    cell: int
    id: NDArray[np.int64]
    frame: NDArray[np.int64]
    track: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    branch: NDArray[np.int64]
    parent: NDArray[np.int64]
    depth: NDArray[np.int64]


def family_of(store: DuckDBStore, info: SolutionInfo, cell: int, *, up: bool = True, down: bool = True) -> Family:
    """Return the ancestors (`up`) and the descendants (`down`) of a cell, and the cell itself.

    Raises
    ------
    MissingRowsError
        If the cell is not part of the solution.
    """
    return family_from(cell, rows_of_family(store, info, cell, up=up, down=down))


def rows_of_family(store: DuckDBStore, info: SolutionInfo, cell: int, *, up: bool, down: bool) -> FamilyRows:
    """Return what the store holds of a family; as `family_of`."""
    rows = read_family(store, info, cell, up=up, down=down)
    if rows is None:
        raise MissingRowsError(
            f"cell {cell} is not part of solution {info.name}",
            **{"try": f'trackdb sql {store.path} "select cell, t, y, x from tracked limit 10"'},
        )
    return rows


def family_from(cell: int, rows: FamilyRows) -> Family:
    """Return the rows around a cell as its family."""
    return Family(
        cell=cell,
        id=rows.cell,
        frame=rows.frame,
        track=rows.track,
        source=rows.source,
        target=rows.target,
        branch=rows.tracks.id,
        parent=rows.tracks.parent,
        depth=rows.tracks.generation - rows.tracks.generation[0],
    )


def as_text(family: Family) -> str:
    """Draw the tracklets of a family as a tree, daughters under their mother."""
    lines = []
    branches = zip(family.branch.tolist(), family.depth.tolist(), _spans(family), strict=True)
    for row, (number, depth, mine) in enumerate(branches):
        frames, cells = family.frame[mine], family.id[mine]
        span = f"t {frames[0]}-{frames[-1]}" if len(frames) > 1 else f"t {frames[0]}"
        ends = f"{len(cells)} cells, {cells[0]} to {cells[-1]}" if len(cells) > 1 else f"cell {cells[0]}"
        here = f"  <- cell {family.cell}" if family.cell in cells else ""
        lines.append(f"{_stem(family.depth, row, depth)}track {number}  {span}  {ends}{here}")
    return "\n".join(lines)


def _stem(depth: NDArray[np.int64], row: int, own: int) -> str:
    """Return the lines to the left of a branch: a sister below it, or below one of its ancestors, keeps a line open."""
    below = depth[row + 1 :]
    stem = ""
    for level in range(1, own + 1):
        back = np.flatnonzero(below <= level)  # the next branch that is as high up as this level
        goes_on = len(back) > 0 and below[back[0]] == level
        stem += ("├─ " if goes_on else "└─ ") if level == own else ("│  " if goes_on else "   ")
    return stem


def as_newick(family: Family) -> str:
    """Write the tracklets of a family as a Newick tree; a branch is as long as the frames it lasts."""
    subtrees: dict[int, list[str]] = {}  # of the daughters, by the number of their mother
    branches = zip(family.branch.tolist(), family.parent.tolist(), _spans(family), strict=True)
    for number, parent, mine in reversed(list(branches)):
        frames = family.frame[mine]
        daughters = ",".join(reversed(subtrees.pop(number, [])))
        own = f"{f'({daughters})' if daughters else ''}{number}:{frames[-1] - frames[0] + 1}"
        subtrees.setdefault(parent, []).append(own)
    [(root,)] = subtrees.values()
    return f"{root};"


def _spans(family: Family) -> list[slice]:
    """Return where the cells of each branch stand; they are ordered by branch."""
    first = np.flatnonzero(np.append(True, np.diff(family.track) != 0))
    return [slice(*ends) for ends in zip(first.tolist(), [*first[1:].tolist(), len(family.track)], strict=True)]
