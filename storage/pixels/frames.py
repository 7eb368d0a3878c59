"""Frames from tif images: one file per frame, or one stack, read one frame at a time.

The header of the first and the last file is read at once; each further frame is held to what the first one promised
when its turn comes.
"""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, cast

import numpy as np
import tifffile

from ...errors import FormatError, TrackdbError
from .metadata import frame_interval, voxel_size
from .numbering import is_tif, number_files, tif_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CHANNEL_AXES = "CS"
DAMAGE = re.compile(
    r"invalid (page )?offset|invalid circular|failed to reshape|corrupted file|is missing \d+|expected \d+ frames"
)


@dataclass(frozen=True, slots=True)
class TifHeader:
    """What a tif file says about itself before any pixel is read.

    Parameters
    ----------
    n_frames : int
        Frames in a stack; 1 for the file of one frame.
    shape : tuple of int
        Size of one frame, axes ``([z,] y, x)``.
    dtype : dtype
        Type of its pixels.
    scale_um : tuple of float or None
        Voxel size, where told.
    interval_s : float or None
        Seconds from frame to frame, where told.
    note : str
        What the user should know about how the axes were read.
    """

    n_frames: int
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    scale_um: tuple[float, ...] | None
    interval_s: float | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Frames:
    """A movie of images in files.

    Parameters
    ----------
    paths : tuple of Path
        One file per frame, or the one stack.
    numbers : tuple of int
        Number of each frame as the files have it, without a gap.
    header : TifHeader
        What the first file promises of all.
    is_stack : bool
        True where one file holds all frames.
    is_label : bool
        True for label masks, which must be whole numbers from 0.
    """

    paths: tuple[Path, ...]
    numbers: tuple[int, ...]
    header: TifHeader
    is_stack: bool
    is_label: bool

    def read(self, rows: Sequence[int]) -> Iterator[NDArray[np.generic]]:
        """Read the frames at increasing places `rows`, one in memory at a time.

        Raises
        ------
        FormatError
            If a frame cannot be read, or is not what the first one promised.
        """
        if not self.is_stack:
            for row in rows:
                yield read_frame(self.paths[row], self.header, is_label=self.is_label)
            return
        with open_tif(self.paths[0]) as tif:
            series = tif.series[0]
            for row in rows:
                frame = _frame_of_stack(tif, series, row, self.header.n_frames)
                yield _checked(frame.reshape(self.header.shape), self.paths[0], is_label=self.is_label)


def open_frames(path: Path, *, is_label: bool, prefix: str | None = None) -> Frames:
    """Open a folder of numbered tif files, or one tif stack.

    Parameters
    ----------
    path : Path
        The folder, or the stack; a folder with a single file that is not named by `prefix` is opened as a stack.
    is_label : bool
        True for label masks: floats are refused.
    prefix : str or None
        Read only files of this name and a number.

    Raises
    ------
    FormatError
        If frames are missing or there twice, or the files are not what they should be.
    """
    if not path.exists():
        raise FormatError(f"there is nothing at {path}", expected="a folder of tif files, or a tif stack")
    if path.is_file() and not is_tif(path):
        raise FormatError(f"{path} is not a tif file", expected="a name that ends in .tif or .tiff")
    files = tif_files(path) if path.is_dir() else [path]
    if prefix is None and len(files) == 1:
        header = read_header(files[0], is_stack=True, is_label=is_label)
        return Frames((files[0],), tuple(range(header.n_frames)), header, is_stack=True, is_label=is_label)
    paths, numbers = number_files(files, prefix=prefix)
    header = read_header(paths[0], is_stack=False, is_label=is_label)
    if len(paths) > 1:
        require_like(read_header(paths[-1], is_stack=False, is_label=is_label), header, paths[-1])
    return Frames(paths, numbers, header, is_stack=False, is_label=is_label)


def read_header(path: Path, *, is_stack: bool, is_label: bool) -> TifHeader:
    """Read what a tif file says about itself.

    Raises
    ------
    FormatError
        If it is no whole tif file, holds colours or channels, or floats where labels belong.
    """
    with open_tif(path) as tif:
        return _header(tif, path, is_stack=is_stack, is_label=is_label)


def _header(tif: tifffile.TiffFile, path: Path, *, is_stack: bool, is_label: bool) -> TifHeader:
    if len(tif.series) != 1:
        shapes = ", ".join(str(s.shape) for s in tif.series[:3])
        raise FormatError(f"{path} holds {len(tif.series)} image series", expected="one", got=f"shapes {shapes}")
    series = tif.series[0]
    n_times = dict(zip(series.axes, series.shape, strict=True)).get("T", 1)
    if tif.is_ome and n_times > 1 and not is_stack:
        raise FormatError(f"{path} holds {n_times} time points", expected="one frame in each of several files")
    require_whole(series, path)
    n_frames, shape, note = frame_layout(tuple(series.shape), series.axes, path, is_stack=is_stack)
    dtype = np.dtype(series.dtype)
    if dtype.kind not in ("ui" if is_label else "uifb"):
        wanted = "label masks of whole numbers, 0 for background" if is_label else "numbers"
        raise FormatError(f"{path} holds {dtype} pixels", expected=wanted, got=str(dtype))
    return TifHeader(n_frames, shape, dtype, voxel_size(tif, len(shape)), frame_interval(tif), note)


