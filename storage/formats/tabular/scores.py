"""Tables of numbers that somebody gave pairs of cells: what a network says of each, or any similarity.

A row names its two cells by their numbers in the store (``source``, ``target``), or by frame and label
(``source_frame``, ``source_label``, ``target_frame``, ``target_label``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ....errors import FormatError
from .columns import Table, column_names, read_columns
from .guess import KNOWN as OF_POINTS
from .guess import guess_column, map_columns, require_keys

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

KNOWN = {
    "source": OF_POINTS["source"],
    "target": OF_POINTS["target"],
    "score": ("score", "scores", "probability", "prob", "p", "weight", "similarity", "logit", "edge_score",
              "edge_prob"),
    "source_frame": ("source_frame", "frame_source", "source_t", "t_source", "t_previous", *OF_POINTS["t"]),
    "source_label": ("source_label", "label_source", "label_previous", "source_seg_id"),
    "target_frame": ("target_frame", "frame_target", "target_t", "t_target", "t_current"),
    "target_label": ("target_label", "label_target", "label_current", "target_seg_id"),
}  # fmt: skip
IDS, LABELS, FRAMES = ("source", "target"), ("source_label", "target_label"), ("source_frame", "target_frame")


@dataclass(frozen=True, slots=True, eq=False)
class ScoredPairs:
    """Pairs of cells with a number each, as a table names them.

    Parameters
    ----------
    table : Table
        Where they were read; `Table.where` names the line of a row.
    score : (m,) float64
        Their numbers, all finite.
    source, target : (m,) int64
        What each cell is called: its number in the store or, with `by_label`, its label.
    by_label : bool
        Whether cells are called by their labels.
    frames : tuple of two (m,) int64, or None
        Frames of source and target; None where the table does not tell them.
    notes : list of str
        What was guessed.
    """

    table: Table
    score: NDArray[np.float64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    by_label: bool
    frames: tuple[NDArray[np.int64], NDArray[np.int64]] | None
    notes: list[str]

    def __len__(self) -> int:
        return len(self.score)


def read_scored_pairs(path: Path, asked: Mapping[str, str]) -> ScoredPairs:
    """Read the pairs of a table, as the user names its columns or by well known names.

    Parameters
    ----------
    path : Path
        A table of text or Parquet.
    asked : mapping of str to str
        Columns as the user says, by our names.

    Raises
    ------
    FormatError
        If a column is missing, an entry is no number, or there are no pairs.
    ConfigError
        If the user maps a name that we do not have.
    """
    if not path.exists():
        raise FormatError(f"there is no table of scores at {path}", expected="a .csv, .tsv, .txt or .parquet file")
    if not path.is_file():
        raise FormatError(f"{path} is no table of scores", expected="a .csv, .tsv, .txt or .parquet file")
    there = column_names(path)
    require_keys(asked, KNOWN)
    by_label = _called_by_label(there, asked)
    names, note = map_columns(
        path,
        there,
        asked,
        needed=(*(LABELS if by_label else IDS), "score"),
        welcome=FRAMES if by_label else (),
        known=KNOWN,
    )
    table = read_columns(path, names.values())
    if not len(table):
        raise FormatError(f"{path} holds no pairs", expected="a row for each pair of cells")
    source, target = (table.integers(names[key]) for key in (LABELS if by_label else IDS))
    frames, told = _frames(table, names)
    return ScoredPairs(
        table=table,
        score=table.numbers(names["score"]),
        source=source,
        target=target,
        by_label=by_label,
        frames=frames,
        notes=[*([note] if any(key != column for key, column in names.items()) else []), *told, *table.notes],
    )


def _called_by_label(there: tuple[str, ...], asked: Mapping[str, str]) -> bool:
    """Tell how a table calls its cells: as the user says, else by number where it has columns for that."""
    if any(key in asked for key in (*LABELS, *FRAMES)):
        return True
    numbered = all(key in asked or guess_column(key, there, KNOWN) for key in IDS)
    return not numbered and all(guess_column(key, there, KNOWN) for key in LABELS)


def _frames(
    table: Table, names: dict[str, str]
) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]] | None, list[str]]:
    """Return the frames of sources and targets, and a note where the targets are taken to be one frame later."""
    if "source_frame" not in names:
        if "target_frame" not in names:
            return None, []
        raise FormatError(
            f"{table.path} tells the frames of targets, but not of sources",
            **{"try": "--columns source_frame=NAME"},
        )
    source = table.integers(names["source_frame"])
    if "target_frame" in names:
        return (source, table.integers(names["target_frame"])), []
    return (source, source + 1), [
        f"column {names['source_frame']} is the frame of the source, each target is one frame later"
    ]
