"""The track file of the Cell Tracking Challenge: ``L B E P`` per line.

L is the label of a track, B and E its first and last frame (from 0, both inside), P the label of its parent, 0 for
none. Columns are parted by blanks or tabs, and there is no header.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import FormatError
from ..schema import require_equal_lengths
from .base import LabelLineage

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NAMES = ("man_track.txt", "res_track.txt")


@dataclass(frozen=True, slots=True, eq=False)
class TrackFile:
    """The tracks of one file, in its order.

    Parameters
    ----------
    path : Path
        Where it was read.
    line : (k,) int64
        Line of each track, from 1.
    label, first, last, parent : (k,) int64
        Label, first and last frame, and label of the parent, 0 for none.
    """

    path: Path
    line: NDArray[np.int64]
    label: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    parent: NDArray[np.int64]

    def __post_init__(self) -> None:
        require_equal_lengths(line=self.line, label=self.label, first=self.first, last=self.last, parent=self.parent)

    def __len__(self) -> int:
        return len(self.label)

    @property
    def parent_row(self) -> NDArray[np.int64]:
        """Row of the parent of each track, -1 for none."""
        order = np.argsort(self.label)
        rows = np.full(len(self), -1, dtype=np.int64)
        has = np.flatnonzero(self.parent > 0)
        rows[has] = order[np.searchsorted(self.label, self.parent[has], sorter=order)]
        return rows


def find_track_file(path: Path) -> Path | None:
    """Return the track file that a file, an ``NN_GT``, its ``TRA`` or an ``NN_RES`` folder names, None if none."""
    if path.is_file():
        return path
    candidates = [folder / name for folder in (path, path / "TRA") for name in NAMES]
    return next((c for c in candidates if c.is_file()), None)


def read_track_file(path: Path, *, label_zero: bool = False) -> TrackFile:
    """Read and check a track file.

    Parameters
    ----------
    path : Path
        ``man_track.txt`` or ``res_track.txt``.
    label_zero : bool
        Allow a track with label 0, which no mask could hold; a parent 0 means none all the same.

    Raises
    ------
    FormatError
        If a line is not four whole numbers, a label repeats or is not positive, a track ends before it begins, or a
        parent is unknown or does not end before its child begins.
    """
    lines, rows = [], []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} cannot be read as text", got=str(error)) from error
    for number, line in enumerate(text.splitlines(), start=1):
        if words := line.split():
            lines.append(number)
            rows.append(_four_integers(words, f"{path} line {number}"))
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    tracks = TrackFile(path, np.array(lines, dtype=np.int64), *np.ascontiguousarray(table.T))
    require_tracks(tracks, lowest=0 if label_zero else 1)
    require_parents(tracks)
    return tracks


def _four_integers(words: list[str], where: str) -> list[int]:
    if len(words) != 4:
        got = f"{len(words)} columns: {' '.join(words[:6])}"
        raise FormatError(f"{where} does not have four columns", expected="L B E P", got=got)
    values = []
    for name, word in zip("LBEP", words, strict=True):
        try:
            values.append(int(word))
        except ValueError:
            raise FormatError(f"{where}: {name} is not a whole number", expected="L B E P", got=word) from None
        if abs(values[-1]) >= 2**62:
            raise FormatError(f"{where}: {name} is too large", expected="a 64-bit number", got=word)
    return values


def require_tracks(tracks: TrackFile, *, lowest: int) -> None:
    """Raise FormatError unless labels are unique and positive, and each track lasts a frame at least."""

    def refuse(bad: NDArray[np.bool_], what: str, expected: str) -> None:
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            numbers = {"L": tracks.label[row], "B": tracks.first[row], "E": tracks.last[row], "P": tracks.parent[row]}
            got = " ".join(f"{k}={v}" for k, v in numbers.items())
            text = what.format(**numbers)
            raise FormatError(f"{tracks.path} line {tracks.line[row]}: {text}", expected=expected, got=got)

    refuse(tracks.label < lowest, "label {L} is not a track", f"a label of at least {lowest}")
    repeated = np.ones(len(tracks), dtype=bool)
    repeated[np.unique(tracks.label, return_index=True)[1]] = False
    refuse(repeated, "label {L} has a line already", "one line per label")
    refuse(tracks.first < 0, "track {L} begins at frame {B}", "frames from 0")
    refuse(tracks.first > tracks.last, "track {L} ends at frame {E} but begins at {B}", "B <= E")
    refuse(tracks.parent < 0, "the parent of track {L} is {P}", "0 for none, else the label of a track")
    known = (tracks.parent == 0) | np.isin(tracks.parent, tracks.label)
    refuse(~known, "the parent of track {L} is {P}, which has no line", "0 for none, else the label of a track")
    own = (tracks.parent == tracks.label) & (tracks.parent != 0)
    refuse(own, "track {L} is its own parent", "0 for none, else another track")


def require_parents(tracks: TrackFile) -> None:
    """Raise FormatError unless each parent ends before its child begins."""
    parent = tracks.parent_row
    child = np.flatnonzero(parent >= 0)
    late = child[tracks.last[parent[child]] >= tracks.first[child]]
    if len(late):
        row, mother = late[0], parent[late[0]]
        raise FormatError(
            f"{tracks.path} line {tracks.line[row]}: parent {tracks.label[mother]} ends at frame {tracks.last[mother]},"
            f" child {tracks.label[row]} begins at {tracks.first[row]}",
            expected="a child that begins after its parent ends",
        )


def require_frames(tracks: TrackFile, first: int, last: int) -> None:
    """Raise FormatError unless all tracks live within the frames that there are masks for."""
    outside = np.flatnonzero((tracks.first < first) | (tracks.last > last))
    if len(outside):
        row = outside[0]
        raise FormatError(
            f"{tracks.path} line {tracks.line[row]}: track {tracks.label[row]} lives from frame {tracks.first[row]} "
            f"to {tracks.last[row]}",
            expected=f"frames {first} to {last}, for which there are masks",
        )


def lineage_of_tracks(
    tracks: TrackFile, name: str, *, complete: bool = True, masks: tuple[Path, ...] = ()
) -> LabelLineage:
    """Return the cells of all tracks, each tied to the next of its track, and the first to the last of its parent."""
    length = tracks.last - tracks.first + 1
    end = np.cumsum(length)
    begin = end - length
    n = int(end[-1]) if len(end) else 0
    frame = np.arange(n) - np.repeat(begin - tracks.first, length)
    is_last = np.zeros(n, dtype=bool)
    is_last[end - 1] = True
    along = np.flatnonzero(~is_last)
    parent = tracks.parent_row
    child = np.flatnonzero(parent >= 0)
    return LabelLineage(
        name=name,
        origin=str(tracks.path),
        frame=frame,
        label=np.repeat(tracks.label, length),
        source=np.concatenate([along, end[parent[child]] - 1]),
        target=np.concatenate([along + 1, begin[child]]),
        complete=complete,
        masks=masks,
        by_tracklet=True,
    )
