"""Cells that move, grow, divide, die, come and go: who is where in each frame, without any pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .looks import Looks, inherited, new_looks
from .motion import MARGIN, MEDIAN_STEP, Room, make_way, pushed_apart, spacing
from .settings import GROWN, MEAN_VOLUME, Purpose, ball, stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .settings import Simulation

GROWTH = 0.03  # of the full radius, in a frame
YOUNG = 0.5  # volume of a cell after a division, in volumes of its mother
DAUGHTERS_APART = 0.6  # of their mother's radius, each from where she was


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Cells of one frame: those that it shows, and those behind its borders of whom an edge may be seen.

    Parameters
    ----------
    position : (n, d) float64
        Centres in pixels along x, axes ``([z,] y, x)``; the first voxel of the frame is at 0.
    radius : (n,) float64
        Their radii.
    looks : Looks
        How they look.
    divides, dies : (n,) bool
        Who does so before the next frame, and looks like it.
    track : (n,) int64
        Number of the track, from 1 in the order in which tracks begin; 0 for a cell whose centre is not in the frame.
    mother : (n,) int64
        Number of the mother's track where a division has just begun the track, else 0.
    """

    position: NDArray[np.float64]
    radius: NDArray[np.float64]
    looks: Looks
    divides: NDArray[np.bool_]
    dies: NDArray[np.bool_]
    track: NDArray[np.int64]
    mother: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.track)


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """All cells of the room, n of them, and what moves them."""

    scene: Scene
    velocity: NDArray[np.float64]  # (n, d) in standard deviations of a step along one axis
    n_tracks: int  # tracks begun so far


def live(settings: Simulation) -> Iterator[Scene]:
    """Tell the cells of one frame after the other."""
    rng = stream(settings.seed, Purpose.LIFE)
    room = room_of(settings)
    cells = _first_cells(settings, room, rng)
    heading = rng.normal(size=settings.ndim)
    drift = settings.drift * heading / np.linalg.norm(heading)
    for frame in range(settings.frames):
        if frame:
            cells = _next_cells(cells, settings, room, drift, rng)
        yield cells.scene


def room_of(settings: Simulation) -> Room:
    """Return the room that a simulation's cells live in."""
    margin = MARGIN * settings.radius if settings.open_borders else 0.0
    return Room(settings.extent, settings.pitch(settings.ndim), margin)


def _first_cells(settings: Simulation, room: Room, rng: np.random.Generator) -> _Cells:
    """Place the cells of the first frame, each somewhere in its cycle: as many as asked in the frame, others around."""
    n_inside, ndim = settings.cells, settings.ndim
    frame_volume = float(np.prod(settings.extent))
    n = n_inside + round(n_inside * (room.volume / frame_volume - 1))
    inside = np.arange(n) < n_inside
    position = np.concatenate([rng.random((n_inside, ndim)) * settings.extent, _around(n - n_inside, room, rng)])
    position[:n_inside] = np.minimum(position[:n_inside], room.last)
    radius = settings.radius * rng.uniform(0.5, 1, n) ** (1 / ndim)
    position = pushed_apart(position, radius, room, inside=inside)
    none = np.zeros(n, dtype=np.int64)
    scene = Scene(
        position=position,
        radius=radius,
        looks=new_looks(n, ndim, rng),
        divides=none > 0,
        dies=none > 0,
        track=np.where(inside, np.arange(n) + 1, 0),
        mother=none,
    )
    return _Cells(_fated(scene, settings, room, rng), rng.normal(size=(n, ndim)), n_inside)


def _around(n: int, room: Room, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return random places of the room that the frame does not show."""
    places = np.empty((0, len(room.extent)))
    while len(places) < n:
        tried = rng.random((2 * n + 10, len(room.extent))) * room.size - 0.5 * room.margin
        places = np.concatenate([places, tried[~room.shows(tried)]])
    return places[:n]


def _fated(scene: Scene, settings: Simulation, room: Room, rng: np.random.Generator) -> Scene:
    """Decide who divides and who dies before the next frame."""
    n = len(scene)
    filled = n * MEAN_VOLUME * ball(settings.ndim, settings.radius) / room.volume
    rate = settings.division_rate * float(np.clip(2 - 2 * filled / settings.crowded, 0, 1))  # full up to half crowded
    divides = (rng.random(n) < rate) & (scene.radius > GROWN * settings.radius)
    dies = (rng.random(n) < settings.death_rate) & ~divides
    return replace(scene, divides=divides, dies=dies)


def _next_cells(
    cells: _Cells, settings: Simulation, room: Room, drift: NDArray[np.float64], rng: np.random.Generator
) -> _Cells:
    """Move, grow and divide the cells by one frame."""
    old, ndim = cells.scene, settings.ndim
    mothers = np.tile(np.flatnonzero(old.divides), 2)  # the first daughters, then the second
    parent = np.concatenate([np.flatnonzero(~old.divides & ~old.dies), mothers])
    n = len(parent)
    is_daughter = np.arange(n) >= n - len(mothers)
    side = np.where(is_daughter, DAUGHTERS_APART, 0.0)
    side[n - len(mothers) // 2 :] *= -1
    long_axis = old.looks.turn[parent, 2, 3 - ndim :]
    home = old.position[parent] + (side * old.radius[parent])[:, None] * long_axis
    radius = np.minimum(settings.radius, old.radius[parent] + GROWTH * settings.radius)
    radius = np.where(is_daughter, radius * YOUNG ** (1 / ndim), radius)

    unit = spacing(old.position, room)
    keeps = settings.persistence
    velocity = keeps * cells.velocity[parent] + np.sqrt(1 - keeps**2) * rng.normal(size=(n, ndim))
    # drift takes all along and is no step of their own: it comes first
    home, far_out = room.brought_back(home + unit * drift)
    position, came_in = make_way(home, settings.motion * unit / MEDIAN_STEP[ndim] * velocity, radius, room)
    is_stranger = far_out | came_in
    looks = inherited(old.looks, np.where(is_stranger, -1, parent), is_daughter, ndim, rng)

    before = np.where(is_stranger, 0, old.track[parent])
    shown = room.shows(position)
    begins = shown & ((before == 0) | is_daughter)
    track = np.where(shown, before, 0)
    track[begins] = cells.n_tracks + 1 + np.arange(np.count_nonzero(begins))
    scene = Scene(
        position=position,
        radius=radius,
        looks=looks,
        divides=is_daughter & False,
        dies=is_daughter & False,
        track=track,
        mother=np.where(begins & is_daughter, before, 0),
    )
    return _Cells(_fated(scene, settings, room, rng), velocity, cells.n_tracks + int(np.count_nonzero(begins)))
