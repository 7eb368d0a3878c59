"""Units of length and of time, by the names that files of the field give them."""

from __future__ import annotations

_UM = {
    "pm": 1e-6, "picometer": 1e-6,
    "angstrom": 1e-4, "\u00e5": 1e-4,
    "nm": 1e-3, "nanometer": 1e-3,
    "um": 1.0, "micron": 1.0, "micrometer": 1.0,
    "mm": 1e3, "millimeter": 1e3,
    "cm": 1e4, "centimeter": 1e4,
    "m": 1e6, "meter": 1e6,
    "inch": 25400.0, "in": 25400.0, "inche": 25400.0,  # the plural loses its s
}  # fmt: skip
_SECONDS = {
    "ns": 1e-9, "nanosecond": 1e-9,
    "us": 1e-6, "usec": 1e-6, "microsecond": 1e-6,
    "ms": 1e-3, "msec": 1e-3, "millisecond": 1e-3,
    "s": 1.0, "sec": 1.0, "second": 1.0,
    "min": 60.0, "minute": 60.0,
    "h": 3600.0, "hr": 3600.0, "hour": 3600.0,
    "d": 86400.0, "day": 86400.0,
}  # fmt: skip
_PIXEL = ("", "pixel", "px", "pix", "voxel")
_FRAME = ("", "frame", "fr")


def um_per_unit(name: str | None) -> float | None:
    """Return the micrometres of a unit of length, None where its name is none that we know."""
    return _named(_UM, name)


def seconds_per_unit(name: str | None) -> float | None:
    """Return the seconds of a unit of time, None where its name is none that we know."""
    return _named(_SECONDS, name)


def is_pixel(name: str | None) -> bool:
    """Tell whether a unit is the pixel; so is one that is not told."""
    return _plain(name) in _PIXEL


def is_frame(name: str | None) -> bool:
    """Tell whether a unit is the frame; so is one that is not told."""
    return _plain(name) in _FRAME


def _named(units: dict[str, float], name: str | None) -> float | None:
    word = (name or "").strip().lower()
    for micro in ("\u00b5", "\u03bc", "\\u00b5"):  # micro sign, Greek mu, and the escape that ImageJ writes
        word = word.replace(micro, "u")
    found = units.get(word)
    return units.get(_plain(word)) if found is None else found


def _plain(name: str | None) -> str:
    """Return a name in lower case, in the singular and in American spelling."""
    word = (name or "").strip().lower()
    if len(word) > 2:
        word = word.removesuffix("s")
    return word.removesuffix("metre") + "meter" if word.endswith("metre") else word
