"""What to simulate: the cells and what they do, how they are segmented, and how they are imaged."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np

from ...errors import ConfigError

RADIUS_PX = 9.0  # of a full-grown cell
GROWN = 0.8  # share of the full radius from which on a cell may divide
COVERED = {2: 0.15, 3: 0.08}  # share of the first frame that cells fill: neighbours are about two radii apart
CROWDED = 0.45  # share from which on no cell divides, or CROWDING times the first frame's, whichever is more
CROWDING = 1.3  # cells can be pressed to this much more than all of the room
MEAN_VOLUME = 0.75  # of the cells of the first frame, half grown to full grown, in volumes of a full-grown one
MOST_PX = 2**31  # pixels of a frame

Modality = Literal["nuclei", "phase"]
Condition = Literal["a", "b"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """How cells are segmented and imaged, whatever they do.

    Parameters
    ----------
    seed : int
        The same seed and settings give the same movie. What the cells do hangs on the seed and their own settings
        alone: another modality, another condition or other rates of errors show the same cells.
    missed : float
        Chance of a cell to be missed by the segmentation in a frame.
    false : float
        False detections for each true cell.
    merged : float
        Merges for each true cell: it and a neighbour become one label. A cell too far from all others is not merged.
    split : float
        Chance of a cell to become two labels.
    ragged_px : float
        How far the segmentation's outlines stray from the true ones, in pixels.
    modality : str
        ``nuclei``: fluorescent nuclei; ``phase``: whole cells in phase contrast, flat movies only.
    condition : str
        ``a``, or ``b``: dimmer, more blurred, noisier, on a stronger and less even background.
    scale_um : tuple of float or None
        Voxel size ``([z,] y, x)`` in micrometres; cells are round in micrometres.
    interval_s : float or None
        Seconds from one frame to the next.

    Raises
    ------
    ConfigError
        If a value makes no sense.
    """

    seed: int = 0
    missed: float = 0.02
    false: float = 0.02
    merged: float = 0.0
    split: float = 0.0
    ragged_px: float = 0.5
    modality: Modality = "nuclei"
    condition: Condition = "a"
    scale_um: tuple[float, ...] | None = None
    interval_s: float | None = None

    def __post_init__(self) -> None:
        require("seed", self.seed, 0, math.inf)
        for name in ("missed", "false", "merged", "split"):
            require(name, getattr(self, name), 0, 1)
        require("ragged outlines", self.ragged_px, 0, 10)
        if self.missed + self.split + 2 * self.merged > 1:
            raise ConfigError(
                "more cells are missed, split and merged than there are",
                expected="missed + split + 2 merged of 1 at most",
                got=f"{self.missed:g} + {self.split:g} + 2 x {self.merged:g}",
            )
        for name, value, known in (
            ("modality", self.modality, ("nuclei", "phase")),
            ("condition", self.condition, ("a", "b")),
        ):
            if value not in known:
                raise ConfigError(f"there is no {name} {value}", expected=" or ".join(known))
        if self.scale_um is not None and not all(1e-9 < s < 1e9 for s in self.scale_um):
            raise ConfigError("a voxel size needs positive numbers", got=",".join(map(str, self.scale_um)))
        if self.interval_s is not None and not 0 < self.interval_s < math.inf:
            raise ConfigError("the frame interval must be positive", expected="seconds", got=f"{self.interval_s:g}")

    @property
    def elongation(self) -> float:
        """How much longer than wide the most elongated cell is: nuclei are rounder than whole cells."""
        return {"nuclei": 0.4, "phase": 1.0}[self.modality]

    def pitch(self, ndim: int) -> tuple[float, ...]:
        """Return the distance of voxels ``([z,] y, x)`` in units of that along x.

        Raises
        ------
        ConfigError
            If the voxel size does not fit the movie's axes, or phase contrast is asked for in 3D.
        """
        if ndim == 3 and self.modality == "phase":
            raise ConfigError("phase contrast images are flat", **{"try": "nuclei in 3D, or phase contrast in 2D"})
        if self.scale_um is None:
            return (1.0,) * ndim
        if len(self.scale_um) != ndim:
            wanted = "y,x" if ndim == 2 else "z,y,x"
            got = ",".join(f"{s:g}" for s in self.scale_um)
            raise ConfigError(f"the voxel size of a {ndim}D movie needs {ndim} numbers", expected=wanted, got=got)
        return tuple(s / self.scale_um[-1] for s in self.scale_um)


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation(Drawing):
    """What cells to simulate, and how to draw them (see `Drawing`).

    Parameters
    ----------
    frames, cells : int
        Length of the movie, and cells in its first frame.
    ndim : int
        2 or 3 space axes.
    shape_px : tuple of int or None
        Size of the frames, axes ``([z,] y, x)``; None: as large as the cells need, in 3D half as deep as wide.
    density : float or None
        Share of the first frame that cells fill: 0.15 in 2D and 0.08 in 3D if neither it nor a shape is given; at 1
        each cell touches its neighbours all around.
    radius_px : float or None
        Radius of a full-grown cell along x; 9 unless it follows from a shape and a density.
    division_rate : float
        Chance of a grown cell to divide from one frame to the next; it falls to 0 as the frame fills up.
    death_rate : float
        Chance of a cell to die from one frame to the next.
    motion : float
        Median step of a cell from one frame to the next, in units of the median distance of nearest neighbours in that
        frame: from 0.5 on a cell's nearest neighbour in the next frame is often another cell.
    persistence : float
        Correlation of a cell's step with its last one.
    drift : float
        Step that all cells do together in each frame, beside `motion` and in the same unit; its direction is drawn.
    open_borders : bool
        True: cells come and go at the borders. False: they turn back there.

    Raises
    ------
    ConfigError
        If a value makes no sense, or the cells do not fit into the shape.
    """

    frames: int = 30
    cells: int = 40
    ndim: int = 2
    shape_px: tuple[int, ...] | None = None
    density: float | None = None
    radius_px: float | None = None
    division_rate: float = 0.02
    death_rate: float = 0.002
    motion: float = 0.06
    persistence: float = 0.6
    drift: float = 0.0
    open_borders: bool = True

    def __post_init__(self) -> None:
        Drawing.__post_init__(self)  # super() does not find its way out of a dataclass with slots
        for name, value, low, high in (
            ("frames", self.frames, 1, math.inf),
            ("cells", self.cells, 1, 2**31),
            ("space axes", self.ndim, 2, 3),
            ("division rate", self.division_rate, 0, 1),
            ("death rate", self.death_rate, 0, 1),
            ("motion", self.motion, 0, 5),
            ("persistence", self.persistence, 0, 0.99),
            ("drift", self.drift, 0, 5),
            ("density", self.density, 0.001, 1),
            ("radius", self.radius_px, 1, 1000),
        ):
            if value is not None:
                require(name, value, low, high)
        self.pitch(self.ndim)
        self._require_room()

    def _require_room(self) -> None:
        """Raise ConfigError unless the frame is a frame and holds the cells."""
        if self.shape_px is not None and len(self.shape_px) != self.ndim:
            wanted = "y,x" if self.ndim == 2 else "z,y,x"
            raise ConfigError(f"the shape of a {self.ndim}D movie needs {self.ndim} numbers", expected=wanted)
        if self.shape_px is not None and self.density is not None and self.radius_px is not None:
            raise ConfigError("of shape, density and radius one follows from the others", **{"try": "two of them"})
        if self.shape_px is not None and min(self.shape_px) < 1:
            raise ConfigError("a frame has no pixels", got=" x ".join(map(str, self.shape_px)))
        if math.prod(self.shape) > MOST_PX:
            raise ConfigError(
                f"a frame of {' x '.join(map(str, self.shape))} pixels is too large", expected=f"{MOST_PX:,} at most"
            )
        least = 4 * self.radius
        if min(self.extent[-2:]) < least - 1e-6:
            raise ConfigError(f"a frame needs {least:.0f} pixels a side, got {self.shape}")
        if self.covered > CROWDING:
            raise ConfigError(
                f"{self.cells} cells do not fit into {' x '.join(map(str, self.shape))} pixels",
                **{"try": "fewer cells, or no shape at all"},
            )

    @property
    def radius(self) -> float:
        """Radius of a full-grown cell in pixels along x."""
        if self.radius_px is None and self.shape_px is not None and self.density is not None:
            room = math.prod(self.shape_px) * math.prod(self.pitch(self.ndim))
            each = self.density * room / self.cells / MEAN_VOLUME
            return float((each / ball(self.ndim, 1.0)) ** (1 / self.ndim))
        return self.radius_px or RADIUS_PX

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of the frames in pixels, axes ``([z,] y, x)``."""
        if self.shape_px is not None:
            return self.shape_px
        room = self.cells * MEAN_VOLUME * ball(self.ndim, self.radius) / (self.density or COVERED[self.ndim])
        side = max(64.0, 4 * self.radius, (room * (self.ndim - 1)) ** (1 / self.ndim))  # 3D: half as deep as wide
        pitch = self.pitch(self.ndim)
        depth = [max(side / 2, 2 * self.radius) / pitch[0]] if self.ndim == 3 else []
        return tuple(math.ceil(round(n, 6)) for n in (*depth, side / pitch[-2], side))

    @property
    def extent(self) -> tuple[float, ...]:
        """Size of the frames, axes ``([z,] y, x)``, in pixels along x."""
        return tuple(n * p for n, p in zip(self.shape, self.pitch(self.ndim), strict=True))

    @property
    def covered(self) -> float:
        """Share of the first frame that cells fill."""
        return self.cells * MEAN_VOLUME * ball(self.ndim, self.radius) / math.prod(self.extent)

    @property
    def crowded(self) -> float:
        """Share of the frame from which on no cell divides."""
        return max(CROWDED, CROWDING * self.covered)


def ball(ndim: int, radius: float) -> float:
    """Return the area of a disc, or the volume of a ball."""
    return math.pi * radius**2 if ndim == 2 else 4 / 3 * math.pi * radius**3


def require(name: str, value: float, low: float, high: float) -> None:
    """Raise ConfigError unless a value lies within its bounds."""
    if low <= value <= high:
        return
    bounds = f"at least {low:g}" if high in (math.inf, 2**31) else f"between {low:g} and {high:g}"
    raise ConfigError(f"{name} must be {bounds}, got {value}")


class Purpose(IntEnum):
    """What random numbers are for; each purpose has its own, and a seed gives the same movie as long as these stay."""

    LIFE = 0
    SHAPE_WAVES = 1
    FIELD = 2
    NOISE = 3
    ERRORS = 4
    LOOKS = 5


def stream(seed: int, purpose: Purpose, *more: int) -> np.random.Generator:
    """Return the random numbers of one purpose: a frame is drawn alike whatever else has been drawn before."""
    return np.random.default_rng([seed, purpose, *more])
