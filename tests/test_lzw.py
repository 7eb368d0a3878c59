"""The walk over LZW streams: whole ones pass, and what would crash the decoder does not."""

from contextlib import suppress

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackdb.errors import FormatError
from trackdb.storage.formats import open_source
from trackdb.storage.pixels.lzw import first_bad_code

from .containers import tif_stack


def packed(*codes, bits=9):
    """Return codes of nine bits as bytes, most significant bit first."""
    text = "".join(f"{code:0{bits}b}" for code in codes)
    return bytes(int(text[i : i + 8].ljust(8, "0"), 2) for i in range(0, len(text), 8))


@pytest.mark.parametrize(
    ("codes", "bad"),
    [
        ((256, 7, 257), None),
        ((256, 7, 258, 259, 257), None),  # a code may use the one that it makes
        ((256, 7, 259, 257), 3),
        ((256, 258, 257), 2),  # the decoder crashes on this
        ((256, 256, 258, 257), 3),
        ((256, 7, 258, 256, 300, 257), 5),
        ((7, 257), 1),  # no clear first
        ((), None),
    ],
)
def test_codes_by_hand(codes, bad):
    assert first_bad_code(packed(*codes)) == bad


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 256), st.integers(0, 60_000))
def test_every_stream_of_the_encoder_is_whole(seed, n_values, size):
    pixels = np.random.default_rng(seed).integers(0, n_values, size).astype(np.uint8).tobytes()
    assert first_bad_code(imagecodecs.lzw_encode(pixels)) is None


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_a_stream_that_passes_never_crashes_the_decoder(seed):
    rng = np.random.default_rng(seed)
    stream = bytearray(imagecodecs.lzw_encode(rng.integers(0, 9, 5000).astype(np.uint8).tobytes()))
    for _ in range(rng.integers(1, 5)):
        stream[rng.integers(0, len(stream))] = rng.integers(0, 256)
    if first_bad_code(bytes(stream)) is None:
        with suppress(RuntimeError):
            imagecodecs.lzw_decode(bytes(stream), out=5000)


def test_a_tif_whose_first_code_is_not_there_yet_is_refused_by_name(tmp_path):
    path = tif_stack(tmp_path, np.zeros((3, 16, 16), dtype=np.uint16), compression="lzw", tile=(16, 16))
    content = path.read_bytes()
    start = content.index(packed(256, 0)[:2])
    path.write_bytes(content[:start] + b"\x80\x77" + content[start + 2 :])
    with pytest.raises(FormatError, match=rf"movie.tif is damaged at byte {start + 2}; expected: a whole LZW stream"):
        list(open_source(path).frames())
