"""Chunks that would grow beyond what their array has room for are refused while they grow."""

import bz2
import gzip
import lzma
import tracemalloc
import zlib

import numcodecs
import numpy as np
import pyarrow as pa
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.errors import FormatError
from trackdb.storage.formats import open_source
from trackdb.storage.pixels import bounded

from .containers import zarr_array

PIXELS = np.repeat(np.arange(3 * 32 * 32, dtype=np.uint16) % 7, 4).reshape(3, 64, 64)
ENCODERS = {
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "bz2": bz2.compress,
    "lzma": lzma.compress,
    "zstd": numcodecs.Zstd().encode,
    "lz4": numcodecs.LZ4().encode,
}
BOUNDED = {
    "gzip": bounded.BoundedGZip,
    "zlib": bounded.BoundedZlib,
    "bz2": bounded.BoundedBZ2,
    "lzma": bounded.BoundedLZMA,
    "zstd": bounded.BoundedZstd,
    "lz4": bounded.BoundedLZ4,
}
V2 = {name: {"zarr_format": 2, "compressors": codec()} for name, codec in BOUNDED.items()}
V3 = {"gzip": {"compressors": zarr.codecs.GzipCodec()}, "zstd": {"compressors": zarr.codecs.ZstdCodec()}}
SHARDS = {name: options | {"shards": (1, 64, 64)} for name, options in V3.items()}
ARRAYS = [*V2.items(), *V3.items(), *SHARDS.items()]
NAMES = [*(f"2 {name}" for name in V2), *(f"3 {name}" for name in V3), *(f"3 {name}, shards" for name in SHARDS)]


@pytest.mark.parametrize("name", BOUNDED)
@given(content=st.binary(min_size=1, max_size=400), times=st.integers(1, 300))
@settings(deadline=None, max_examples=20)
def test_what_was_encoded_comes_back_up_to_the_last_byte_that_has_room(name, content, times):
    whole = content * times
    codec = BOUNDED[name]()
    codec._largest = len(whole)
    encoded = ENCODERS[name](whole)
    assert bytes(codec.decode(encoded)) == whole
    out = np.empty(len(whole), np.uint8)
    codec.decode(encoded, out)
    assert out.tobytes() == whole
    codec._largest -= 1
    with pytest.raises(ValueError, match="grows beyond"):
        codec.decode(encoded)


@pytest.mark.parametrize("name", ["gzip", "zlib", "bz2", "lzma"])
def test_streams_one_after_the_other_are_one_chunk_and_a_cut_one_is_none(name):
    codec = BOUNDED[name]()
    two = ENCODERS[name](b"abc") + ENCODERS[name](b"def")
    assert bytes(codec.decode(two)) == b"abcdef"
    with pytest.raises((ValueError, zlib.error)):
        codec.decode(two[:-3])


@pytest.mark.parametrize("n_bytes", [1, 200, 300, 70_000])
def test_the_size_that_zstd_tells_is_read_and_one_that_it_does_not_tell_is_found_out(n_bytes):
    whole = bytes(n_bytes)
    assert bounded.zstd_size(bytes(numcodecs.Zstd().encode(whole))) == n_bytes
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(whole)
    told = sink.getvalue().to_pybytes()
    assert bounded.zstd_size(told) is None
    codec = bounded.BoundedZstd()
    codec._largest = n_bytes
    assert bytes(codec.decode(told)) == whole
    codec._largest = n_bytes - 1
    with pytest.raises(ValueError, match="grows beyond"):
        codec.decode(told)


@pytest.mark.parametrize(("name", "options"), ARRAYS, ids=NAMES)
def test_arrays_of_every_codec_come_in(tmp_path, name, options):
    path = zarr_array(tmp_path, PIXELS, chunks=(1, 32, 32), **options)
    np.testing.assert_array_equal([b.mask for b in open_source(path).frames()], PIXELS)


@pytest.mark.parametrize(("name", "options"), [*V2.items(), *V3.items()], ids=NAMES[: len(V2) + len(V3)])
def test_a_bomb_in_a_chunk_is_refused_by_name_and_takes_no_memory(tmp_path, name, options):
    path = zarr_array(tmp_path, PIXELS, chunks=(1, 64, 64), **options)
    chunk = path / ("1.0.0" if options.get("zarr_format") == 2 else "c/1/0/0")
    assert chunk.is_file()
    chunk.write_bytes(bytes(ENCODERS[name](bytes(100 << 20))))
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match=r"frame 1 of .*movie.zarr cannot be read; .*grows beyond the"):
            list(open_source(path).frames())
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


def test_a_filter_that_widens_numbers_has_room(tmp_path):
    filters = [numcodecs.Delta(dtype="<u2", astype="<i8")]
    path = zarr_array(tmp_path, PIXELS, chunks=(1, 64, 64), **V2["gzip"], filters=filters)
    np.testing.assert_array_equal([b.mask for b in open_source(path).frames()], PIXELS)
