"""NIST's Lineage Mapper: label masks ``trk-seg_NNN.tif`` whose labels are tracks, with tables beside them [1]_.

``trk-birth-death.csv`` tells first and last frame of each track, ``trk-division.csv`` a mother and her daughters,
``trk-fusion.csv`` a cell and those that fused into it; frames count as the files do, from 1.

References
----------
.. [1] Chalfoun et al., "Lineage mapper: A versatile cell and particle tracker", Scientific Reports 2016.
"""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ...errors import FormatError
from ..pixels.files import open_numbered
from .masks import mask_source
from .options import refuse_options
from .track_file import TrackFile, lineage_of_tracks, require_frames, require_parents, require_tracks

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from .base import LabelLineage, Source, SourceOptions

LIVES, DIVISIONS, FUSIONS, MASK = "trk-birth-death.csv", "trk-division.csv", "trk-fusion.csv", "trk-seg_"


def open_lineage_mapper(path: Path, options: SourceOptions) -> Source:
    """Open a folder of results.

    Raises
    ------
    FormatError
        If masks or the table of births and deaths are missing, damaged, or contradict each other.
    ConfigError
        If the options do not fit.
    """
    refuse_options(path, "a result of the Lineage Mapper", options, "links", "truth", "columns", "sequence")
    masks = open_numbered(path, MASK, is_label=True)
    lives = _integers(path / LIVES, least=3)
    number = np.array([line for line, _ in lives], dtype=np.int64)
    table = np.array([row[:3] for _, row in lives], dtype=np.int64).reshape(-1, 3)
    label, first, last = np.ascontiguousarray(table.T)
    tracks = TrackFile(path / LIVES, number, label, first, last, np.zeros(len(table), dtype=np.int64))
    require_tracks(tracks, lowest=1)
    require_frames(tracks, masks.numbers[0], masks.numbers[-1])
    tracks = replace(tracks, parent=_mothers(path / DIVISIONS, tracks))
    require_parents(tracks)
    lineage = _with_fusions(lineage_of_tracks(tracks, "lineage_mapper"), tracks, path / FUSIONS)
    return mask_source(path.resolve().name, masks, options, lineages=[lineage], restart=True)


def is_lineage_mapper(path: Path) -> bool:
    """Tell whether a path is a folder with births and deaths of tracks."""
    return path.is_dir() and (path / LIVES).is_file()


def _mothers(path: Path, tracks: TrackFile) -> NDArray[np.int64]:
    """Return the mother of each track, 0 for none."""
    mother, place = tracks.parent.copy(), _places(tracks)
    for line, (_, of, *daughters) in _integers(path, least=4) if path.is_file() else ():  # a row for each division
        for row in _rows(place, daughters, f"{path} line {line}"):
            if mother[row] not in (0, of):
                raise FormatError(f"{path} line {line}: cell {tracks.label[row]} has two mothers", expected="one")
            mother[row] = of
        _rows(place, [of], f"{path} line {line}")
    return mother


def _with_fusions(lineage: LabelLineage, tracks: TrackFile, path: Path) -> LabelLineage:
    """Return the lineage with links from the last cells of tracks that fused to the first cell of what they made."""
    length = tracks.last - tracks.first + 1
    end = np.cumsum(length)
    source, target, place = [lineage.source], [lineage.target], _places(tracks)
    for line, (_, fused, *parts) in _integers(path, least=4) if path.is_file() else ():  # a row for each fusion
        (child,) = _rows(place, [fused], f"{path} line {line}")
        rows = _rows(place, parts, f"{path} line {line}")
        late = rows[tracks.last[rows] >= tracks.first[child]]
        if len(late):
            raise FormatError(
                f"{path} line {line}: cell {tracks.label[late[0]]} lives until frame {tracks.last[late[0]]}, "
                f"what it fused into from frame {tracks.first[child]}",
                expected="a cell that begins after those that fuse end",
            )
        source.append(end[rows] - 1)
        target.append(np.full(len(rows), end[child] - length[child]))
    return replace(lineage, source=np.concatenate(source), target=np.concatenate(target), merges=True)


def _places(tracks: TrackFile) -> dict[int, int]:
    """Return the row of each track by its label."""
    return {label: row for row, label in enumerate(tracks.label.tolist())}


def _rows(place: dict[int, int], labels: list[int], where: str) -> NDArray[np.int64]:
    """Return the rows of tracks, each there and each once."""
    lost = next((label for label in labels if label not in place), None)
    if lost is not None:
        raise FormatError(f"{where} names cell {lost}, which has no line in {LIVES}")
    if len(set(labels)) < len(labels):
        raise FormatError(f"{where} names a cell twice", expected="each once")
    return np.array([place[label] for label in labels], dtype=np.int64)


def _integers(path: Path, least: int) -> list[tuple[int, list[int]]]:
    """Return the rows of a small table behind its header, each with its line.

    Raises
    ------
    FormatError
        If it cannot be read, or an entry is no whole number.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(enumerate(csv.reader(lines), start=1))[1:]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FormatError(f"{path} cannot be read as a table", got=str(error)) from error
    found = []
    for line, row in rows:
        words = [word.strip() for word in row if word.strip()]
        whole = [int(word) for word in words if re.fullmatch(r"[0-9]{1,18}", word)]
        if words and (len(whole) < len(words) or len(words) < least):
            got = ",".join(row)[:80]
            raise FormatError(f"{path} line {line} is wrong", expected=f"{least} whole numbers or more", got=got)
        if words:
            found.append((line, whole))
    return found
