"""Positions and times in the units of a file, brought to pixels and frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import FormatError
from ..pixels.metadata import SANE_UM
from ..units import is_frame, is_pixel, seconds_per_unit, um_per_unit
from .options import checked_scale

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LARGEST = 1e15  # squares of larger coordinates are lost in single precision, which the store keeps
SANE = (1e-9, 1e9)  # what a voxel size or a frame interval may be, in whatever unit


@dataclass(frozen=True, slots=True)
class Calibration:
    """How the numbers of a file become pixels.

    Parameters
    ----------
    step : tuple of float
        By how much the file's numbers grow from one pixel to the next, ``([z,] y, x)``.
    scale_um : tuple of float or None
        Voxel size in micrometres, where the file or the user tells it.
    notes : tuple of str
        What was assumed.
    """

    step: tuple[float, ...]
    scale_um: tuple[float, ...] | None
    notes: tuple[str, ...] = ()


def calibrate(
    ndim: int, unit: str | None, pixel: tuple[float, ...] | None, asked_um: tuple[float, ...] | None
) -> Calibration:
    """Work out how the positions of a file become pixels.

    Parameters
    ----------
    ndim : int
        Number of space axes, 2 or 3.
    unit : str or None
        Unit of the file's positions, as it names it.
    pixel : tuple of float or None
        Size of a pixel in that unit, ``([z,] y, x)``, where the file tells it; positive.
    asked_um : tuple of float or None
        Voxel size in micrometres that the user gives.

    Raises
    ------
    ConfigError
        If the user's voxel size does not fit.
    """
    um = um_per_unit(unit)
    asked_um = checked_scale(asked_um, ndim)
    if um is None:
        notes = () if asked_um is not None and is_pixel(unit) else _note_unit(unit)
        return Calibration(pixel or (1.0,) * ndim, None, notes)
    if pixel is not None:
        scale = tuple(um * size for size in pixel)
        odd = [size for size in scale if not SANE_UM[0] <= size <= SANE_UM[1]]
        notes = (f"the file tells a pixel of {odd[0]:g} um: check it; --pixel-size sets another",) if odd else ()
        return Calibration(pixel, scale, notes)
    if asked_um is not None:
        note = f"positions are in {unit}: brought to pixels by the voxel size that was given"
        return Calibration(tuple(size / um for size in asked_um), asked_um, (note,))
    note = f"positions are in {unit} and no pixel size is told: one pixel is taken for 1 um; --pixel-size sets it"
    return Calibration((1.0 / um,) * ndim, (1.0,) * ndim, (note,))


def _note_unit(unit: str | None) -> tuple[str, ...]:
    if not (unit or "").strip():
        return ("no unit of length is told: positions are taken as pixels, the voxel size is unknown",)
    if is_pixel(unit):
        return ()
    return (f"the unit of length {unit!r} is none that is known: the voxel size is unknown",)


def to_pixels(
    position: NDArray[np.float64], calibration: Calibration, where: Callable[[int], str]
) -> NDArray[np.float64]:
    """Return positions in pixels.

    Parameters
    ----------
    position : (n, ndim) float64
        In the file's unit, axes ``([z,] y, x)``.
    where : callable
        Says where the file tells of a row.

    Raises
    ------
    FormatError
        If a position is not finite, or too large for the store.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        pixels: NDArray[np.float64] = position / np.array(calibration.step)
    wrong = np.flatnonzero(~(np.abs(pixels) < LARGEST).all(axis=1))
    if len(wrong):
        row = int(wrong[0])
        raise FormatError(
            f"{where(row)}: a cell has no place in the image",
            expected=f"finite positions below {LARGEST:.0e} pixels",
            got=", ".join(f"{value:g}" for value in position[row]),
        )
    return pixels


def flattened(position: NDArray[np.float64], what: str) -> tuple[NDArray[np.float64], list[str]]:
    """Return positions without their z where it is the same everywhere, and a note that says so.

    Parameters
    ----------
    position : (n, 2) or (n, 3) float64
        Axes ``([z,] y, x)``.
    what : str
        What the file calls z.
    """
    if position.shape[1] == 3 and len(position) and np.all(position[:, 0] == position[0, 0]):
        return position[:, 1:], [f"{what} is the same everywhere, so the movie is 2D"]
    return position, []


def interval_of(step: float | None, unit: str | None) -> tuple[float | None, tuple[str, ...]]:
    """Return the frame interval in seconds that a file tells, None where it tells none, and what to say about it."""
    if step is None or is_frame(unit):
        return None, ()
    seconds = seconds_per_unit(unit)
    if seconds is None:
        return None, (f"the unit of time {unit!r} is none that is known: the frame interval is unknown",)
    if not SANE[0] < step * seconds < SANE[1]:
        return None, (f"the file tells a frame interval of {step:g} {unit}: left out, the frame interval is unknown",)
    return step * seconds, ()
