"""Simulated movies as files in the layout of the Cell Tracking Challenge, each of which says that it is simulated."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from ...errors import FormatError
from ...storage.folders import appearing
from ..progress import Progress, Silent
from .segmentation import KINDS

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TextIO

    from numpy.typing import NDArray

    from .movie import SimulatedFrame, SimulatedMovie
    from .segmentation import SegmentationErrors
    from .settings import Drawing

SIMULATED = "Simulated by trackdb: no microscope has seen these cells."
SOFTWARE = "trackdb simulate"
LAYOUT = """\
01_GT/TRA          the truth: man_trackTTT.tif with the number of the track at each pixel, man_track.txt with L B E P
01_SEG             a segmentation of the same cells with its errors; its labels carry no identity
01_SEG_errors.csv  what is wrong with it: frame, kind, label in 01_SEG (0: missed), track in 01_GT/TRA (0: none)
01                 images, where they were asked for
"""


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """What was written.

    Parameters
    ----------
    frames, tracks, cells, divisions : int
        Of the truth; `cells` counts each cell once in each frame.
    errors : dict of str to int
        Cells missed, false detections, pairs merged and cells split by the segmentation, over all frames.
    """

    frames: int
    tracks: int
    cells: int
    divisions: int
    errors: dict[str, int]


def write_movie(
    folder: Path, movie: SimulatedMovie, *, images: bool = True, progress: Progress | None = None
) -> SimulationReport:
    """Write a simulated movie in the layout of the Cell Tracking Challenge, one frame in memory at a time.

    ``01/tTTT.tif`` holds the images, ``01_GT/TRA`` the whole truth (``man_trackTTT.tif`` and ``man_track.txt``),
    ``01_SEG/maskTTT.tif`` the segmentation with its errors, which ``01_SEG_errors.csv`` lists, and ``README.txt`` says
    how it was made. The folder appears when it is complete; an interrupted run leaves nothing.

    Raises
    ------
    FormatError
        If the folder exists and is not empty.
    """
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise FormatError(f"{folder} holds something already", **{"try": "name a new folder, or remove this one"})
    if folder.exists():
        folder.rmdir()
    with appearing(folder) as unfinished:
        counts = _write_frames(unfinished, movie, images, progress or Silent())
        tracks = movie.tracks
        lines = "".join(f"{label} {first} {last} {mother}\n" for label, first, last, mother in tracks.tolist())
        (unfinished / "01_GT" / "TRA" / "man_track.txt").write_text(lines, encoding="ascii")
        (unfinished / "README.txt").write_text(_read_me(movie), encoding="utf-8")
    n_daughters = np.bincount(tracks[:, 3], minlength=1)[1:]
    return SimulationReport(
        frames=movie.cast.n_frames,
        tracks=len(tracks),
        cells=int(np.sum(tracks[:, 2] - tracks[:, 1] + 1)),
        divisions=int(np.count_nonzero(n_daughters > 1)),
        errors=dict(zip(KINDS, counts.tolist(), strict=True)),
    )


def _write_frames(folder: Path, movie: SimulatedMovie, images: bool, progress: Progress) -> NDArray[np.int64]:
    """Write all frames and the list of errors; return how many errors of each kind there are."""
    places = [folder / "01_GT" / "TRA", folder / "01_SEG", *([folder / "01"] if images else [])]
    for place in places:
        place.mkdir(parents=True)
    n_frames = movie.cast.n_frames
    digits = max(3, len(str(n_frames - 1)))
    counts = np.zeros(len(KINDS), dtype=np.int64)
    progress.start("simulate", n_frames)
    with (folder / "01_SEG_errors.csv").open("w", encoding="ascii") as table:
        table.write("t,kind,label,track\n")
        for drawn in movie.frames(images=images):
            _write_frame(folder, drawn, f"{drawn.frame:0{digits}d}", movie.settings)
            counts += _write_errors(table, drawn.frame, drawn.errors)
            progress.advance()
    return counts


def _write_frame(folder: Path, drawn: SimulatedFrame, number: str, settings: Drawing) -> None:
    for path, labels in (
        (folder / "01_GT" / "TRA" / f"man_track{number}.tif", drawn.truth),
        (folder / "01_SEG" / f"mask{number}.tif", drawn.mask),
    ):
        small = labels.max(initial=0) < 2**16  # 16 bits, as the challenge has them, where the labels fit
        _write_tif(path, labels.astype(np.uint16) if small else labels, settings)
    if drawn.image is not None:
        _write_tif(folder / "01" / f"t{number}.tif", drawn.image, settings)


def _write_tif(path: Path, pixels: NDArray[np.generic], settings: Drawing) -> None:
    """Write one frame: its units as ImageJ has them, where its pixels are such as ImageJ knows."""
    scale = settings.scale_um
    imagej = pixels.dtype == np.uint16
    told: dict[str, str | float] = {"axes": "ZYX"[-pixels.ndim :], "Info": SIMULATED}
    if scale is not None:
        told["unit"] = "um"
    if scale is not None and len(scale) == 3:
        told["spacing"] = scale[0]
    if settings.interval_s is not None:
        told["finterval"] = settings.interval_s
    tifffile.imwrite(
        path,
        pixels,
        imagej=imagej,
        compression="zlib",
        photometric="minisblack",
        software=SOFTWARE,
        resolution=None if scale is None else (1 / scale[-1], 1 / scale[-2]),
        description=None if imagej else SIMULATED,
        metadata=told if imagej else None,
    )


def _write_errors(table: TextIO, frame: int, errors: SegmentationErrors) -> NDArray[np.int64]:
    """Write the errors of a frame; return how many there are of each kind."""
    rows = zip(errors.kind.tolist(), errors.label.tolist(), errors.track.tolist(), strict=True)
    table.writelines(f"{frame},{KINDS[kind]},{label},{track}\n" for kind, label, track in rows)
    rows_each = np.array([1, 1, 2, 2])  # a pair that is merged has two rows, a cell that is split likewise
    counts: NDArray[np.int64] = np.bincount(errors.kind, minlength=len(KINDS)) // rows_each
    return counts


def _read_me(movie: SimulatedMovie) -> str:
    """Return what the folder says of itself: that it is simulated, how, and what is where."""
    settings = movie.settings
    size = " x ".join(map(str, movie.shape))
    told = {field.name: getattr(settings, field.name) for field in fields(settings)}
    lines = "".join(f"{name:<14} {value}\n" for name, value in told.items())
    return (
        f"{SIMULATED}\n\n{movie.cast.n_frames} frames of {size} pixels, {movie.cast.about}.\n"
        f"The same settings give the same movie:\n\n{lines}\n{LAYOUT}"
    )