def frame_layout(shape: tuple[int, ...], axes: str, path: Path, *, is_stack: bool) -> tuple[int, tuple[int, ...], str]:
    """Return how many frames an image holds, the shape of one, and a note where the axes had to be guessed.

    Axes of length one are dropped. In the file of one frame the third axis is z, whatever it is called: time stands
    in the file's name. In a stack it is time.
    """
    for size, axis in zip(shape, axes, strict=True):
        if axis in CHANNEL_AXES and size > 1:
            kind = "colours (RGB)" if axis == "S" else "channels"
            raise FormatError(f"{path} holds {size} {kind}", expected="one grey value per pixel", got=f"axes {axes}")
    kept = [
        (s, a) for i, (s, a) in enumerate(zip(shape, axes, strict=True)) if s > 1 or a in "YXT" or i >= len(axes) - 2
    ]
    kept = [(s, a) for s, a in kept if not (a in CHANNEL_AXES or (a == "T" and s == 1 and not is_stack))]
    sizes, names = tuple(s for s, _ in kept), "".join(a for _, a in kept)
    if names[-2:] != "YX" or len(sizes) > (4 if is_stack else 3) or "T" in names[1:]:
        wanted = "axes ([t,] [z,] y, x)" if is_stack else "axes ([z,] y, x)"
        raise FormatError(f"{path} has axes {axes} of shape {shape}", expected=wanted, got=axes)
    if not is_stack:
        return 1, sizes, ""
    if len(sizes) == 2:
        return 1, sizes, ""
    note = f"axis {names[0]} of {path.name} is read as time" if names[0] in "Z" else ""
    return sizes[0], sizes[1:], note


def read_frame(path: Path, like: TifHeader, *, is_label: bool) -> NDArray[np.generic]:
    """Read the file of one frame and hold it to what the first one promised."""
    with open_tif(path) as tif:
        require_like(_header(tif, path, is_stack=False, is_label=is_label), like, path)
        frame: NDArray[np.generic] = tif.series[0].asarray()
    return _checked(frame.reshape(like.shape), path, is_label=is_label)


def read_mask(path: Path) -> NDArray[np.integer]:
    """Read the label mask of one frame from a file of its own.

    Raises
    ------
    FormatError
        If it is no label mask of whole numbers from 0.
    """
    header = read_header(path, is_stack=False, is_label=True)
    return cast("NDArray[np.integer]", read_frame(path, header, is_label=True))


def require_like(header: TifHeader, first: TifHeader, path: Path) -> None:
    """Raise FormatError unless a frame has the shape and the kind of numbers of the first one."""
    if header.shape != first.shape:
        raise FormatError(
            f"{path} has another size than the first frame", expected=str(first.shape), got=str(header.shape)
        )
    if (header.dtype.kind == "f") != (first.dtype.kind == "f"):
        raise FormatError(
            f"{path} has other pixels than the first frame", expected=str(first.dtype), got=str(header.dtype)
        )


def require_whole(series: tifffile.TiffPageSeries, path: Path) -> None:
    """Raise FormatError if a file ends before its pixels do, before any of them is read."""
    size = path.stat().st_size
    end = (series.dataoffset + prod(series.shape) * np.dtype(series.dtype).itemsize) if series.dataoffset else 0
    for page in series.pages:
        if page is not None and page.dataoffsets:
            end = max(end, *(o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=False)))
    if end > size:
        raise FormatError(f"{path} is cut off", expected=f"{end:,} bytes", got=f"{size:,} bytes")


def _checked(frame: NDArray[np.generic], path: Path, *, is_label: bool) -> NDArray[np.generic]:
    """Return the frame, or raise FormatError if a label is negative."""
    if is_label and np.issubdtype(frame.dtype, np.signedinteger) and np.min(frame, initial=0) < 0:
        raise FormatError(f"{path} holds label {np.min(frame)}", expected="0 for background, labels from 1")
    return frame


def _frame_of_stack(
    tif: tifffile.TiffFile, series: tifffile.TiffPageSeries, row: int, n_frames: int
) -> NDArray[np.generic]:
    """Read frame `row` of a stack without the others."""
    if series.dataoffset is not None:
        dtype = np.dtype(series.dtype).newbyteorder(tif.byteorder)
        n = prod(series.shape) // n_frames
        tif.filehandle.seek(series.dataoffset + row * n * dtype.itemsize)
        flat: NDArray[np.generic] = np.frombuffer(tif.filehandle.read(n * dtype.itemsize), dtype=dtype)
        return flat.astype(dtype.newbyteorder("="), copy=False)
    n_pages, rest = divmod(len(series.pages), n_frames)
    if rest:
        raise FormatError(
            f"{tif.filename} has {len(series.pages)} pages for {n_frames} frames", expected="whole pages per frame"
        )
    page: NDArray[np.generic] = tif.asarray(key=range(row * n_pages, (row + 1) * n_pages), series=0)
    return page


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
