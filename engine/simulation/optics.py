"""What a microscope makes of the matter in a frame: fluorescent nuclei, or cells in phase contrast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from .settings import Purpose, stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .settings import Drawing

    Maps = NDArray[np.float32]

CONDITIONS = {"a": 0, "b": 1}
CAMERA = 100.0  # counts that the camera shows in the dark
FULL_WELL = 2**16 - 1
FIELD_NODES = 3  # of the uneven field along each side
ATTENUATION = 0.4  # share of the light that the deepest slice has lost
HALO_SHRINK = 4  # a halo is wide, and is found on a coarser grid
RIM = 0.15  # width of the fuzzy border of a nucleus in a confocal slice, in depths
WRAP = 1.2  # phase of a normal cell's middle; a round one has 2.6 times as much and shines


@dataclass(frozen=True, slots=True)
class Optics:
    """A microscope and its settings.

    Parameters
    ----------
    signal : float
        Photons from the middle of a median cell; in phase contrast the share of the background that a cell changes.
    background : float
        Photons where there is no cell.
    uneven : float
        How far light and background stray over the field, as a share of them.
    blur : float
        Standard deviation of the point spread function, in pixels along x.
    read_noise : float
        Noise of the camera, in counts.
    texture : float
        Contrast of the cells' texture.
    """

    signal: float
    background: float
    uneven: float
    blur: float
    read_noise: float
    texture: float


# condition b differs in all that a microscope can change, and in nothing that is the cells' own
MICROSCOPES = {
    ("nuclei", "a"): Optics(1800, 200, 0.1, 1.0, 10, 0.3),
    ("nuclei", "b"): Optics(550, 450, 0.3, 1.7, 25, 0.3),
    ("phase", "a"): Optics(0.6, 2500, 0.08, 0.8, 15, 0.25),
    ("phase", "b"): Optics(0.5, 1100, 0.2, 1.4, 30, 0.25),
}
HALO = 1.1  # strength of the halo, in phases
HALO_RADII = 0.4  # and its width, in radii of a cell


class Microscope:
    """Takes images of one movie under one condition.

    Parameters
    ----------
    drawing : Drawing
        Seed, modality, condition.
    shape : (int, int, int)
        Size of the frames, axes ``(z, y, x)``.
    pitch : (float, float, float)
        Size of a voxel, in pixels along x.
    radius : float
        Radius of a typical cell, in pixels along x.
    """

    def __init__(
        self,
        drawing: Drawing,
        shape: tuple[int, int, int],
        pitch: tuple[float, float, float],
        radius: float,
    ) -> None:
        self.optics = MICROSCOPES[drawing.modality, drawing.condition]
        self._drawing, self._pitch, self._radius = drawing, pitch, radius
        self._key = CONDITIONS[drawing.condition]
        self._field = _uneven_field(shape, self.optics.uneven, stream(drawing.seed, Purpose.FIELD, self._key))

    def amount(
        self, brightness: NDArray[np.float64], divides: NDArray[np.bool_], dies: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Return how much matter cells show; one about to divide or to die is compact, and shows it."""
        if self._drawing.modality == "phase":
            return WRAP * brightness**0.5 * np.where(divides | dies, 2.6, 1.0)
        return brightness * np.where(dies, 1.8, np.where(divides, 1.5, 1.0))

    def image(self, matter: Maps, depth: Maps, frame: int) -> NDArray[np.uint16]:
        """Return the image of one frame, axes ``(z, y, x)``.

        Parameters
        ----------
        matter, depth : (z, y, x) float32
            From `bodies`.
        frame : int
            Its number, on which the noise hangs.
        """
        phase = self._drawing.modality == "phase"
        photons = self._phase(matter, depth) if phase else self._nuclei(matter, depth)
        photons *= self._field
        rng = stream(self._drawing.seed, Purpose.NOISE, self._key, frame)
        noise = rng.standard_normal(photons.shape, dtype=np.float32)
        # photons are counted: hundreds of them, so that their Poisson noise is as good as normal
        noise *= np.sqrt(photons + np.float32(self.optics.read_noise**2))
        photons += noise
        photons += np.float32(CAMERA + 0.5)
        np.clip(photons, 0, FULL_WELL, out=photons)
        return photons.astype(np.uint16)

    def _nuclei(self, matter: Maps, depth: Maps) -> Maps:
        """Return the light of nuclei: of all their thickness in a flat movie, of a slice of them in a volume."""
        flat = matter.shape[0] == 1
        thickness = np.sqrt(np.clip(depth * (2 - depth), 0, 1)) if flat else np.clip(depth / np.float32(RIM), 0, 1)
        light = _blurred(matter * thickness, self._blurs())
        light *= np.float32(self.optics.signal)
        light += np.float32(self.optics.background)
        return light

    def _phase(self, matter: Maps, depth: Maps) -> Maps:
        """Return the light of phase contrast.

        Light that a cell delays comes out darker, and brighter again where the delay nears half a wave. What the
        phase ring catches of the undelayed light is a blurred copy of the delay, taken off: a bright halo around
        each cell, and a paler middle.
        """
        delay = _blurred(matter * np.clip(depth * (2 - depth), 0, 1), self._blurs())
        light = np.float32(HALO) * _spread(delay, HALO_RADII * self._radius, self._pitch) - np.sin(delay)
        light *= np.float32(self.optics.signal)
        light += np.float32(1.0)
        np.maximum(light, np.float32(0.05), out=light)
        light *= np.float32(self.optics.background)
        return light

    def _blurs(self) -> tuple[float, float, float]:
        """Return the point spread in voxels; along z it is twice as wide."""
        wide = (2.0, 1.0, 1.0)
        z, y, x = (w * self.optics.blur / p for w, p in zip(wide, self._pitch, strict=True))
        return z, y, x


