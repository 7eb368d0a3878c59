"""The spots, links and labels in the ``model.raw`` of a Mastodon project.

``model.raw`` is what Java's ObjectOutputStream makes of plain numbers [1]_: a mark, then blocks of bytes. Joined, they
hold the number of spots (big endian), 84 bytes a spot as Mastodon keeps it in memory (little endian: x, y, z, time
point, covariance, squared radius), the number of links (big endian), and 16 bytes a link: source, target, and the place
of the link among those of each (big endian) [2]_. Behind the blocks stand three Java arrays: the names of properties,
of which the first is the label; the spots that have one; and the labels, each behind its length in two bytes.

References
----------
.. [1] Java Object Serialization Specification, section 6, stream protocol.
.. [2] Mastodon, `ModelSerializer`, `SpotPool`, `StringPropertyMapSerializer`;
   github.com/mastodon-sc/python-mastodon-importer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import FormatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

STREAM = b"\xac\xed\x00\x05"  # mark and version of a Java object stream
SHORT_BLOCK, LONG_BLOCK = 0x77, 0x7A  # blocks of bytes, their length in one byte or in four
NAMES = b"ur\x00\x13[Ljava.lang.String;\xad\xd2V\xe7\xe9\x1d{G\x02\x00\x00xp"  # begin of an array of strings,
NUMBERS = b"ur\x00\x02[IM\xba`&v\xea\xb2\xa5\x02\x00\x00xp"  # of whole numbers,
BYTES = b"ur\x00\x02[B\xac\xf3\x17\xf8\x06\x08T\xe0\x02\x00\x00xp"  # of bytes
LABEL = b"t\x00\x05label"
SPOT = np.dtype([("xyz", "<f8", 3), ("t", "<i4"), ("covariance", "<f8", 6), ("radius2", "<f8")])
LINK = np.dtype([("source", ">i4"), ("target", ">i4"), ("place", ">i4", 2)])


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What a project holds.

    Parameters
    ----------
    spots : (n,) array of `SPOT`
        In the order of the file.
    links : (m,) array of `LINK`
        Source and target are places in `spots`.
    labels : (n,) str or None
        Name of each spot, ``""`` where it has none; None where the file tells names in a way that is not known.
    """

    spots: NDArray[np.void]
    links: NDArray[np.void]
    labels: NDArray[np.str_] | None


def read_model(stream: bytes, where: str) -> Model:
    """Read a ``model.raw``.

    Parameters
    ----------
    stream : bytes
        All of it.
    where : str
        Begin of error messages.

    Raises
    ------
    FormatError
        If the stream is cut, holds anything else, or a link names a spot that is not there.
    """
    content, end = _joined_blocks(stream, where)
    spots, at = _counted(content, 0, SPOT, f"{where}: spots")
    links, _ = _counted(content, at, LINK, f"{where}: links")
    ends = np.concatenate([links["source"], links["target"]])
    outside = np.flatnonzero((ends < 0) | (ends >= len(spots)))
    if len(outside):
        link, spot = outside[0] % len(links), ends[outside[0]]
        raise FormatError(f"{where}: link {link} names spot {spot}", expected=f"0 to {len(spots) - 1}")
    return Model(spots, links, _labels(stream[end:], len(spots)))


def _joined_blocks(stream: bytes, where: str) -> tuple[bytes, int]:
    """Return the plain bytes of a Java object stream up to the first object in it, and where that begins."""
    if not stream.startswith(STREAM):
        raise FormatError(f"{where} is no Java object stream", got=repr(stream[:8]))
    blocks = []
    at = len(STREAM)
    while at < len(stream):  # one round for each kilobyte
        if stream[at] == LONG_BLOCK:
            size, at = int.from_bytes(stream[at + 1 : at + 5], "big"), at + 5
        elif stream[at] == SHORT_BLOCK:
            size, at = int.from_bytes(stream[at + 1 : at + 2], "big"), at + 2
        else:
            break
        blocks.append(stream[at : at + size])
        at += size
    return b"".join(blocks), min(at, len(stream))


def _counted(content: bytes, at: int, kind: np.dtype[np.void], what: str) -> tuple[NDArray[np.void], int]:
    """Return records that stand behind their number, and where the next ones begin."""
    begin = at + 4
    n = int.from_bytes(content[at:begin], "big", signed=True) if len(content) >= begin else -1
    room = (len(content) - begin) // kind.itemsize
    if not 0 <= n <= room:
        raise FormatError(
            f"{what} are cut off", expected=f"{n:,}" if n >= 0 else "their number", got=f"{max(room, 0):,}"
        )
    return np.frombuffer(content, kind, count=n, offset=begin), begin + n * kind.itemsize


def _labels(objects: bytes, n_spots: int) -> NDArray[np.str_] | None:
    """Return the label of each spot, None if the objects are not the arrays that Mastodon writes."""
    begin = objects.find(LABEL)
    if not objects.startswith(NAMES) or begin != len(NAMES) + 4:
        return None
    at = objects.find(NUMBERS, begin)
    numbers = _array(objects, at, NUMBERS, np.dtype(">i4"))
    if numbers is None:
        return None
    letters = _array(objects, at + len(NUMBERS) + 4 + numbers.nbytes, BYTES, np.dtype(np.uint8))
    if letters is None or (len(numbers) and not 0 <= numbers.min() <= numbers.max() < n_spots):
        return None
    words = [""] * n_spots
    text, end = letters.tobytes(), 0
    for spot in numbers.tolist():  # each word says how long it is, so they are read one after the other
        begin = end + 2
        end = begin + int.from_bytes(text[end:begin], "big")
        if end > len(text):
            return None
        words[spot] = text[begin:end].decode(errors="replace")
    return np.array(words, dtype=np.str_)


def _array(objects: bytes, at: int, mark: bytes, kind: np.dtype[np.generic]) -> NDArray[np.generic] | None:
    """Return a Java array that begins at a place, None if there is no such array."""
    begin = at + len(mark) + 4
    if at < 0 or objects[at : at + len(mark)] != mark:
        return None
    n = int.from_bytes(objects[begin - 4 : begin], "big")
    if n * kind.itemsize > len(objects) - begin:
        return None
    return np.frombuffer(objects, kind, count=n, offset=begin)
