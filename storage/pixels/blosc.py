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

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer

HEADER = struct.Struct("<4B3I")  # version, of the codec, flags, bytes of a number; sizes decoded, of a block, encoded


def require_blosc(chunk: Any) -> None:
    """Raise ValueError unless the sizes in the header of a chunk fit the chunk.

    Parameters
    ----------
    chunk : buffer
        The encoded bytes.
    """
    content = memoryview(chunk).cast("B")
    if len(content) < HEADER.size:
        raise ValueError(f"a Blosc chunk of {len(content)} bytes")
    *_, n_decoded, n_block, n_encoded = HEADER.unpack_from(content)
    if n_encoded != len(content) or n_decoded >= 2**31 or not 0 < n_block <= max(n_decoded, 1):
        sizes = f"{n_encoded} bytes for {n_decoded}, in blocks of {n_block}"
        raise ValueError(f"a Blosc chunk of {len(content)} bytes whose header promises {sizes}")


class CheckedBlosc(numcodecs.Blosc):  # type: ignore[misc]  # numcodecs has no types
    """Blosc as arrays of version 2 use it."""

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Decode a chunk whose header is right."""
        require_blosc(buf)
        return super().decode(buf, out)


class CheckedBloscCodec(BloscCodec):
    """Blosc as arrays of version 3 use it."""

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        require_blosc(chunk_bytes.as_numpy_array())
        return await super()._decode_single(chunk_bytes, chunk_spec)


numcodecs.register_codec(CheckedBlosc)  # in place of its own; it only refuses more
register_codec("blosc", CheckedBloscCodec)  # beside zarr's own, which stays the default


def checked_blosc() -> AbstractContextManager[Any]:
    """Arrays of version 3 that are opened inside this decode Blosc chunks by `CheckedBloscCodec`."""
    name = f"{CheckedBloscCodec.__module__}.{CheckedBloscCodec.__qualname__}"
    chosen: AbstractContextManager[Any] = zarr.config.set({"codecs.blosc": name})
    return chosen
