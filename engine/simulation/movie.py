"""Branching movies of label masks with known truth: for a first look, for tests.

Cells move, grow and divide. Whether a cell is missed or made up is decided beside the truth, which keeps every cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from ...errors import ConfigError, FormatError
from ...storage.folders import appearing
from ..progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

RADIUS_PX = 9.0  # of a full-grown cell
GROWN = 0.8  # share of the full radius from which on a cell may divide
COVERED = 0.15  # share of the first frame that cells cover, where no shape is asked for
CROWDED = 0.45  # share from which on no cell divides


@dataclass(frozen=True, slots=True)
class Simulation:
    """What to simulate.

    Parameters
    ----------
    frames, cells : int
        Length of the movie, and cells in its first frame.
    division_rate : float
        Chance of a grown cell to divide from one frame to the next; it falls to 0 as the frame fills up.
    missed, false : float
        Chance of a cell to be missed by the segmentation in a frame, and false detections for each true one.
    seed : int
        The same seed and settings give the same movie.
    shape_px : (int, int) or None
        Size of the frames, axes ``(y, x)``; None: as large as the cells need.

    Raises
    ------
    ConfigError
        If a value makes no sense, or the cells do not fit into the shape.
    """

    frames: int = 30
    cells: int = 40
    division_rate: float = 0.02
    missed: float = 0.02
    false: float = 0.02
    seed: int = 0
    shape_px: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name, value in (("frames", self.frames), ("cells", self.cells)):
            if value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}")
        for name, rate in (("division rate", self.division_rate), ("missed", self.missed), ("false", self.false)):
            if not 0 <= rate <= 1:
                raise ConfigError(f"{name} must be between 0 and 1, got {rate}")
        if self.seed < 0:
            raise ConfigError(f"seed must be 0 or more, got {self.seed}")
        if self.shape_px is not None and min(self.shape_px) < 4 * RADIUS_PX:
            raise ConfigError(f"a frame needs {4 * RADIUS_PX:.0f} pixels a side, got {self.shape_px}")
        if self.shape_px is not None and self.cells * _cell_area() > CROWDED * self.shape_px[0] * self.shape_px[1]:
            raise ConfigError(
                f"{self.cells} cells do not fit into {self.shape_px[0]} x {self.shape_px[1]} pixels",
                **{"try": "fewer cells, or no shape at all"},
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Size of the frames in pixels, axes ``(y, x)``."""
        side = max(64, int(np.ceil(np.sqrt(self.cells * _cell_area() / COVERED))))
        return self.shape_px or (side, side)


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedFrame:
    """One frame of a simulated movie.

    Parameters
    ----------
    frame : int
        Its number, from 0.
    truth : (y, x) int32
        Number of the track at each pixel; every cell that lives has pixels.
    mask : (y, x) int32
        The same cells without those missed and with the false ones, under labels that tell nothing.
    image : (y, x) uint16
        Bright nuclei with the noise of photons and of the camera.
    """

    frame: int
    truth: NDArray[np.int32]
    mask: NDArray[np.int32]
    image: NDArray[np.uint16]


@dataclass(slots=True, eq=False)
class _Cells:
    """The cells alive in one frame, n of them, and what they remember."""

    track: NDArray[np.int64]  # (n,) number of the track, from 1
    position: NDArray[np.float64]  # (n, 2) in pixels
    velocity: NDArray[np.float64]  # (n, 2) pixels per frame
    radius: NDArray[np.float64]  # (n,)
    aspect: NDArray[np.float64]  # (n,) long half axis over short one
    angle: NDArray[np.float64]  # (n,) of the long axis
    brightness: NDArray[np.float64]  # (n,)


class SimulatedMovie:
    """A movie that is drawn while its frames are read, the same each time; afterwards its tracks are known.

    Attributes
    ----------
    settings : Simulation
        What it was made from.
    tracks : (k, 4) int64
        Label, first frame, last frame and mother (0: none) of each track, as `man_track.txt` has them; whole when the
        last frame has been read.
    """

    def __init__(self, settings: Simulation) -> None:
        self.settings = settings
        self.tracks: NDArray[np.int64] = np.empty((0, 4), dtype=np.int64)

    def __iter__(self) -> Iterator[SimulatedFrame]:
        """Draw the frames in order."""
        rng = np.random.default_rng(self.settings.seed)
        cells = _first_cells(self.settings, rng)
        self.tracks = np.stack([cells.track, *np.zeros((3, len(cells.track)), dtype=np.int64)], axis=1)
        for frame in range(self.settings.frames):
            if frame:
                cells, mothers = _step(cells, len(self.tracks), self.settings, rng)
                born = np.arange(len(self.tracks), len(self.tracks) + len(mothers)) + 1
                begin = np.full(len(mothers), frame)
                self.tracks = np.concatenate([self.tracks, np.stack([born, begin, begin, mothers], axis=1)])
            self.tracks[cells.track - 1, 2] = frame
            yield _draw(frame, cells, self.settings, rng)


