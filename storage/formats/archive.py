"""Members of a zip, read whole into memory and never to disk, and only if they are as large as honest data can be."""

from __future__ import annotations

import zipfile
import zlib
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ...errors import FormatError, TrackdbError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGEST = 4 << 30  # bytes of one member: tens of millions of cells
RATIO = 200  # bytes out of one byte in; tables pack to a tenth, and a bomb is made of nothing
SMALL = 1 << 20  # bytes that do no harm at any ratio


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip; whatever goes wrong with it inside the block is a FormatError that names the file.

    Raises
    ------
    FormatError
        If it is no zip, or damaged; if members share a name, or a name leads out of the archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            for name in names:
                if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name.replace("\\", "/")).parts:
                    raise FormatError(f"{path} holds {name!r}, which leads out of it", expected="plain names")
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise FormatError(f"{path} holds {twice} twice", expected="each member once")
            yield archive
    except TrackdbError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError) as error:
        raise FormatError(f"{path} cannot be read as a zip", got=str(error) or type(error).__name__) from error


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return the bytes of a member.

    Raises
    ------
    FormatError
        If there is none of that name, or it is larger than honest data can be.
    """
    try:
        info = archive.getinfo(name)
    except KeyError:
        few = ", ".join(archive.namelist()[:5])
        raise FormatError(f"{archive.filename} holds no {name}", got=few or "nothing") from None
    bomb = info.file_size > SMALL and info.file_size > RATIO * max(info.compress_size, 1)
    if info.file_size > LARGEST or bomb:
        raise FormatError(
            f"{archive.filename}: {name} unpacks to {info.file_size:,} bytes from {info.compress_size:,}",
            expected=f"{LARGEST:,} bytes at most, and {RATIO} out of one",
        )
    return archive.read(info)
