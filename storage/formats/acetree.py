"""AceTree: nuclei of each time point in files ``tNNN-nuclei``, in a zip or a folder ``nuclei``.

A line is a nucleus: index, valid, predecessor, successor 1, successor 2, x, y, z, size, name, and more that is not
read [1]_. Indices count from 1 within a time point, -1 means none. x and y are pixels, z is a plane, size a diameter in
pixels. Time points count from 1; the first one is frame 0 here.

References
----------
.. [1] Boyle et al., "AceTree: a tool for visual analysis of Caenorhabditis elegans embryogenesis", BMC Bioinformatics
   2006.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import FormatError
from ..pixels.frames import MAX_FRAMES
from .archive import open_archive, read_member
from .base import Points
from .calibration import LARGEST
from .lineage import note_crowded
from .options import refuse_options
from .points import point_source
from .tabular.columns import LONGEST_TEXT, as_float
from .tabular.ids import Ids
from .tabular.lineage import linked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from .base import LabelLineage, Source, SourceOptions

NUCLEI = re.compile(r"(?:^|.*/)t(\d{1,6})-nuclei")
NUMBERS = ("index", "valid", "predecessor", "successor 1", "successor 2", "x", "y", "z", "size")
N_COLUMNS = len(NUMBERS) + 1  # and the name


@dataclass(frozen=True, slots=True, eq=False)
class Nuclei:
    """Valid nuclei of all time points, ordered by time point and index.

    Parameters
    ----------
    time, index : (n,) int64
        Time point, and number within it.
    successor : (n, 2) int64
        Indices in the next time point, -1 for none.
    predecessor : (n,) int64
        Index in the time point before, -1 for none.
    position_px : (n, 3) float64
        Plane, y and x.
    size : (n,) float64
        Diameter in pixels.
    name : (n,) str
        Name of the cell.
    """

    time: NDArray[np.int64]
    index: NDArray[np.int64]
    successor: NDArray[np.int64]
    predecessor: NDArray[np.int64]
    position_px: NDArray[np.float64]
    size: NDArray[np.float64]
    name: NDArray[np.str_]


def open_acetree(path: Path, options: SourceOptions) -> Source:
    """Open the nuclei of an AceTree project; nuclei that are not valid are left out.

    Raises
    ------
    FormatError
        If there are no nuclei, a line cannot be read, indices repeat, or successors contradict each other.
    ConfigError
        If the options do not fit.
    """
    refuse_options(path, "AceTree nuclei", options, "links", "truth", "columns", "sequence")
    nuclei, n_left_out = _valid_nuclei(path)
    notes = ["time point 1 of the files is frame 0 here", "positions are pixels, z counts planes"]
    notes += [f"nuclei that are not valid are left out: {n_left_out:,}"] if n_left_out else []
    frame = nuclei.time - 1
    lineage, said = _lineage(path, nuclei, frame)
    points = Points(
        nuclei.index,
        nuclei.position_px,
        np.full(len(frame), np.nan),
        {"name": nuclei.name, "size": nuclei.size},
    )
    notes += [*said, *note_crowded(lineage)]
    name = path.name.split(".")[0] if path.is_file() else path.resolve().name
    return point_source(name, options, frame, points, lineages=[lineage], notes=notes)


def is_acetree(path: Path) -> bool:
    """Tell whether a path is a zip or a folder of nuclei files."""
    if path.is_dir():
        folder = path / "nuclei" if (path / "nuclei").is_dir() else path
        return any(NUCLEI.fullmatch(p.name) for p in folder.iterdir())
    if not (path.is_file() and path.name.lower().endswith(".zip")):
        return False
    try:
        with open_archive(path) as archive:
            return any(NUCLEI.fullmatch(name) for name in archive.namelist())
    except FormatError:
        return False


def _valid_nuclei(path: Path) -> tuple[Nuclei, int]:
    """Read all time points, one text in memory at a time; return the valid nuclei, and how many are not."""
    parts, n_all = [], 0
    for time, where, text in _texts(path):
        nuclei, n = _parse(text, time, where)
        parts.append(nuclei)
        n_all += n
    names = ("time", "index", "successor", "predecessor", "position_px", "size", "name")
    joined = Nuclei(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
    return joined, n_all - len(joined.time)


def _texts(path: Path) -> Iterator[tuple[int, str, bytes]]:
    """Read the files of a zip or a folder in order of time: time point, name for messages, content."""
    if path.is_dir():
        folder = path / "nuclei" if (path / "nuclei").is_dir() else path
        for time, name in _by_time([p.name for p in folder.iterdir()], path):
            yield time, str(folder / name), (folder / name).read_bytes()
        return
    with open_archive(path) as archive:
        for time, name in _by_time(archive.namelist(), path):
            yield time, f"{path} {name}", read_member(archive, name)


def _by_time(names: list[str], path: Path) -> list[tuple[int, str]]:
    found = sorted((int(match[1]), name) for name in names if (match := NUCLEI.fullmatch(name)))
    if not found:
        raise FormatError(f"{path} holds no nuclei", expected="files like nuclei/t001-nuclei", got=", ".join(names[:5]))
    times = [time for time, _ in found]
    twice = next((a for a, b in pairwise(found) if a[0] == b[0]), None)
    if twice is not None:
        raise FormatError(f"{path} holds time point {twice[0]} twice", expected="one file each", got=twice[1])
    if times[0] < 1 or times[-1] > MAX_FRAMES:
        raise FormatError(f"{path} holds time point {times[0] if times[0] < 1 else times[-1]}", expected="1 and more")
    return found


def _parse(text: bytes, time: int, where: str) -> tuple[Nuclei, int]:
    """Return the valid nuclei of one time point, and how many lines there are."""
    lines = text.decode("latin-1").replace("\r\n", "\n").split("\n")
    number = np.array([n for n, line in enumerate(lines, start=1) if line.strip()], dtype=np.int64)
    fields = pc.split_pattern(pa.array([lines[n - 1] for n in number.tolist()], pa.string()), ",")
    short = np.flatnonzero(pc.list_value_length(fields).to_numpy(zero_copy_only=False) < N_COLUMNS)
    if len(short):
        row = int(short[0])
        got = lines[number[row] - 1][:80]
        raise FormatError(f"{where} line {number[row]} is cut off", expected=f"{N_COLUMNS} entries", got=got)

    def refuse(row: int, column: int, expected: str) -> FormatError:
        got = repr(fields[row].as_py()[column].strip())
        return FormatError(f"{where} line {number[row]}: {NUMBERS[column]} needs {expected}", got=got)

    columns = [_numbers(fields, column, refuse) for column in range(len(NUMBERS))]
    index, valid, predecessor, first, second = (
        _whole(values, column, refuse) for column, values in enumerate(columns[:5])
    )
    repeated = np.ones(len(index), dtype=bool)
    repeated[np.unique(index, return_index=True)[1]] = False
    if (repeated | (index < 1)).any():
        raise refuse(int(np.flatnonzero(repeated | (index < 1))[0]), 0, "a number of its own, from 1")
    name = pc.utf8_trim_whitespace(pc.list_element(fields, len(NUMBERS)))
    name = pc.utf8_slice_codeunits(name, 0, LONGEST_TEXT)
    kept = np.flatnonzero(valid > 0)
    kept = kept[np.argsort(index[kept])]
    x, y, z, size = (columns[column][kept] for column in range(5, 9))
    nuclei = Nuclei(
        time=np.full(len(kept), time),
        index=index[kept],
        successor=np.stack([first, second], axis=1)[kept],
        predecessor=predecessor[kept],
        position_px=np.stack([z, y, x], axis=1),
        size=size,
        name=np.array(name.to_pylist(), dtype=np.str_)[kept],
    )
    return nuclei, len(index)


def _numbers(fields: Any, column: int, refuse: Any) -> NDArray[np.float64]:
    """Return a column of finite numbers."""
    words = pc.utf8_trim_whitespace(pc.list_element(fields, column))
    try:
        values: NDArray[np.float64] = pc.cast(words, pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        values = np.array([as_float(word) for word in words.to_pylist()])
    wrong = np.flatnonzero(~(np.abs(values) < LARGEST))
    if len(wrong):
        raise refuse(int(wrong[0]), column, f"a number below {LARGEST:.0e}")
    return values


def _whole(values: NDArray[np.float64], column: int, refuse: Any) -> NDArray[np.int64]:
    uneven = np.flatnonzero(values != np.floor(values))
    if len(uneven):
        raise refuse(int(uneven[0]), column, "a whole number")
    return values.astype(np.int64)


def _lineage(path: Path, nuclei: Nuclei, frame: NDArray[np.int64]) -> tuple[LabelLineage, list[str]]:
    """Return the lineage that successors tell, and notes on those that are not valid or tell otherwise.

    Raises
    ------
    FormatError
        If a nucleus is the successor of two.
    """
    n_ranks = int(nuclei.index.max(initial=0)) + 2
    key = nuclei.time * n_ranks + nuclei.index
    source, which = np.nonzero(nuclei.successor > 0)
    successor = nuclei.successor[source, which]
    wanted = (nuclei.time[source] + 1) * n_ranks + np.minimum(successor, n_ranks - 1)
    place = np.minimum(np.searchsorted(key, wanted), max(len(key) - 1, 0))
    there = key[place] == wanted
    source, target = source[there], place[there]
    differs = int(np.count_nonzero(nuclei.predecessor[target] != nuclei.index[source]))
    notes = [f"successors that are no valid nucleus, left out: {np.count_nonzero(~there)}"] if not there.all() else []
    notes += [f"successors of which the predecessor is another nucleus: {differs}"] if differs else []

    def where(link: int) -> str:
        return f"{path} time point {nuclei.time[source[link]]}, nucleus {nuclei.index[source[link]]}"

    return linked(source, target, Ids(nuclei.index), frame, str(path), where), notes
