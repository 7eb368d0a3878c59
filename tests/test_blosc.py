"""Blosc chunks with wrong sizes are refused before a decoder believes them."""

import struct
from contextlib import suppress

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.errors import FormatError
from trackdb.storage.formats import open_source
from trackdb.storage.pixels.blosc import CheckedBlosc, require_blosc

from .containers import zarr_array

PIXELS = np.repeat(np.arange(3 * 64 * 64, dtype=np.uint16) % 7, 4).reshape(3, 128, 128)


@given(
    st.sampled_from(["lz4", "zstd", "zlib", "blosclz", "lz4hc"]),
    st.integers(0, 2),
    st.integers(0, 9),
    st.integers(1, 40_000),
)
@settings(deadline=None)
def test_every_chunk_of_the_encoder_is_right(name, shuffle, level, n_bytes):
    chunk = numcodecs.Blosc(cname=name, shuffle=shuffle, clevel=level).encode(PIXELS.tobytes()[:n_bytes])
    require_blosc(chunk)
    assert CheckedBlosc().decode(chunk) == PIXELS.tobytes()[:n_bytes]


@given(st.integers(0, 2**32))
@settings(deadline=None)
def test_what_passes_never_crashes_the_decoder(seed):
    rng = np.random.default_rng(seed)
    chunk = bytearray(numcodecs.Blosc(shuffle=int(rng.integers(3))).encode(PIXELS[0]))
    for _ in range(rng.integers(1, 6)):
        chunk[rng.integers(0, rng.choice([40, len(chunk)]))] = rng.integers(0, 256)
    with suppress(ValueError, RuntimeError):
        CheckedBlosc().decode(bytes(chunk))


V2 = {"zarr_format": 2, "compressors": numcodecs.Blosc()}
V3 = {"compressors": zarr.codecs.BloscCodec()}


@pytest.mark.parametrize("options", [V2, V3, V3 | {"shards": (1, 128, 128)}], ids=["2", "3", "3, shards"])
@pytest.mark.parametrize("field", [4, 8, 12], ids=["decoded", "block", "encoded"])
def test_an_array_whose_chunks_lie_about_their_sizes_is_refused_by_name(tmp_path, options, field):
    path = zarr_array(tmp_path, PIXELS, chunks=(1, 64, 64), **options)
    np.testing.assert_array_equal([b.mask for b in open_source(path).frames()], PIXELS)
    chunk = next(file for file in path.rglob("*") if file.is_file() and file.name.startswith(("1.0.0", "0")))
    content = bytearray(chunk.read_bytes())
    struct.pack_into("<I", content, field, 2**31 - 1)
    chunk.write_bytes(content)
    with pytest.raises(
        FormatError, match=r"frame \d of .*movie.zarr cannot be read; .*( a Blosc chunk of|blosc decomp)"
    ):
        list(open_source(path).frames())


def test_zarr_itself_goes_on_with_its_own_codec(tmp_path):
    path = zarr_array(tmp_path, PIXELS, **V3)
    open_source(path)
    assert type(zarr.open_array(path).metadata.codecs[-1]) is zarr.codecs.BloscCodec


@pytest.mark.parametrize("options", [V2, V3], ids=["2", "3"])
def test_a_bomb_in_a_chunk_is_refused_by_name(tmp_path, options):
    path = zarr_array(tmp_path, PIXELS, chunks=(1, 128, 128), **options)
    chunk = path / ("1.0.0" if options is V2 else "c/1/0/0")
    assert chunk.is_file()
    chunk.write_bytes(numcodecs.Blosc().encode(bytes(64 << 20)))
    with pytest.raises(FormatError, match=r"frame 1 of .*movie.zarr cannot be read; .* bytes for 67108864"):
        list(open_source(path).frames())
