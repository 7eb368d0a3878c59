"""What a user says about a source, held to what it can mean: what makes no sense is refused, never passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from .base import SourceOptions


def refuse_options(path: Path, what: str, options: SourceOptions, *fields: str) -> None:
    """Raise ConfigError if one of these options is given.

    Parameters
    ----------
    path : Path
        The source.
    what : str
        What the source is, with its article.
    options : SourceOptions
        What the user says.
    fields : str
        Names of options that say nothing about such a source.
    """
    for name in fields:
        if getattr(options, name):
            raise ConfigError(f"--{name} says nothing about {what}", got=str(path))


def checked_interval(interval_s: float | None) -> float | None:
    """Return the frame interval that the user gave, or raise ConfigError if time would stand still or run backward."""
    if interval_s is not None and not 0 < interval_s < float("inf"):
        raise ConfigError("the frame interval must be positive", expected="seconds", got=f"{interval_s:g}")
    return interval_s


def checked_scale(scale_um: tuple[float, ...] | None, ndim: int) -> tuple[float, ...] | None:
    """Return the voxel size that the user gave, or raise ConfigError if it does not fit the movie."""
    if scale_um is not None and (len(scale_um) != ndim or not all(1e-9 < s < 1e9 for s in scale_um)):
        wanted = "z,y,x" if ndim == 3 else "y,x"
        square = {"try": f"{scale_um[0]:g},{scale_um[0]:g}"} if ndim == 2 and len(scale_um) == 1 else {}
        raise ConfigError(
            f"the voxel size of a {ndim}D movie needs {ndim} positive numbers",
            expected=f"{wanted} in micrometres",
            got=",".join(map(str, scale_um)),
            **square,
        )
    return scale_um
