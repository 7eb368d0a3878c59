"""Codes of an LZW stream, walked before it is decoded.

The decoder that tifffile uses follows a code that stands for nothing yet to wherever it points, and takes the process
with it (seen with imagecodecs 2026.3.6). So whatever is read from a tif of LZW is walked here first: 5 ns a code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLEAR, END, FIRST = 256, 257, 258  # codes of TIFF 6.0, section 13
SHORTEST, LONGEST = 9, 12  # bits of a code


def first_bad_code(stream: bytes) -> int | None:
    """Return the byte at which a stream uses a code that it has not made yet, None if it never does.

    Parameters
    ----------
    stream : bytes
        One strip or tile, most significant bit first.
    """
    place = int(_walk(np.frombuffer(stream, dtype=np.uint8)))
    return None if place < 0 else place


@njit(cache=True, nogil=True)
def _walk(stream: NDArray[np.uint8]) -> int:
    bits, n_bits = 0, 0
    width, newest, is_new = SHORTEST, 0, True
    for place in range(stream.size):
        bits = ((bits << 8) | stream[place]) & 0xFFFFFF
        n_bits += 8
        if n_bits < width:
            continue
        n_bits -= width
        code = (bits >> n_bits) & ((1 << width) - 1)
        if code == CLEAR:
            width, newest, is_new = SHORTEST, FIRST, True
        elif newest == 0:  # every stream begins with a clear
            return place
        elif code == END:
            return -1
        elif is_new:
            if code > END:
                return place
            is_new = False
        else:
            if code > newest:
                return place
            newest = min(newest + 1, 1 << LONGEST)
            if newest == (1 << width) - 1 and width < LONGEST:  # one code early, as TIFF has it
                width += 1
    return -1
