"""The axes of a GEFF: which property is time and which is space, in frames and pixels.

An axis has a unit, and may have a scale that turns its values into another unit. Values in pixels with a scale are what
trackdb writes; values in a unit of length become pixels by the voxel size that the user gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ....errors import FormatError
from ...pixels.frames import MAX_FRAMES
from ...units import is_frame, seconds_per_unit, um_per_unit
from ..calibration import SANE, Calibration, calibrate, interval_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geff_spec import Axis, GeffMetadata
    from numpy.typing import NDArray

    from .group import GeffGroup

SPACE = ("z", "y", "x")
TIME = "t"
UNEVEN = 1e-6  # of a frame: how far a time may lie from an even step


@dataclass(frozen=True, slots=True)
class GeffAxes:
    """The axes that count.

    Parameters
    ----------
    time : Axis
        That of time.
    space : tuple of Axis
        Those of space, ``([z,] y, x)``.
    """

    time: Axis
    space: tuple[Axis, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Properties that hold them."""
        return (self.time.name, *(axis.name for axis in self.space))


def find_axes(group: GeffGroup) -> GeffAxes:
    """Return the axes that the metadata name; where they name none, the properties ``t``, ``z``, ``y`` and ``x``.

    Raises
    ------
    FormatError
        If there is no time, or other than two or three axes of space.
    """
    axes = group.metadata.axes or _by_name(group)
    time = [axis for axis in axes if axis.type == "time"] or [axis for axis in axes if _letter(axis) == TIME]
    if not time:
        raise FormatError(f"{group.path} has no axis of time", expected="one", got=_names(axes))
    space = [axis for axis in axes if axis.type in ("space", None) and axis is not time[0]]
    letters = [_letter(axis) for axis in space]
    if sorted(letters) in (sorted(SPACE), sorted(SPACE[1:])):  # by name, else in the order in which they stand
        space.sort(key=lambda axis: SPACE.index(_letter(axis)))
    if len(space) not in (2, 3):
        raise FormatError(f"{group.path} has no axes of space", expected="two or three", got=_names(axes))
    return GeffAxes(time[0], tuple(space))


def _by_name(group: GeffGroup) -> list[Axis]:
    from geff_spec import Axis

    there = group.names("nodes/props")
    found = [Axis(name=TIME, type="time")] if TIME in there else []
    return [*found, *(Axis(name=name, type="space") for name in SPACE if name in there)]


def _letter(axis: Axis) -> str:
    """Return the last letter of a name: `POSITION_X` is x."""
    return str(axis.name[-1:]).lower()


