"""Frames from tif: one stack of many frames and channels, and files of one frame each."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
import tifffile

from ...errors import FormatError, TrackdbError
from .axes import DROPPED, SPATIAL, FrameAxes, frame_axes
from .frames import FrameHeader, OneImage, checked, require_backed, require_numbers
from .lzw import first_bad_code
from .metadata import channel_labels, frame_interval, voxel_size
from .naming import channel_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

PLACED = "CYX"  # axes whose letter says what they are
COLOUR = "S"
DAMAGE = re.compile(
    r"invalid (page )?offset|invalid circular|failed to reshape|corrupted file|is missing \d+|expected \d+ frames"
)


@dataclass(frozen=True, slots=True)
class TifStack:
    """One channel of a tif file that holds all frames.

    Parameters
    ----------
    path : Path
        The file.
    header : FrameHeader
        What it promises.
    axes : FrameAxes
        Its axes.
    channel : int
        Which channel is read.
    is_label : bool
        True for label masks.
    """

    path: Path
    header: FrameHeader
    axes: FrameAxes
    channel: int
    is_label: bool

    @property
    def where(self) -> str:
        """Its place, for messages."""
        return str(self.path)

    @property
    def numbers(self) -> range:
        """Frames are counted from 0."""
        return range(self.axes.n_frames)

    def read(self, rows: Sequence[int]) -> Iterator[NDArray[np.generic]]:
        """Read the frames at increasing places `rows`, one in memory at a time."""
        with open_tif(self.path) as tif:
            for row in rows:
                frame = _read_planes(tif, self.axes, row, self.channel)
                yield checked(frame.reshape(self.header.shape), self.where, is_label=self.is_label)


def open_stack(path: Path, *, is_label: bool) -> dict[str, TifStack]:
    """Open a tif file of all frames, each channel by its name.

    Raises
    ------
    FormatError
        If it is no whole tif file, holds colours, or channels or floats where labels belong.
    """
    with open_tif(path) as tif:
        header, axes, names = _layout(tif, path, is_stack=True, is_label=is_label)
    return {name: TifStack(path, header, axes, channel, is_label) for channel, name in enumerate(names)}


@contextmanager
def open_image(path: Path, *, is_label: bool) -> Iterator[OneImage]:
    """Open a tif file of one frame."""
    with open_tif(path) as tif:
        header, axes, names = _layout(tif, path, is_stack=False, is_label=is_label)
        yield OneImage(header, names, lambda channel: _read_planes(tif, axes, 0, channel).reshape(header.shape))


def _layout(
    tif: tifffile.TiffFile, path: Path, *, is_stack: bool, is_label: bool
) -> tuple[FrameHeader, FrameAxes, tuple[str, ...]]:
    """Return what a tif file says of its frames, its axes, and the names of its channels."""
    if len(tif.series) != 1:
        shapes = ", ".join(str(s.shape) for s in tif.series[:3])
        raise FormatError(f"{path} holds {len(tif.series)} image series", expected="one", got=f"shapes {shapes}")
    series = tif.series[0]
    n_times = dict(zip(series.axes, series.shape, strict=True)).get("T", 1)
    if tif.is_ome and n_times > 1 and not is_stack:
        raise FormatError(f"{path} holds {n_times} time points", expected="one frame in each of several files")
    dtype = np.dtype(series.dtype)
    require_numbers(dtype, str(path), is_label=is_label)
    axes, note = stack_axes(tuple(series.shape), series.axes, path, is_stack=is_stack, is_label=is_label)
    require_whole(series, path)
    require_backed(axes.frame_shape, dtype, path.stat().st_size, str(path))
    header = FrameHeader(
        axes.frame_shape,
        dtype,
        voxel_size(tif, len(axes.frame_shape)),
        frame_interval(tif),
        (note,) if note else (),
    )
    return header, axes, channel_names(channel_labels(tif, axes.n_channels), axes.n_channels)


def stack_axes(
    shape: tuple[int, ...], letters: str, path: Path, *, is_stack: bool, is_label: bool
) -> tuple[FrameAxes, str]:
    """Return which axis of a tif image is what, and a note where that had to be guessed.

    In the file of one frame the third axis is z, whatever it is called: time stands in the file's name. In a stack
    axes without a name are time first, then z, and a lone z axis is time. Labels have no colours: what is called
    planes of colour, as tifffile calls three frames that it is handed plainly, are frames or slices.

    Parameters
    ----------
    shape, letters
        Sizes, and a letter of each, as tifffile names them.
    path : Path
        The file, for messages.

    Raises
    ------
    FormatError
        If there are colours, channels where labels belong, or more axes than a movie has.
    """
    sizes = dict(zip(letters, shape, strict=True))
    in_planes = letters[-2:] == "YX"  # a stack of three or four frames that was written without saying so
    if sizes.get(COLOUR, 1) > 1 and not (is_label and in_planes):
        tries = {"try": 'if these are frames, write them with photometric="minisblack"'} if in_planes else {}
        raise FormatError(
            f"{path} holds {sizes[COLOUR]} colours (RGB)",
            expected="one grey value per pixel",
            got=f"axes {letters}",
            **tries,
        )
    names = [letter.lower() if letter in PLACED else DROPPED for letter in letters]
    unplaced = [i for i, a in enumerate(letters) if a not in PLACED and (shape[i] > 1 or (a == "T" and is_stack))]
    if len(unplaced) == 2 and letters[unplaced[1]] == "T":
        unplaced.reverse()  # z runs slower than time
    wanted = "tz" if is_stack else "z"
    for place, name in zip(unplaced, wanted, strict=False):
        names[place] = name
    if len(unplaced) > len(wanted) or [name for name in names if name in SPATIAL][-2:] != ["y", "x"]:
        raise FormatError(
            f"{path} has axes {letters} of shape {shape}",
            expected="axes ([t,] [c,] [z,] y, x)" if is_stack else "axes ([c,] [z,] y, x)",
            got=letters,
        )
    lone_z = is_stack and [letters[place] for place in unplaced] == ["Z"]
    axes = frame_axes("".join(names), shape, str(path), is_label=is_label)
    return axes, f"axis Z of {path.name} is read as time" if lone_z else ""


def require_whole(series: tifffile.TiffPageSeries, path: Path) -> None:
    """Raise FormatError if a file ends before its pixels do, before any of them is read."""
    size = path.stat().st_size
    end = (series.dataoffset + prod(series.shape) * np.dtype(series.dtype).itemsize) if series.dataoffset else 0
    for page in series.pages:
        if page is not None and page.dataoffsets:
            end = max(end, *(o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=False)))
    if end > size:
        raise FormatError(f"{path} is cut off", expected=f"{end:,} bytes", got=f"{size:,} bytes")


def _read_planes(tif: tifffile.TiffFile, axes: FrameAxes, row: int, channel: int) -> NDArray[np.generic]:
    """Read one channel of frame `row` without the others."""
    series = tif.series[0]
    n_stored = prod(axes.sizes[:-2]) if series.dataoffset is not None else len(series.pages)
    depth = next((d for d in range(len(axes.sizes) - 1) if prod(axes.sizes[:d]) == n_stored), None)
    if depth is None or set(axes.names[depth:]) & set("tc"):
        raise FormatError(
            f"{tif.filename} has {len(series.pages)} pages for {axes.n_frames} frames", expected="whole pages per frame"
        )
    # the number of each stored plane, by the axes that run over planes
    planes = np.arange(n_stored).reshape(axes.sizes[:depth])[axes.index(slice(row, row + 1), channel)[:depth]]
    if series.dataoffset is None:
        wanted = planes.ravel().tolist()
        for page in (series.pages[plane] for plane in wanted):
            _require_lzw(tif, page)
        pages: NDArray[np.generic] = tif.asarray(key=wanted, series=0)
        return pages
    dtype = np.dtype(series.dtype).newbyteorder(tif.byteorder)
    frame = np.empty((planes.size, prod(axes.sizes[depth:])), dtype=dtype)
    for plane, into in zip(planes.ravel().tolist(), frame, strict=True):
        tif.filehandle.seek(series.dataoffset + plane * into.nbytes)
        into[:] = np.frombuffer(tif.filehandle.read(into.nbytes), dtype=dtype)
    return frame


def _require_lzw(tif: tifffile.TiffFile, page: tifffile.TiffPage | tifffile.TiffFrame | None) -> None:
    """Raise FormatError if a page of LZW holds a code that would take the decoder out of its table."""
    key = page.keyframe if page is not None else None
    if page is None or key is None or key.compression != tifffile.COMPRESSION.LZW:
        return
    for offset, n_bytes in zip(page.dataoffsets, page.databytecounts, strict=True):
        tif.filehandle.seek(offset)
        stream = tif.filehandle.read(n_bytes)
        bad = first_bad_code(bytes(imagecodecs.bitorder_decode(stream)) if key.fillorder == 2 else stream)
        if bad is not None:
            raise FormatError(f"{tif.filename} is damaged at byte {offset + bad}", expected="a whole LZW stream")


@contextmanager
def open_tif(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a tif file; whatever goes wrong while it is read is a FormatError that names the file."""
    try:
        with _open_whole(path) as tif:
            yield tif
    except TrackdbError:
        raise
    except Exception as error:  # codecs raise errors of many kinds on damaged bytes
        raise FormatError(f"{path} cannot be read", expected="a whole tif file", got=f"{error}") from error


def _open_whole(path: Path) -> tifffile.TiffFile:
    """Open a tif file and walk its pages: where one is missing tifffile only says so, and would read the others."""
    with _listening() as said:
        tif = tifffile.TiffFile(path)
        try:
            len(tif.series)
        except Exception:
            tif.close()
            raise
    damage = next((text for text in said.texts if DAMAGE.search(text)), None)
    if damage:
        tif.close()
        raise FormatError(f"{path} is damaged or cut off", expected="a whole tif file", got=damage)
    return tif


class _Said(logging.Handler):
    """Keep what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@contextmanager
def _listening() -> Iterator[_Said]:
    """Hear what tifffile says of a file instead of showing it."""
    said, logger = _Said(), logging.getLogger("tifffile")
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(said)
    try:
        yield said
    finally:
        logger.removeHandler(said)
        logger.propagate = propagate
