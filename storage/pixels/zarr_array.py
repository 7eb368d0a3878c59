"""Arrays and groups of Zarr 2 and 3 in the folders of others, opened with care.

By the rule of Zarr a chunk that is not stored reads as the fill value. Writers leave out chunks of background, so that
is allowed, and said; only label masks whose fill value is a label are refused.

What the array's metadata say is believed only as far as the files can bear it out: chunks too large to be decoded,
shapes that the stored bytes cannot make up, codecs that would unpickle objects, and links out of the folder are refused
before a chunk is read.
"""

from __future__ import annotations

import os
import warnings
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zarr
from zarr.storage import LocalStore

from ...errors import FormatError, TrackdbError
from .blosc import checked_blosc
from .bounded import bound_chunks, bounded_codecs
from .frames import require_backed, require_numbers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

METADATA = (".zarray", ".zgroup", ".zattrs", ".zmetadata", "zarr.json")
CODECS = {  # none of these runs or unpickles what it decodes
    *("bytes", "endian", "transpose", "sharding_indexed"),
    *("blosc", "gzip", "zstd", "zlib", "lz4", "bz2", "lzma", "pcodec", "zfpy", "packbits"),
    *("shuffle", "delta", "bitround", "quantize", "fixedscaleoffset", "astype"),
    *("crc32c", "crc32", "adler32", "fletcher32", "jenkins_lookup3"),
}
LARGEST_CHUNK = 4 << 30  # bytes; a chunk can only be decoded whole
LARGE_ARRAY = 1 << 30  # bytes; above, an array has to store
MOST_EMPTY = 1_000_000  # of its bytes one in so many


def open_array(folder: Path, root: Path, *, is_label: bool) -> tuple[zarr.Array[Any], tuple[str, ...]]:
    """Open an array, and refuse what cannot be read safely.

    Parameters
    ----------
    folder : Path
        The array's.
    root : Path
        The folder that the user named: nothing outside it is read.
    is_label : bool
        True for label masks.

    Returns
    -------
    array : zarr.Array
        Opened for reading.
    notes : tuple of str
        Chunks that are not stored.

    Raises
    ------
    FormatError
        If there is none, or its metadata are damaged, lie, or lead elsewhere.
    """
    array = open_node(folder)
    if not isinstance(array, zarr.Array):
        raise FormatError(f"{folder} is no Zarr array", expected=".zarray or zarr.json of an array")
    require_numbers(array.dtype, str(folder), is_label=is_label)
    require_codecs(array.metadata.to_dict(), folder, CODECS)
    with reading(str(folder)):
        n_stored, n_files = _stored(folder, root.resolve())
    _require_honest(array, n_stored, folder)
    return array, _missing_chunks(array, n_files, folder, is_label=is_label)


def open_node(folder: Path) -> zarr.Array[Any] | zarr.Group:
    """Open the array or the group in a folder, by its own metadata and not by what another file says of it."""
    with reading(str(folder)), checked_blosc(), bounded_codecs():
        store = LocalStore(folder, read_only=True)
        node = zarr.open(store=store, mode="r", use_consolidated=False)
    if isinstance(node, zarr.Array):
        bound_chunks(node)
    return node


def attributes_of(node: zarr.Array[Any] | zarr.Group, folder: Path) -> dict[str, Any]:
    """Return what an array or a group says of itself in words of its own."""
    with reading(f"the attributes of {folder}"):
        return dict(node.attrs)


def is_node(path: Path) -> bool:
    """Tell whether a folder is a Zarr array or group."""
    return path.is_dir() and any((path / name).is_file() for name in (".zarray", ".zgroup", "zarr.json"))


def require_codecs(metadata: Mapping[str, Any], folder: Path, codecs: Collection[str]) -> None:
    """Raise FormatError unless every codec is one of those that only turn bytes into numbers or text."""
    found = [metadata.get("compressor"), *(metadata.get("filters") or ()), *(metadata.get("codecs") or ())]
    while found:
        codec = found.pop()
        if codec is None:
            continue
        name = str(codec.get("id", codec.get("name"))).removeprefix("numcodecs.")
        if name not in codecs:
            raise FormatError(f"{folder} is compressed by {name}", expected="a codec such as blosc or zstd")
        inner = codec.get("configuration") or {}
        found += [*inner.get("codecs", ()), *inner.get("index_codecs", ())]


def _require_honest(array: zarr.Array[Any], n_stored: int, folder: Path) -> None:
    """Raise FormatError if chunks cannot be decoded, or the shape is more than the files can make up."""
    chunk = prod(array.chunks) * array.dtype.itemsize
    if not 0 < chunk <= LARGEST_CHUNK:
        raise FormatError(
            f"{folder} has chunks of {chunk:,} bytes",
            expected=f"{LARGEST_CHUNK:,} at most: a chunk is read whole",
            **{"try": "chunks of one frame or less"},
        )
    require_backed(array.chunks, array.dtype, n_stored, str(folder))
    n_bytes = prod(array.shape) * array.dtype.itemsize
    if n_bytes > LARGE_ARRAY and n_bytes > MOST_EMPTY * n_stored:
        raise FormatError(
            f"{folder} promises {n_bytes:,} bytes and stores {n_stored:,}",
            expected="an array that holds what its metadata promise",
            got=f"shape {array.shape}",
        )


def _stored(folder: Path, root: Path) -> tuple[int, int]:
    """Return how many bytes and files of chunks an array has, or raise FormatError if one leads out of `root`."""
    n_bytes = n_files = 0
    folders = [folder.resolve()]
    if not folders[0].is_relative_to(root):
        raise FormatError(f"{folder} leads out of {root}", expected="an array inside the folder")
    linked: set[Path] = set()
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                place = Path(entry.path)
                if entry.is_symlink():
                    place = place.resolve()
                    if not place.is_relative_to(root):
                        raise FormatError(f"{entry.path} leads out of {root}", expected="chunks inside the folder")
                    if place in linked:
                        continue  # links may run in circles
                    linked.add(place)
                if entry.is_dir():
                    folders.append(place)
                elif entry.is_file() and entry.name not in METADATA:
                    n_bytes += entry.stat().st_size
                    n_files += 1
    return n_bytes, n_files


def _missing_chunks(array: zarr.Array[Any], n_files: int, folder: Path, *, is_label: bool) -> tuple[str, ...]:
    """Return a note on chunks that are not stored; raise FormatError if they would be filled with a label."""
    piece = array.shards or array.chunks
    n_chunks = prod(-(-n // c) for n, c in zip(array.shape, piece, strict=True))
    if n_files >= n_chunks:
        return ()
    fill = array.fill_value or 0  # none given reads as 0
    missing = f"{n_chunks - n_files:,} of {n_chunks:,} chunks of {folder} are not stored"
    if is_label and fill:
        raise FormatError(f"{missing}, and would be filled with label {fill}", expected="fill value 0 for background")
    return (f"{missing} and are read as {'background' if is_label else fill}",)


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Whatever goes wrong while zarr reads is a FormatError that names the place."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except TrackdbError:
        raise
    except Exception as error:  # zarr and its codecs raise errors of many kinds on damaged metadata and bytes
        got = f"{type(error).__name__}: {error}"
        raise FormatError(f"{what} cannot be read", expected="whole Zarr metadata and chunks", got=got[:300]) from error
