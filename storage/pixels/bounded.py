"""Chunks of gzip, zlib, bz2, lzma, zstd and lz4 that are decoded no further than their array is large.

What a few bytes expand to is not told by these decoders until it stands in memory: a megabyte of gzip makes a gigabyte,
one of zstd thirty. An array knows how large a chunk is, and what grows beyond is refused while it grows.
"""

from __future__ import annotations

import asyncio
import bz2
import lzma
import zlib
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any, Final, Protocol

import numcodecs
import pyarrow as pa
import zarr
from zarr.codecs import GzipCodec, ZstdCodec
from zarr.registry import register_codec

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import numpy as np
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer

LARGEST: Final = 4 << 30  # bytes of a chunk whose array does not tell how large one is, as text
MOST_WIDENED: Final = 16  # a filter may keep numbers of one byte as wider ones
SPARE: Final = 1 << 10  # bytes, and one in eight: checksums, and inner chunks that did not shrink
FIXED: Final = "biufcSUV"  # kinds of numbers and text of a size that the type tells
ZSTD: Final = b"\x28\xb5\x2f\xfd"  # how a frame begins


class _Stream(Protocol):
    """A decoder of the standard library that stops where it is told."""

    @property
    def unused_data(self) -> bytes: ...

    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def inflate(content: bytes, largest: int, make: Callable[[], _Stream]) -> bytes:
    """Decode streams that stand one after the other.

    Parameters
    ----------
    content : bytes
        The streams; zeros may follow.
    largest : int
        Bytes that they may make together.
    make : callable
        Makes the decoder of a stream.

    Raises
    ------
    ValueError
        If they make more, or one is cut off.
    """
    pieces: list[bytes] = []
    rest, left = content, largest
    while rest:
        stream = make()
        pieces.append(stream.decompress(rest, left + 1))
        left -= len(pieces[-1])
        if left < 0:
            raise _too_large(content, largest)
        if not stream.eof:
            raise ValueError(f"a chunk of {len(content):,} bytes that is cut off")
        rest = stream.unused_data.lstrip(b"\0")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def zstd_size(content: bytes) -> int | None:
    """Return how many bytes the first frame of zstd says that it makes, None where it does not (RFC 8878, 3.1.1.1)."""
    if content[:4] != ZSTD or len(content) < 5:
        return None
    kind, single, dictionary = content[4] >> 6, content[4] >> 5 & 1, content[4] & 3
    width = (1 if single else 0, 2, 4, 8)[kind]
    begin = 5 + (0 if single else 1) + (0, 1, 2, 4)[dictionary]
    size = int.from_bytes(content[begin : begin + width], "little")
    return None if not width else size + (256 if width == 2 else 0)


def _unpack_zstd(content: bytes, largest: int, decode: Callable[[bytes], Any]) -> Any:
    """Decode a chunk of zstd by `decode`, or piece by piece where it does not tell its size."""
    size = zstd_size(content)
    if size is not None:
        if size > largest:
            raise _too_large(content, largest)
        return decode(content)
    try:
        found = pa.CompressedInputStream(pa.BufferReader(content), "zstd").read(largest + 1)
    except OSError as error:
        raise ValueError(str(error)) from error
    if len(found) > largest:
        raise _too_large(content, largest)
    return found


def _too_large(content: bytes, largest: int) -> ValueError:
    return ValueError(f"a chunk of {len(content):,} bytes grows beyond the {largest:,} that its array has room for")


def _bytes_of(chunk: Any) -> bytes:
    return bytes(memoryview(chunk).cast("B"))


