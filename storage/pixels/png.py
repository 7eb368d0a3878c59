"""Frames from PNG: one grey image of 8 or 16 bits, as Cellpose writes its masks."""

from __future__ import annotations

import struct
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np

from ...errors import FormatError
from .frames import FrameHeader, OneImage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

START = struct.Struct(">8s4x4sIIBB")  # signature, IHDR, width, height, bits, kind of pixels
CHUNK = struct.Struct(">I4s")  # size, name
SIGNATURE = b"\x89PNG\r\n\x1a\n"
KINDS = {0: "grey", 2: "RGB", 3: "a palette", 4: "grey with alpha", 6: "RGB with alpha"}
MOST_DEFLATED = 1033  # times that deflate makes bytes fewer, at most (zlib technical notes: 1032)


@contextmanager
def open_image(path: Path, *, is_label: bool) -> Iterator[OneImage]:
    """Open a PNG file.

    A PNG tells no voxel size that a microscope would have written.

    Raises
    ------
    FormatError
        If it is no whole PNG file, or holds no grey values of 8 or 16 bits.
    """
    header = read_header(path)
    yield OneImage(header, ("",), lambda _: _decoded(path, header))


def read_header(path: Path) -> FrameHeader:
    """Read the size and type of a PNG file, and hold its size to the bytes that are there."""
    try:
        with path.open("rb") as stream:
            start = stream.read(START.size)
        n_stored = path.stat().st_size
    except OSError as error:
        raise FormatError(f"{path} cannot be read", got=str(error)) from error
    if len(start) < START.size or not start.startswith(SIGNATURE):
        raise FormatError(f"{path} cannot be read", expected="a whole PNG file", got=f"{n_stored:,} bytes")
    _, chunk, width, height, bits, kind = START.unpack(start)
    if kind != 0 or bits not in (8, 16):
        raise FormatError(
            f"{path} holds {KINDS.get(kind, 'unknown')} pixels of {bits} bits", expected="grey values of 8 or 16 bits"
        )
    n_bytes = width * height * bits // 8
    if chunk != b"IHDR" or not 0 < n_bytes <= MOST_DEFLATED * n_stored:
        raise FormatError(
            f"{path} is cut off, or promises more than it holds",
            expected=f"{height} x {width} pixels",
            got=f"{n_stored:,} bytes",
        )
    return FrameHeader((height, width), np.dtype(np.uint8 if bits == 8 else np.uint16))


def _require_whole(content: bytes, path: Path) -> None:
    """Raise FormatError unless all chunks are there with the checksums they came with: libpng would only print that."""
    place, name = len(SIGNATURE), b""
    while name != b"IEND":
        size, name = CHUNK.unpack_from(content, place) if place + CHUNK.size <= len(content) else (len(content), b"")
        end = place + CHUNK.size + size
        if end + 4 > len(content):
            raise FormatError(f"{path} is cut off", expected="a whole PNG file", got=f"{len(content):,} bytes")
        if zlib.crc32(memoryview(content)[place + 4 : end]) != int.from_bytes(content[end : end + 4], "big"):
            raise FormatError(f"{path} is damaged at byte {place}", expected="chunks as their checksums tell them")
        place = end + 4


def _decoded(path: Path, header: FrameHeader) -> NDArray[np.generic]:
    try:
        content = path.read_bytes()
        _require_whole(content, path)
        frame = np.asarray(imagecodecs.png_decode(content))
    except (OSError, ValueError, RuntimeError, MemoryError) as error:
        raise FormatError(f"{path} cannot be read", expected="a whole PNG file", got=str(error)) from error
    if frame.shape != header.shape or frame.dtype != header.dtype:
        raise FormatError(
            f"{path} is not what its header promises",
            expected=f"{header.dtype} of shape {header.shape}",
            got=f"{frame.dtype} of shape {frame.shape}",
        )
    return frame
