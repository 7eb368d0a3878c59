"""What a user says in one word: columns, frames, sizes, channels, figures. What cannot be read is wrong usage."""

import re
from contextlib import suppress
from math import isfinite
from pathlib import Path

from ..errors import ConfigError


def parse_channels(texts: list[str]) -> dict[str, Path]:
    """Return ``[CHANNEL=]PATH`` texts as a mapping; channels have plain names, each once."""
    channels: dict[str, Path] = {}
    for channel, folder in map(parse_channel, texts):
        if not re.fullmatch(r"[\w.-]{1,64}", channel) or channel in channels:
            raise ConfigError(
                f"--images: channel {channel!r} is named twice or badly", expected="letters, digits, dots and dashes"
            )
        channels[channel] = folder
    return channels


def parse_channel(text: str) -> tuple[str, Path]:
    """Return ``CHANNEL=PATH`` as its two parts; a bare path is channel ``image``."""
    channel, sep, folder = text.partition("=")
    if not (folder if sep else channel):
        raise ConfigError(f"--images: {text!r} names no path", expected="[CHANNEL=]PATH")
    return (channel, Path(folder)) if sep else ("image", Path(text))


def parse_cell(text: str) -> int | tuple[int, int]:
    """Return ``12`` as the number of a cell, ``3:7`` as a frame and the label in it."""
    if not re.fullmatch(r"\d{1,18}(:\d{1,18})?", text):
        raise ConfigError(f"{text!r} names no cell", expected="its number, or FRAME:LABEL")
    frame, sep, label = text.partition(":")
    return (int(frame), int(label)) if sep else int(frame)


def parse_columns(text: str | None) -> dict[str, str]:
    """Return ``t=frame,y=row`` as a mapping of our names to the table's."""
    columns = {}
    for part in (text or "").split(",") if text else ():
        ours, sep, theirs = part.partition("=")
        if not sep or not ours or not theirs:
            raise ConfigError(f"--columns: cannot read {part!r}", expected="t=frame,y=row,x=col")
        if ours.strip() in columns:
            raise ConfigError(f"--columns: {ours.strip()} is named twice", got=text or "")
        columns[ours.strip()] = theirs.strip()
    return columns


def parse_frames(text: str | None) -> slice:
    """Return ``START:STOP:STEP`` as a slice."""
    if text is None:
        return slice(None)
    if not re.fullmatch(r"\d*:\d*(:\d*)?", text):
        raise ConfigError(f"--frames: cannot read {text!r}", expected="START:STOP:STEP, for example 0:100:5")
    start, stop, step = ([int(p) if p else None for p in text.split(":")] + [None])[:3]
    if step == 0:
        raise ConfigError("--frames: a step of 0 goes nowhere", expected="1 or more")
    return slice(start, stop, step)


def parse_scale(text: str | None) -> tuple[float, ...] | None:
    """Return ``[Z,]Y,X`` as numbers."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--pixel-size: cannot read {text!r}", expected="[Z,]Y,X in micrometres") from None


def parse_shape(text: str | None) -> tuple[int, ...] | None:
    """Return ``[Z,]Y,X`` as whole numbers."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--shape: cannot read {text!r}", expected="[Z,]Y,X in pixels") from None


def parse_figure(text: str) -> tuple[str, float]:
    """Return ``edge_f1=0.98`` as its two parts."""
    name, _, value = text.partition("=")
    with suppress(ValueError):
        if isfinite(figure := float(value)):
            return name, figure
    raise ConfigError(f"--fail-under: cannot read {text!r}", expected="FIGURE=NUMBER, as edge_f1=0.98")
