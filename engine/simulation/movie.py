"""A simulated movie: drawn frame by frame while it is read, the same each time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from .bodies import bodies_of, matter, paint, wave_vectors
from .life import live, room_of
from .optics import Microscope
from .segmentation import segment
from .settings import MEAN_VOLUME, Simulation, ball

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .life import Scene
    from .segmentation import SegmentationErrors
    from .settings import Drawing


Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedFrame:
    """One frame of a simulated movie.

    Parameters
    ----------
    frame : int
        Its number, from 0.
    truth : ([z,] y, x) int32
        Number of the track at each pixel; every cell whose centre lies in the frame has pixels, and no other.
    mask : ([z,] y, x) int32
        The same cells as a segmentation finds them, with its errors, under labels that tell nothing.
    errors : SegmentationErrors
        What is wrong with the mask.
    image : ([z,] y, x) uint16 or None
        What the microscope shows; None where no images were asked for.
    """

    frame: int
    truth: NDArray[np.int32]
    mask: NDArray[np.int32]
    errors: SegmentationErrors
    image: NDArray[np.uint16] | None


class Cast(Protocol):
    """Cells of a whole movie, told frame by frame: simulated ones, or those of a known lineage."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of the frames in pixels, axes ``([z,] y, x)``."""
        ...

    @property
    def n_frames(self) -> int:
        """Frames of the movie."""
        ...

    @property
    def radius(self) -> float:
        """Radius of a typical cell, in pixels along x."""
        ...

    @property
    def about(self) -> str:
        """What cells they are, in words."""
        ...

    def scenes(self) -> Iterator[tuple[Scene, float]]:
        """Tell the cells of each frame, and the share of the room that they fill."""
        ...


@dataclass(frozen=True, slots=True)
class Living:
    """Cells that live as a simulation says."""

    settings: Simulation

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of the frames."""
        return self.settings.shape

    @property
    def n_frames(self) -> int:
        """Frames of the movie."""
        return self.settings.frames

    @property
    def radius(self) -> float:
        """Radius of a full-grown cell."""
        return self.settings.radius

    @property
    def about(self) -> str:
        """How many they are."""
        return f"{self.settings.cells} cells of radius {self.settings.radius:.3g} at first"

    def scenes(self) -> Iterator[tuple[Scene, float]]:
        """Let the cells live."""
        volume = room_of(self.settings).volume
        each = MEAN_VOLUME * ball(self.settings.ndim, self.settings.radius)
        for scene in live(self.settings):
            yield scene, len(scene) * each / volume


class SimulatedMovie:
    """A movie that is drawn while its frames are read, the same each time; afterwards its tracks are known.

    Attributes
    ----------
    settings : Drawing
        How it is drawn; a `Simulation` tells also what the cells do.
    cast : Cast
        Its cells.
    tracks : (k, 4) int64
        Label, first frame, last frame and mother (0: none) of each track, as `man_track.txt` has them; whole when the
        last frame has been read.
    """

    def __init__(self, settings: Drawing, cast: Cast) -> None:
        self.settings, self.cast = settings, cast
        self.tracks: NDArray[np.int64] = np.empty((0, 4), dtype=np.int64)

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of the frames in pixels, axes ``([z,] y, x)``."""
        return self.cast.shape

    def __iter__(self) -> Iterator[SimulatedFrame]:
        """Draw the frames in order."""
        return self.frames()

    def frames(self, first: int = 0, *, images: bool = True) -> Iterator[SimulatedFrame]:
        """Draw the frames from number `first` on; those before it are lived through and not drawn.

        Parameters
        ----------
        first : int
            Number of the first frame to draw; it and all after it look as they do in the whole movie.
        images : bool
            False leaves out the images.
        """
        ndim = len(self.shape)
        pitch = self.settings.pitch(ndim)
        microscope = None
        if images:
            microscope = Microscope(self.settings, _lifted(self.shape), _lifted(pitch), self.cast.radius)
        waves = wave_vectors(self.settings.seed, ndim)
        self.tracks = np.empty((0, 4), dtype=np.int64)
        for frame, (scene, filled) in enumerate(self.cast.scenes()):
            self.tracks = _with_scene(self.tracks, scene, frame)
            if frame >= first:
                yield self._drawn(frame, scene, filled, waves, microscope)

    def _drawn(
        self,
        frame: int,
        scene: Scene,
        filled: float,
        waves: tuple[NDArray[np.float64], NDArray[np.float64]],
        microscope: Microscope | None,
    ) -> SimulatedFrame:
        """Draw one frame: the truth, the segmentation with its errors, and the image."""
        shape, ndim = _lifted(self.shape), len(self.shape)
        pitch = _lifted(self.settings.pitch(ndim))
        bodies = bodies_of(scene, waves, spread=self.settings.elongation, filled=filled)
        painted = paint(bodies, scene.track > 0, shape, pitch)
        truth = np.append(scene.track, 0).astype(np.int32)[painted.row]
        mask, errors = segment(bodies, painted, scene.track, self.settings, frame, pitch)
        image = None
        if microscope:
            amount = microscope.amount(scene.looks.brightness, scene.divides, scene.dies)
            stuff = matter(bodies, amount, microscope.optics.texture, painted, pitch)
            image = microscope.image(stuff, painted.depth, frame)
        flat = self.shape
        return SimulatedFrame(
            frame, truth.reshape(flat), mask.reshape(flat), errors, None if image is None else image.reshape(flat)
        )


def simulate(settings: Simulation | None = None) -> SimulatedMovie:
    """Return a movie with known truth, to be iterated a frame at a time.

    Cells are ellipses with bumps, each with a texture of its own. They wander with some persistence, grow, divide
    along their long axis into two that part, die, and come and go at the borders. Where two touch, a pixel belongs to
    that in which it lies deeper, in units of the cell's size.
    """
    settings = settings or Simulation()
    return SimulatedMovie(settings, Living(settings))


def _lifted(flat: tuple[Number, ...]) -> tuple[Number, Number, Number]:
    """Return sizes along ``(z, y, x)``; a flat movie is one slice."""
    return flat[0] if len(flat) == 3 else type(flat[0])(1), flat[-2], flat[-1]


def _with_scene(tracks: NDArray[np.int64], scene: Scene, frame: int) -> NDArray[np.int64]:
    """Return the tracks up to this frame: begun, or gone on with."""
    shown = scene.track[scene.track > 0]
    new = scene.track > len(tracks)
    order = np.argsort(scene.track[new])
    born = scene.track[new][order]
    begin = np.full(len(born), frame)
    tracks = np.concatenate([tracks, np.stack([born, begin, begin, scene.mother[new][order]], axis=1)])
    tracks[shown - 1, 2] = frame
    return tracks
