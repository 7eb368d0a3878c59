"""Frames from a folder: one file per frame, all of one kind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from ...errors import FormatError
from . import npy, png, tif
from .frames import FrameHeader, Frames, OneImage, checked, require_like
from .naming import split_by_channel
from .numbering import image_files, kind_of, number_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


F = TypeVar("F", bound=Frames)


class _Opener(Protocol):
    def __call__(self, path: Path, *, is_label: bool) -> AbstractContextManager[OneImage]: ...


OPENERS: dict[str, _Opener] = {"tif": tif.open_image, "png": png.open_image, "npy": npy.open_image}


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """One channel of a movie of one file per frame.

    The headers of the first and the last file are read at once; each further frame is held to what the first one
    promised when its turn comes.

    Parameters
    ----------
    paths : tuple of Path
        The files, in the order of frames.
    numbers : tuple of int
        Number of each in its name, without a gap.
    header : FrameHeader
        What the first file promises of all.
    is_label : bool
        True for label masks.
    channel : int
        Which channel of each file is read.
    """

    paths: tuple[Path, ...]
    numbers: tuple[int, ...]
    header: FrameHeader
    is_label: bool
    channel: int = 0

    @property
    def where(self) -> str:
        """Its place, for messages."""
        return str(self.paths[0].parent if len(self.paths) > 1 else self.paths[0])

    def read(self, rows: Sequence[int]) -> Iterator[NDArray[np.generic]]:
        """Read the frames at increasing places `rows`, one in memory at a time."""
        for row in rows:
            yield _read_file(self.paths[row], self.header, is_label=self.is_label, channel=self.channel)


def open_files(files: Sequence[Path], *, is_label: bool, prefix: str | None = None) -> dict[str, ImageFiles]:
    """Open files of one frame each; every channel that they hold by its name.

    Parameters
    ----------
    files : sequence of Path
        Files of one folder and kind.
    is_label : bool
        True for label masks.
    prefix : str or None
        Read only files of this name and a number.

    Raises
    ------
    FormatError
        If frames are missing or there twice, or the first and the last one do not fit.
    """
    paths, numbers = number_files(files, prefix=prefix) if len(files) > 1 or prefix else (tuple(files), (0,))
    header, names = _read_header(paths[0], is_label=is_label)
    if len(paths) > 1:
        require_like(_read_header(paths[-1], is_label=is_label)[0], header, str(paths[-1]))
    return {name: ImageFiles(paths, numbers, header, is_label, channel) for channel, name in enumerate(names)}


def open_folder(folder: Path, *, is_label: bool, prefix: str | None = None) -> dict[str, Frames]:
    """Open the images of a folder; every channel by its name.

    Channels stand in files of their own where names say so (``t000_ch00.tif``), or together in each file. A folder
    with a single tif or npy file that is not named by `prefix` is opened as a stack.

    Parameters
    ----------
    folder : Path
        The folder.
    is_label : bool
        True for label masks, which have no channels.
    prefix : str or None
        Read only files of this name and a number.
    """
    files, note = image_files(folder, is_label=is_label)
    if prefix is None and len(files) == 1:
        return open_file(files[0], is_label=is_label)
    parted = {"": files} if is_label or prefix else split_by_channel(files)
    opened: dict[str, Frames] = {}
    for channel, part in parted.items():
        for name, frames in open_files(part, is_label=is_label, prefix=prefix).items():
            both = f"{channel}_{name}" if channel and name else channel or name
            opened[both] = replace(frames, header=frames.header.with_note(note))
    return opened


def open_file(path: Path, *, is_label: bool) -> dict[str, Frames]:
    """Open a file of all frames; every channel by its name."""
    match kind_of(path):
        case "tif":
            return dict(tif.open_stack(path, is_label=is_label))
        case "npy":
            return dict(npy.open_stack(path, is_label=is_label))
        case _:
            return dict(open_files([path], is_label=is_label))


def open_numbered(folder: Path, prefix: str, *, is_label: bool) -> ImageFiles:
    """Open the files of a folder that are named by a word and a number, as ``man_track000.tif``.

    Raises
    ------
    FormatError
        If there is none, frames are missing, or the files hold several channels.
    """
    files, _ = image_files(folder, is_label=is_label)
    opened = open_files(files, is_label=is_label, prefix=prefix)
    return only_channel(opened, str(folder))


def only_channel(opened: dict[str, F], where: str) -> F:
    """Return the one channel that was opened, or raise FormatError if there are several."""
    if len(opened) != 1:
        raise FormatError(
            f"{where} holds {len(opened)} channels", expected="one grey value per pixel", got=", ".join(opened)
        )
    return next(iter(opened.values()))


def read_mask(path: Path) -> NDArray[np.integer]:
    """Read the label mask of one frame from a file of its own.

    Raises
    ------
    FormatError
        If it is no label mask of whole numbers from 0.
    """
    with _opened(path, is_label=True) as image:
        return cast("NDArray[np.integer]", checked(image.read(0), str(path), is_label=True))


def _read_header(path: Path, *, is_label: bool) -> tuple[FrameHeader, tuple[str, ...]]:
    with _opened(path, is_label=is_label) as image:
        return image.header, image.channels


def _read_file(path: Path, first: FrameHeader, *, is_label: bool, channel: int) -> NDArray[np.generic]:
    """Read the file of one frame and hold it to what the first one promised."""
    with _opened(path, is_label=is_label) as image:
        require_like(image.header, first, str(path))
        if channel >= len(image.channels):
            raise FormatError(
                f"{path} has other channels than the first frame",
                expected=f"{channel + 1} or more",
                got=str(len(image.channels)),
            )
        return checked(image.read(channel), str(path), is_label=is_label)


def _opened(path: Path, *, is_label: bool) -> AbstractContextManager[OneImage]:
    return OPENERS[kind_of(path)](path, is_label=is_label)