def _names(axes: Sequence[Axis]) -> str:
    return "axes " + ", ".join(axis.name for axis in axes) if axes else "no axes, and no properties t, y and x"


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Times brought to frames.

    Parameters
    ----------
    frame : (n,) int64
        Frame of each node.
    interval_s : float or None
        Seconds from frame to frame.
    keeps_time : bool
        True where the times tell more than frames do.
    notes : tuple of str
        What was assumed.
    """

    frame: NDArray[np.int64]
    interval_s: float | None
    keeps_time: bool = False
    notes: tuple[str, ...] = ()


def frames_of(values: NDArray[np.float64], axis: Axis, where: str) -> Frames:
    """Return the frame of each node.

    Times in a unit of time are counted in their smallest step; where they are no multiples of it, in their order.

    Raises
    ------
    FormatError
        If a time is not finite, or a frame no whole number from 0.
    """
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise FormatError(f"{where} row {wrong[0]} is no time", expected="a number", got=f"{values[wrong[0]]}")
    if seconds_per_unit(axis.unit) is not None and axis.scale is None:
        return _frames_of_times(values, axis, where)
    whole = np.floor(values) == values
    wrong = np.flatnonzero(~whole | (values < 0) | (values >= MAX_FRAMES))
    if len(wrong):
        raise FormatError(
            f"{where} row {wrong[0]} is no frame", expected=f"a whole number from 0, below {MAX_FRAMES:,}",
            got=f"{values[wrong[0]]:g}",
        )  # fmt: skip
    interval, notes = interval_of(axis.scale, axis.scaled_unit or axis.unit)
    if not is_frame(axis.unit) and axis.scale is None:
        notes = (*notes, f"the unit of time {axis.unit!r} is none that is known: values are taken as frames")
    return Frames(values.astype(np.int64), interval, notes=notes)


def _frames_of_times(values: NDArray[np.float64], axis: Axis, where: str) -> Frames:
    """Count times in their smallest step."""
    times = np.unique(values)
    if len(times) < 2:
        return Frames(np.zeros(len(values), dtype=np.int64), None)
    step = float(np.diff(times).min())
    count = (times - times[0]) / step
    if np.abs(count - np.rint(count)).max() > UNEVEN * max(1.0, count[-1]):
        note = (
            f"times of {axis.name} are not evenly spaced: frames follow their order, the times are kept as a property"
        )
        return Frames(np.searchsorted(times, values), None, keeps_time=True, notes=(note,))
    first = times[0] / step  # movies begin at 0, unless that is off the grid or far away
    begin = 0.0 if abs(first - np.rint(first)) < UNEVEN * max(1.0, abs(first)) and 0 <= first < MAX_FRAMES else times[0]
    frame = np.rint((values - begin) / step)
    if frame.max() >= MAX_FRAMES:
        raise FormatError(
            f"{where} runs over too many frames", expected=f"fewer than {MAX_FRAMES:,}", got=f"{frame.max():g}"
        )
    interval, notes = interval_of(step, axis.unit)
    keeps = begin != 0.0
    notes = (*notes, f"times of {axis.name} are counted in steps of {step:g} {axis.unit}") if step != 1 else notes
    return Frames(frame.astype(np.int64), interval, keeps_time=keeps, notes=notes)


def calibration_of(
    metadata: GeffMetadata, space: Sequence[Axis], asked_um: tuple[float, ...] | None, where: str
) -> Calibration:
    """Work out how positions become pixels.

    Raises
    ------
    FormatError
        If the axes have units that do not go together, or a scale is not positive.
    ConfigError
        If the user's voxel size does not fit.
    """
    units = {axis.unit or "" for axis in space}
    scaled = {axis.scaled_unit or "" for axis in space}
    if len(units) > 1 or len(scaled) > 1:
        raise FormatError(
            f"{where}: the axes of space have different units", expected="one", got=", ".join(units | scaled)
        )
    unit, scaled_unit = units.pop(), scaled.pop()
    scales = [axis.scale for axis in space if axis.scale is not None]
    if any(not SANE[0] < scale < SANE[1] for scale in scales):
        raise FormatError(f"{where}: the scale of an axis is wrong", expected="a positive number", got=f"{scales}")
    scale = tuple(scales) if len(scales) == len(space) else None
    notes = []
    if any(axis.offset for axis in space):
        notes.append("offsets of the axes are left out: positions are those in the image")
    if um_per_unit(unit) is not None and scale and not scaled_unit and set(scale) != {1.0}:
        notes.append(f"the axes have a scale and the unit {unit}: positions are taken as pixels of that size")
        unit, scaled_unit = "pixel", unit
    if um_per_unit(unit) is not None or scale is None:
        found = calibrate(len(space), unit, None, asked_um)
        return Calibration(found.step, found.scale_um, (*found.notes, *notes))
    um = um_per_unit(scaled_unit)
    if um is None:
        told = ", ".join(f"{size:g}" for size in scale)
        notes.append(f"the axes have a scale of {told} without a unit that is known: the voxel size is unknown")
        return Calibration((1.0,) * len(space), None, tuple(notes))
    return Calibration((1.0,) * len(space), tuple(um * size for size in scale), tuple(notes))
