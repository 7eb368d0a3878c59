"""Write a tracking as a result of the Cell Tracking Challenge: ``maskTTT.tif`` and ``res_track.txt``.

Masks hold the label of its track at each pixel of a cell, in 16 bits, as the challenge's tools read them. A track has a
cell in each of its frames: where one is missing a track ends and another begins, with the former as its parent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from ...errors import FormatError, SchemaError
from ..folders import appearing
from ..schema import require_equal_lengths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

MAX_TRACKS = 2**16 - 1
LUT_LABELS = 1 << 22  # a look-up table of this many labels is 8 MB; above, labels are searched
CHUNK = 1 << 20  # pixels looked up at once


@dataclass(frozen=True, slots=True, eq=False)
class CtcTracks:
    """Tracks as the challenge counts them, one row each.

    Parameters
    ----------
    label : (k,) int64
        Label in the masks, from 1.
    first, last : (k,) int64
        First and last frame; there is a cell in each frame between.
    parent : (k,) int64
        Label of the parent, 0 for none.
    """

    label: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    parent: NDArray[np.int64]

    def __post_init__(self) -> None:
        require_equal_lengths(label=self.label, first=self.first, last=self.last, parent=self.parent)

    def __len__(self) -> int:
        return len(self.label)


def split_at_gaps(
    frame: NDArray[np.int64], tracklet: NDArray[np.int64], parent: NDArray[np.int64]
) -> tuple[CtcTracks, NDArray[np.int64]]:
    """Cut tracklets where they skip a frame.

    Parameters
    ----------
    frame, tracklet : (n,) int64
        Frame of each cell, and the row of its tracklet.
    parent : (k,) int64
        Row of the parent of each tracklet, -1 for none.

    Returns
    -------
    tracks : CtcTracks
        Labels 1 .. in the order of the tracklets; the parent of a piece is the piece before it.
    label : (n,) int64
        Label of each cell.

    Raises
    ------
    SchemaError
        If a tracklet has two cells in a frame, or a parent without cells.
    """
    order = np.lexsort((frame, tracklet))
    f, k = frame[order], tracklet[order]
    same = k[1:] == k[:-1]
    if np.any(same & (f[1:] == f[:-1])):
        cell = int(np.flatnonzero(same & (f[1:] == f[:-1]))[0])
        raise SchemaError(f"tracklet {k[cell]} has two cells in frame {f[cell]}")
    begins = np.append(np.ones(min(len(f), 1), dtype=bool), ~same | (np.diff(f) > 1))
    first = np.flatnonzero(begins)
    last = np.append(first[1:] - 1, len(f) - 1)[: len(first)]
    piece_of = k[first]
    last_piece = np.full(len(parent), -1, dtype=np.int64)
    last_piece[piece_of] = np.arange(len(first))  # pieces of a tracklet lie in order, so the last one stays
    continues = np.append(False, piece_of[1:] == piece_of[:-1])[: len(first)]
    mother = parent[piece_of]
    if np.any((mother >= 0) & (last_piece[mother] < 0)):
        raise SchemaError("a tracklet has a parent without cells")
    above = np.where(mother >= 0, last_piece[mother], -1)
    above = np.where(continues, np.arange(len(first)) - 1, above)
    label = np.empty(len(frame), dtype=np.int64)
    label[order] = np.cumsum(begins)
    return CtcTracks(np.arange(1, len(first) + 1), f[first], f[last], above + 1), label


def relabel(
    mask: NDArray[np.integer], label_from: NDArray[np.int64], label_to: NDArray[np.int64]
) -> NDArray[np.uint16]:
    """Return a mask with new labels, 0 where an old one is not among `label_from`.

    Parameters
    ----------
    mask : ([z,] y, x) integer array
        Labels of any size.
    label_from, label_to : (n,) int64
        Old labels, each once, and the new one of each, at most 65,535.
    """
    require_sixteen_bits(int(label_to.max(initial=0)))
    highest = int(mask.max(initial=0))
    if highest < LUT_LABELS and int(mask.min(initial=0)) >= 0:
        lut = np.zeros(highest + 1, dtype=np.uint16)
        there = (label_from > 0) & (label_from <= highest)
        lut[label_from[there]] = label_to[there]
        return _by_chunk(mask, lambda chunk: lut[chunk])
    order = np.argsort(label_from)
    known = np.append(label_from[order], np.iinfo(np.int64).max)
    new = np.append(label_to[order], 0).astype(np.uint16)

    def look_up(chunk: NDArray[np.integer]) -> NDArray[np.uint16]:
        place = np.searchsorted(known, chunk.astype(np.int64, copy=False))
        return np.where((known[place] == chunk) & (chunk != 0), new[place], np.uint16(0))

    return _by_chunk(mask, look_up)


def _by_chunk(
    mask: NDArray[np.integer], new: Callable[[NDArray[np.integer]], NDArray[np.uint16]]
) -> NDArray[np.uint16]:
    """Replace the pixels of a mask some at a time: an index of 8 bytes a voxel would not fit beside a large volume."""
    flat, out = mask.reshape(-1), np.zeros(mask.size, dtype=np.uint16)
    for begin in range(0, mask.size, CHUNK):
        chunk = flat[begin : begin + CHUNK]
        if chunk.any():
            out[begin : begin + CHUNK] = new(chunk)
    return out.reshape(mask.shape)


def write_ctc(
    folder: Path, frames: Iterable[tuple[int, NDArray[np.uint16]]], tracks: CtcTracks, n_frames: int
) -> list[Path]:
    """Write masks and track file; the folder appears when all of it is written.

    Parameters
    ----------
    folder : Path
        Folder to make, ``NN_RES`` by custom.
    frames : iterable of (int, mask)
        Each frame 0 .. n_frames - 1 in order, with the label of its track at each pixel.
    tracks : CtcTracks
        All tracks.
    n_frames : int
        Frames of the movie.

    Returns
    -------
    files : list of Path
        What was written.

    Raises
    ------
    FormatError
        If the folder is there already, or there are more tracks than 16 bits can tell apart.
    SchemaError
        If a mask does not hold exactly the tracks that live in its frame.
    """
    require_sixteen_bits(int(tracks.label.max(initial=0)))
    if folder.exists():
        raise FormatError(f"{folder} is there already", **{"try": "another folder, or remove this one"})
    digits = max(3, len(str(n_frames - 1)))
    with appearing(folder) as partial:
        n_written = 0
        for frame, mask in frames:
            if frame != n_written:
                raise SchemaError(f"frame {frame} was given where frame {n_written} was due")
            _require_alive(mask, tracks, frame)
            path = partial / f"mask{frame:0{digits}d}.tif"
            tifffile.imwrite(path, mask, compression="zlib", photometric="minisblack", metadata=None)
            n_written += 1
        if n_written != n_frames:
            raise SchemaError(f"{n_written} frames were given for a movie of {n_frames}")
        rows = np.column_stack([tracks.label, tracks.first, tracks.last, tracks.parent]).tolist()
        lines = "".join(f"{label} {first} {last} {parent}\n" for label, first, last, parent in rows)
        (partial / "res_track.txt").write_text(lines, encoding="ascii")
    return sorted(folder.iterdir())


def require_sixteen_bits(highest: int) -> None:
    """Raise FormatError if labels do not fit the masks of the challenge."""
    if highest > MAX_TRACKS:
        raise FormatError(
            f"{highest:,} tracks do not fit the 16-bit masks of the Cell Tracking Challenge",
            expected=f"{MAX_TRACKS:,} tracks at most",
            **{"try": "fewer frames at a time, or another format"},
        )


def _require_alive(mask: NDArray[np.uint16], tracks: CtcTracks, frame: int) -> None:
    """Raise SchemaError unless a mask holds exactly the tracks that live in its frame."""
    if mask.dtype != np.uint16:
        raise SchemaError(f"the mask of frame {frame} must be uint16, got {mask.dtype}")
    alive = tracks.label[(tracks.first <= frame) & (frame <= tracks.last)]
    held = np.zeros(MAX_TRACKS + 1, dtype=bool)
    flat = mask.reshape(-1)
    for begin in range(0, mask.size, CHUNK):
        chunk = flat[begin : begin + CHUNK]
        held[chunk[chunk > 0]] = True
    expected = np.zeros_like(held)
    expected[alive] = True
    if wrong := np.flatnonzero(held != expected).tolist():
        what = "holds a cell of" if held[wrong[0]] else "has no cell of"
        raise SchemaError(f"the mask of frame {frame} {what} track {wrong[0]}", expected=f"{len(alive)} tracks alive")