def simulate(settings: Simulation | None = None) -> SimulatedMovie:
    """Return a movie of label masks with known truth, to be iterated a frame at a time.

    Cells are ellipses that wander with some persistence, turn back at the border, grow, and divide along their long
    axis into two that part. Where two overlap, a pixel belongs to the nearer centre, in units of the cell's size.
    """
    return SimulatedMovie(settings or Simulation())


def write_simulated(
    folder: Path, settings: Simulation | None = None, *, images: bool = True, progress: Progress | None = None
) -> int:
    """Write a simulated movie in the layout of the Cell Tracking Challenge.

    ``01/tTTT.tif`` holds the images, ``01_GT/TRA`` the whole truth (``man_trackTTT.tif`` and ``man_track.txt``),
    ``01_SEG/maskTTT.tif`` the segmentation with its errors, and ``README.txt`` says how it was made. The folder
    appears when it is complete; an interrupted run leaves nothing.

    Returns
    -------
    n_tracks : int
        Tracks of the truth.

    Raises
    ------
    FormatError
        If the folder exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FormatError(f"{folder} holds something already", **{"try": "name a new folder, or remove this one"})
    movie = simulate(settings)
    if folder.exists():
        folder.rmdir()
    with appearing(folder) as unfinished:
        _write_frames(unfinished, movie, images, progress or Silent())
    return len(movie.tracks)


def _write_frames(folder: Path, movie: SimulatedMovie, images: bool, progress: Progress) -> None:
    """Write all frames, then the tracks and the read-me."""
    import tifffile

    truth, masks, pixels = folder / "01_GT" / "TRA", folder / "01_SEG", folder / "01"
    for place in (truth, masks, *([pixels] if images else [])):
        place.mkdir(parents=True)
    settings = movie.settings
    digits = max(3, len(str(settings.frames - 1)))
    progress.start("simulate", settings.frames)
    for drawn in movie:
        number = f"{drawn.frame:0{digits}d}"
        for path, labels in (
            (truth / f"man_track{number}.tif", drawn.truth),
            (masks / f"mask{number}.tif", drawn.mask),
        ):
            small = labels.max() < 2**16  # 16 bits, as the challenge has them, where the labels fit
            tifffile.imwrite(path, labels.astype(np.uint16) if small else labels, compression="zlib")
        if images:
            tifffile.imwrite(pixels / f"t{number}.tif", drawn.image, compression="zlib")
        progress.advance()
    lines = (" ".join(map(str, row)) for row in movie.tracks.tolist())
    (truth / "man_track.txt").write_text("\n".join(lines) + "\n")
    (folder / "README.txt").write_text(
        f"Simulated by trackdb: {settings.frames} frames of {settings.shape[0]} x {settings.shape[1]} pixels, "
        f"{settings.cells} cells at first, division rate {settings.division_rate}, missed {settings.missed}, "
        f"false {settings.false}, seed {settings.seed}.\n"
        "01_GT/TRA holds the truth, 01_SEG the segmentation with its errors; labels of 01_SEG carry no identity.\n"
    )


def _cell_area() -> float:
    """Return the mean area of a cell in pixels, half grown to full grown."""
    return 0.75 * np.pi * RADIUS_PX**2


def _first_cells(settings: Simulation, rng: np.random.Generator) -> _Cells:
    """Place the cells of the first frame, each somewhere in its cycle."""
    n = settings.cells
    cells = _Cells(
        track=np.arange(n) + 1,
        position=rng.random((n, 2)) * settings.shape,
        velocity=rng.normal(0, 1, (n, 2)),
        radius=RADIUS_PX * np.sqrt(rng.uniform(0.5, 1, n)),
        aspect=rng.uniform(1, 1.4, n),
        angle=rng.uniform(0, np.pi, n),
        brightness=rng.lognormal(7.5, 0.25, n),
    )
    cells.position = _part(cells.position, cells.radius, settings.shape, rng)
    return cells


def _step(
    cells: _Cells, n_tracks: int, settings: Simulation, rng: np.random.Generator
) -> tuple[_Cells, NDArray[np.int64]]:
    """Move, grow and divide the cells; return those of the next frame, and the mothers of the new tracks."""
    n = len(cells.track)
    covered = n * _cell_area() / np.prod(settings.shape)
    divides = rng.random(n) < settings.division_rate * max(0.0, 1 - covered / CROWDED)
    divides &= cells.radius > GROWN * RADIUS_PX
    velocity = 0.6 * cells.velocity + rng.normal(0, 0.8, (n, 2))
    position = cells.position + velocity
    radius = np.minimum(RADIUS_PX, cells.radius + 0.03 * RADIUS_PX)
    angle = cells.angle + rng.normal(0, 0.1, n)
    axis = np.stack([np.sin(angle), np.cos(angle)], axis=1) * radius[:, None]

    def family(values: NDArray[np.float64], change: NDArray[np.float64] | float = 0.0) -> NDArray[np.float64]:
        """Return the values of those that live on, then of the first daughters, then of the second."""
        away = np.broadcast_to(change, values.shape)[divides]
        return np.concatenate([values[~divides], values[divides] + away, values[divides] - away])

    mothers = np.concatenate([cells.track[divides]] * 2)
    grown = _Cells(
        track=np.concatenate([cells.track[~divides], n_tracks + 1 + np.arange(len(mothers))]),
        position=family(position, 0.6 * axis),
        velocity=family(velocity, 0.15 * axis),
        radius=family(np.where(divides, radius * np.sqrt(0.5), radius)),
        aspect=family(cells.aspect),
        angle=family(angle),
        brightness=family(cells.brightness, 0.05 * cells.brightness),
    )
    grown.position = _part(grown.position, grown.radius, settings.shape, rng)
    return grown, mothers


def _part(
    position: NDArray[np.float64], radius: NDArray[np.float64], shape: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Fold back cells that left the frame, and push apart those that overlap much."""
    border = np.array(shape) - 1.0
    position = border - np.abs(border - np.abs(position))
    for _ in range(1000):
        a, b = cKDTree(position).query_pairs(2 * RADIUS_PX, output_type="ndarray").T
        between = position[a] - position[b]
        distance = np.hypot(*between.T)
        wanted = 0.8 * (radius[a] + radius[b])
        if not np.any(distance < 0.6 * wanted):
            break  # even the smallest, 5 px in radius, are now 5 px apart: each keeps the pixels at its centre
        push = 0.3 * (np.clip(wanted - distance, 0, None) / np.maximum(distance, 1e-3))[:, None] * between
        np.add.at(position, a, push)
        np.add.at(position, b, -push)
        position = np.clip(position + rng.normal(0, 0.01, position.shape), 0, border)
    else:
        raise ConfigError(f"{len(radius)} cells do not fit into {shape[0]} x {shape[1]} pixels")
    return position