def _blurred(image: Maps, sigma: tuple[float, float, float]) -> Maps:
    """Blur an image; a flat one in its plane."""
    if image.shape[0] == 1:
        return np.asarray(gaussian_filter(image[0], sigma[1:], truncate=3.0))[None]
    return np.asarray(gaussian_filter(image, sigma, truncate=2.5))


def _spread(delay: Maps, sigma: float, pitch: tuple[float, float, float]) -> Maps:
    """Blur a flat image widely: on blocks of pixels, then between them."""
    n = HALO_SHRINK if sigma >= 2 * HALO_SHRINK else max(1, int(sigma / 2))
    plane = delay[0]
    rows, columns = -(-plane.shape[0] // n), -(-plane.shape[1] // n)
    padded = np.pad(plane, ((0, rows * n - plane.shape[0]), (0, columns * n - plane.shape[1])), mode="edge")
    coarse = padded.reshape(rows, n, columns, n).mean(axis=(1, 3), dtype=np.float32)
    coarse = gaussian_filter(coarse, (sigma / n / pitch[1], sigma / n / pitch[2]), truncate=3.0)
    wide = coarse if n == 1 else zoom(coarse, n, order=1, grid_mode=True, mode="nearest")
    return np.asarray(wide[: plane.shape[0], : plane.shape[1]], dtype=np.float32)[None]


def _uneven_field(shape: tuple[int, int, int], uneven: float, rng: np.random.Generator) -> Maps:
    """Return the light over the field, 1 on average: brighter here and there, and ever weaker with depth."""
    nodes = rng.normal(size=(FIELD_NODES, FIELD_NODES))
    plane = zoom(nodes, (shape[1] / FIELD_NODES, shape[2] / FIELD_NODES), order=3, grid_mode=True, mode="nearest")
    plane -= plane.mean()
    plane *= uneven / max(float(plane.std()), 1e-9)
    plane = np.clip(1 + plane, 0.2, 3.0)
    depth = 1 - ATTENUATION * np.linspace(0, 1, shape[0]) if shape[0] > 1 else np.ones(1)
    return np.asarray(plane[None] * depth[:, None, None], dtype=np.float32)