def room_of(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Return how many bytes a chunk may make."""
    n_bytes = prod(shape) * dtype.itemsize
    return n_bytes + n_bytes // 8 + SPARE if dtype.kind in FIXED else LARGEST


class Bounded:
    """A codec of numcodecs that knows how large a chunk may become."""

    _largest = LARGEST

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Decode a chunk, into `out` if it is given."""
        found = self._unpack(_bytes_of(buf))
        return found if out is None else numcodecs.compat.ndarray_copy(found, out)

    def _unpack(self, content: bytes) -> Any:
        raise NotImplementedError


class BoundedGZip(Bounded, numcodecs.GZip):  # type: ignore[misc]  # numcodecs has no types
    """Gzip as arrays of version 2 use it."""

    def _unpack(self, content: bytes) -> Any:
        return inflate(content, self._largest, partial(zlib.decompressobj, wbits=31))


class BoundedZlib(Bounded, numcodecs.Zlib):  # type: ignore[misc]
    """Zlib as arrays of version 2 use it."""

    def _unpack(self, content: bytes) -> Any:
        return inflate(content, self._largest, zlib.decompressobj)


class BoundedBZ2(Bounded, numcodecs.BZ2):  # type: ignore[misc]
    """Bz2 as arrays of version 2 use it."""

    def _unpack(self, content: bytes) -> Any:
        return inflate(content, self._largest, bz2.BZ2Decompressor)


class BoundedLZMA(Bounded, numcodecs.LZMA):  # type: ignore[misc]
    """Lzma as arrays of version 2 use it."""

    def _unpack(self, content: bytes) -> Any:
        return inflate(content, self._largest, partial(lzma.LZMADecompressor, self.format, filters=self.filters))


class BoundedZstd(Bounded, numcodecs.Zstd):  # type: ignore[misc]
    """Zstd as arrays of version 2 use it."""

    def _unpack(self, content: bytes) -> Any:
        return _unpack_zstd(content, self._largest, partial(numcodecs.Zstd.decode, self))


class BoundedLZ4(Bounded, numcodecs.LZ4):  # type: ignore[misc]
    """Lz4 as arrays of version 2 use it: its size stands before it."""

    def _unpack(self, content: bytes) -> Any:
        if int.from_bytes(content[:4], "little") > self._largest:
            raise _too_large(content, self._largest)
        return numcodecs.LZ4.decode(self, content)


class BoundedGzipCodec(GzipCodec):
    """Gzip as arrays of version 3 use it."""

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        room = room_of(chunk_spec.shape, chunk_spec.dtype.to_native_dtype())
        content = _bytes_of(chunk_bytes.as_numpy_array())
        found = await asyncio.to_thread(inflate, content, room, partial(zlib.decompressobj, wbits=31))
        return chunk_spec.prototype.buffer.from_bytes(found)


class BoundedZstdCodec(ZstdCodec):
    """Zstd as arrays of version 3 use it."""

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        room = room_of(chunk_spec.shape, chunk_spec.dtype.to_native_dtype())
        content = _bytes_of(chunk_bytes.as_numpy_array())
        found = await asyncio.to_thread(_unpack_zstd, content, room, numcodecs.Zstd().decode)
        return chunk_spec.prototype.buffer.from_bytes(_bytes_of(found))


for _codec in (BoundedGZip, BoundedZlib, BoundedBZ2, BoundedLZMA, BoundedZstd, BoundedLZ4):
    numcodecs.register_codec(_codec)  # in place of numcodecs' own; they only refuse more
register_codec("gzip", BoundedGzipCodec)  # beside zarr's own, which stay the default
register_codec("zstd", BoundedZstdCodec)


def bounded_codecs() -> AbstractContextManager[Any]:
    """Arrays of version 3 that are opened inside this decode gzip and zstd by the codecs here."""
    codecs = {"gzip": BoundedGzipCodec, "zstd": BoundedZstdCodec}
    names = {f"codecs.{name}": f"{codec.__module__}.{codec.__qualname__}" for name, codec in codecs.items()}
    chosen: AbstractContextManager[Any] = zarr.config.set(names)
    return chosen


def bound_chunks(array: zarr.Array[Any]) -> None:
    """Tell the codec of an array of version 2 how large a chunk may become; in version 3 it is told with each chunk."""
    compressor = getattr(array.metadata, "compressor", None)
    if isinstance(compressor, Bounded):
        widened = MOST_WIDENED if getattr(array.metadata, "filters", None) else 1
        compressor._largest = min(room_of(array.chunks, array.dtype) * widened, LARGEST)
