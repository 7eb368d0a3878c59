"""Movies drawn by hand, written as files."""

import shutil
from pathlib import Path

import numpy as np
import tifffile

from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.founding import GRAPH
from trackdb.storage.own_schema import is_trusted, trust

# One movie of three frames. Numbers are labels, a cell is a square of five pixels:
#
#   frame 0     frame 1     frame 2
#   . 1 . 2     . 1 . 3     . 1 . 3        2 divides into 3 and 4
#   . . . .     . . . 4     . . . 4        5 appears in frame 2
#   . . . .     . . . .     5 . . .
CENTRES = [
    {1: (10, 20), 2: (10, 50)},
    {1: (10, 21), 3: (9, 50), 4: (21, 51)},
    {1: (11, 22), 3: (9, 51), 4: (22, 51), 5: (40, 8)},
]
TRACKS = [(1, 0, 2, 0), (2, 0, 0, 0), (3, 1, 2, 2), (4, 1, 2, 2), (5, 2, 2, 0)]
SHAPE = (48, 64)


def square_mask(centres: dict[int, tuple[int, ...]], shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Draw a square (cube) of side 5 around each centre."""
    mask = np.zeros(shape, dtype=np.uint16)
    for label, centre in centres.items():
        mask[tuple(slice(c - 2, c + 3) for c in centre)] = label
    return mask


def write_ctc(folder: Path, *, centres=CENTRES, tracks=TRACKS, shape=SHAPE, images: bool = False) -> Path:
    """Write a movie as a CTC data set with its ground truth; return the data set's folder."""
    tra = folder / "01_GT" / "TRA"
    tra.mkdir(parents=True)
    for t, frame in enumerate(centres):
        mask = square_mask(frame, shape)
        tifffile.imwrite(tra / f"man_track{t:03d}.tif", mask)
        if images:
            (folder / "01").mkdir(exist_ok=True)
            tifffile.imwrite(folder / "01" / f"t{t:03d}.tif", (mask > 0).astype(np.uint8) * 200)
    (tra / "man_track.txt").write_text("".join(f"{' '.join(map(str, row))}\n" for row in tracks))
    return folder


def walking_cells(n_frames: int, n_cells: int, *, seed: int = 0, step: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return (t * n, 3) rows of (frame, y, x) of cells far apart that walk, and the track of each row."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(n_cells)))
    home = np.stack(np.divmod(np.arange(n_cells), side), axis=1) * 20.0 + 10
    path = home + np.cumsum(rng.normal(0, step, (n_frames, n_cells, 2)), axis=0)
    frame = np.repeat(np.arange(n_frames), n_cells)
    track = np.tile(np.arange(n_cells), n_frames)
    return np.column_stack([frame, path.reshape(-1, 2)]), track


def write_points(path: Path, n_frames: int = 6, n_cells: int = 9, *, seed: int = 0) -> Path:
    """Write walking cells as a CSV table with a track column."""
    rows, track = walking_cells(n_frames, n_cells, seed=seed)
    lines = [f"{int(t)},{y:.4f},{x:.4f},{k}" for (t, y, x), k in zip(rows, track, strict=True)]
    path.write_text("t,y,x,track\n" + "\n".join(lines) + "\n")
    return path


# Three cells drift to the right; numbers are ids in the table. B is missed in frame 2:
#
#   frame      0     1     2     3
#   A (y=10)   1     4     7     9
#   B (y=30)   2     5     .     10
#   C (y=50)   3     6     8     11
GAP_ROWS = [(t, y, 10 + t) for t in range(4) for y in (10, 30, 50) if (t, y) != (2, 30)]


def write_rows(path: Path, rows, *, header: str = "t,y,x") -> Path:
    """Write rows as a CSV table."""
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def dividing_cells(n_frames: int = 8, side: int = 4, *, seed: int = 0) -> list[tuple]:
    """Return rows (frame, y, x, id, id of the parent or "") of cells far apart, of which every other divides once.

    Daughters lie six pixels above and below their mother and move on side by side.
    """
    rng = np.random.default_rng(seed)
    rows: list[tuple] = []
    last: dict[tuple[int, int], int] = {}
    for t in range(n_frames):
        for cell in range(side * side):
            divided = cell % 2 == 0 and t >= 2 + cell % (n_frames - 4)
            for branch in (-1, 1) if divided else (0,):
                y, x = 60 * (cell // side) + 6 * branch + 30, 60 * (cell % side) + 30
                y, x = (round(float(c), 3) for c in rng.normal((y, x), 0.5))
                parent = last.get((cell, branch), last.get((cell, 0), ""))
                rows.append((t, y, x, len(rows) + 1, parent))
                last[cell, branch] = len(rows)
    return rows


DIVIDING = "t,y,x,id,parent"


def jostling_cells(n_frames: int = 8, side: int = 3, *, seed: int = 0) -> list[tuple]:
    """Return rows (frame, y, x) of cells that step so far that some are taken for their neighbours."""
    rng = np.random.default_rng(seed)
    home = np.stack(np.divmod(np.arange(side * side), side), axis=1) * 10.0 + 10
    path = home + np.cumsum(rng.normal(0, 2.2, (n_frames, side * side, 2)), axis=0)
    return [(t, round(float(y), 2), round(float(x), 2)) for t, frame in enumerate(path) for y, x in frame]


def own_copy(store: DuckDBStore, folder: Path, name: str = "") -> DuckDBStore:
    """Copy a store, which takes a hundredth of making it, into a folder."""
    return DuckDBStore(copied(store.path, folder / (name or store.path.name)))


def copied(store: Path, place: Path) -> Path:
    """Copy the folder of a store; what stands in the copy need not be looked at where this process made the first."""
    ours = is_trusted(store / GRAPH)
    shutil.copytree(store, place)
    if ours:
        trust(place / GRAPH)
    return place
