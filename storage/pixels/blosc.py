"""Blosc chunks, whose header is held to the bytes that are there before they are decoded.

The decoder believes the sizes in the 16 bytes at the head of a chunk, and reads past its end where they are wrong,
which takes the process with it (seen with numcodecs 0.16.6). With sizes that fit it checks the rest by itself.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numcodecs
import zarr
from zarr.codecs import BloscCodec
from zarr.registry import register_codec

from .bounded import Bounded, room_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer

LARGEST_BLOSC = 2**31 - 1  # bytes that any chunk of Blosc may make
HEADER = struct.Struct("<4B3I")  # version, of the codec, flags, bytes of a number; sizes decoded, of a block, encoded


def require_blosc(chunk: Any, largest: int = LARGEST_BLOSC) -> None:
    """Raise ValueError unless the sizes in the header of a chunk fit the chunk.

    Parameters
    ----------
    chunk : buffer
        The encoded bytes.
    largest : int
        Bytes that they may make.
    """
    content = memoryview(chunk).cast("B")
    if len(content) < HEADER.size:
        raise ValueError(f"a Blosc chunk of {len(content)} bytes")
    *_, n_decoded, n_block, n_encoded = HEADER.unpack_from(content)
    if n_encoded != len(content) or n_decoded > largest or not 0 < n_block <= max(n_decoded, 1):
        sizes = f"{n_encoded} bytes for {n_decoded}, in blocks of {n_block}"
        raise ValueError(f"a Blosc chunk of {len(content)} bytes whose header promises {sizes}")


class CheckedBlosc(Bounded, numcodecs.Blosc):  # type: ignore[misc]  # numcodecs has no types
    """Blosc as arrays of version 2 use it."""

    def _unpack(self, content: bytes) -> Any:
        require_blosc(content, min(self._largest, LARGEST_BLOSC))
        return numcodecs.Blosc.decode(self, content)


class CheckedBloscCodec(BloscCodec):
    """Blosc as arrays of version 3 use it."""

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        room = room_of(chunk_spec.shape, chunk_spec.dtype.to_native_dtype())
        require_blosc(chunk_bytes.as_numpy_array(), min(room, LARGEST_BLOSC))
        return await super()._decode_single(chunk_bytes, chunk_spec)


numcodecs.register_codec(CheckedBlosc)  # in place of its own; it only refuses more
register_codec("blosc", CheckedBloscCodec)  # beside zarr's own, which stays the default


def checked_blosc() -> AbstractContextManager[Any]:
    """Arrays of version 3 that are opened inside this decode Blosc chunks by `CheckedBloscCodec`."""
    name = f"{CheckedBloscCodec.__module__}.{CheckedBloscCodec.__qualname__}"
    chosen: AbstractContextManager[Any] = zarr.config.set({"codecs.blosc": name})
    return chosen