def _draw(frame: int, cells: _Cells, settings: Simulation, rng: np.random.Generator) -> SimulatedFrame:
    """Paint one frame: the truth, the segmentation with its errors, and the image."""
    shape = settings.shape
    row, nearness = _paint(cells.position, cells.radius, cells.aspect, cells.angle, shape)  # (y, x) -1: background
    truth = np.append(cells.track, 0)[row].astype(np.int32)

    n_false = rng.poisson(settings.false * len(cells.track))
    false, _ = _paint(
        rng.random((n_false, 2)) * shape, rng.uniform(3, 7, n_false), np.ones(n_false), np.zeros(n_false), shape
    )
    label = rng.permutation(len(cells.track) + n_false) + 1
    label[: len(cells.track)][rng.random(len(cells.track)) < settings.missed] = 0
    cell_label, false_label = np.split(np.append(label, 0), [len(cells.track)])
    mask = np.where(row >= 0, np.append(cell_label, 0)[row], false_label[false]).astype(np.int32)

    light = gaussian_filter(np.append(cells.brightness, 0.0)[row] * (1 - 0.5 * nearness) + 200.0, 1.0)
    noisy = rng.poisson(light) + rng.normal(100, 10, shape)
    return SimulatedFrame(frame, truth, mask, np.clip(noisy, 0, 2**16 - 1).astype(np.uint16))


def _paint(
    position: NDArray[np.float64],
    radius: NDArray[np.float64],
    aspect: NDArray[np.float64],
    angle: NDArray[np.float64],
    shape: tuple[int, int],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return for each pixel the row of the ellipse it lies in, -1 for none, and how far out: 0 centre, 1 border."""
    row = np.full(shape, -1)
    nearest = np.ones(shape)
    long, short = radius * np.sqrt(aspect), radius / np.sqrt(aspect)
    low = np.clip(np.floor(position - long[:, None]), 0, None).astype(np.int64)
    high = np.ceil(position + long[:, None]).astype(np.int64) + 1
    for i in range(len(position)):  # a loop over the cells of one frame, a patch of pixels each
        patch = np.s_[low[i, 0] : high[i, 0], low[i, 1] : high[i, 1]]
        y, x = np.ogrid[patch]
        y, x = y[: shape[0] - low[i, 0]] - position[i, 0], x[:, : shape[1] - low[i, 1]] - position[i, 1]
        along, across = x * np.cos(angle[i]) + y * np.sin(angle[i]), y * np.cos(angle[i]) - x * np.sin(angle[i])
        out = (along / long[i]) ** 2 + (across / short[i]) ** 2
        nearer = out < nearest[patch]
        row[patch][nearer] = i
        nearest[patch][nearer] = out[nearer]
    return row, nearest
