"""Pixels of a store: label masks and images as Zarr 3 groups, named by the digest of their content.

A group is written below ``arrays/.tmp-<name>``, flushed to disk, digested and renamed to ``arrays/<sha256>``; only then
a transaction refers to it. So an array that a row refers to is whole, nothing is ever overwritten, and what a killed
process left behind is either continued or swept away.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from ..errors import FormatError, StoreDamagedError
from .folders import flush, flush_tree, writing_below
from .pixels.frames import require_backed
from .within import require_own

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from numpy.typing import NDArray

ARRAYS = "arrays"
DATA = "data"  # the one array in each group
PARTIAL = ".partial"  # ends the name under which zarr writes a file before it renames it
METADATA = "zarr.json"
NAME = re.compile(rf"{ARRAYS}/[0-9a-f]{{64}}")
NUMBERS = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)")
CODECS = ("sharding_indexed", "bytes", "zstd", "crc32c")
TILE_PX = 256  # side of a chunk: what a crop has to decode


@dataclass(frozen=True, slots=True)
class ArrayRef:
    """Where pixels stand.

    Parameters
    ----------
    kind, channel : str
        ``masks``, ``images`` or ``embeddings``, and the name of the channel (empty for masks) or of the scores.
    path : str
        Folder below the store.
    sha256 : str
        Digest of all its files.
    shape : tuple of int
        ``(t, [z,] y, x)``; of embeddings ``(t, cell of the frame, number)``.
    dtype : str
        Type of a pixel.
    n_bytes : int
        Size on disk.
    """

    kind: str
    channel: str
    path: str
    sha256: str
    shape: tuple[int, ...]
    dtype: str
    n_bytes: int


class ArrayWriter:
    """Writes a movie's pixels frame by frame; what a killed writer of the same name left is continued.

    Parameters
    ----------
    store : Path
        Folder of the store.
    name : str
        Name of the unfinished group, the same when the same work is given again.
    kind, channel : str
        What the pixels are.
    shape : tuple of int
        ``(t, [z,] y, x)``.
    dtype : dtype
        Type of a pixel.

    Attributes
    ----------
    shape : tuple of int
        As given.
    continued : bool
        Whether the frames that an earlier process wrote and synced are already there.
    """

    def __init__(
        self, store: Path, name: str, *, kind: str, channel: str, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self._store = store
        self._folder = store / ARRAYS / f".tmp-{name}"
        self._kind, self._channel, self.shape, self._dtype = kind, channel, shape, np.dtype(dtype)
        self._unsynced: list[int] = []
        with self._writing():
            begun = self._left_behind()
            self.continued = begun is not None
            self._array = self._begun() if begun is None else begun

    def _left_behind(self) -> zarr.Array[Any] | None:
        """Return the array that an earlier process began, if it is the same one.

        Raises
        ------
        StoreDamagedError
            If anything of it leads out of the store.
        """
        for path in self._folder.rglob("*"):
            require_own(path, self._store)
        try:
            _require_ours(self._folder / DATA)
            array = zarr.open_array(self._folder / DATA, mode="r+", zarr_format=3)
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        if array.shape != self.shape or array.dtype != self._dtype:
            return None
        for partial in list(self._folder.rglob(f"*{PARTIAL}")):
            partial.unlink()  # the digest is of all files, and that of a write that was killed is none of the array
        return array

    def _begun(self) -> zarr.Array[Any]:
        if self._folder.exists():
            shutil.rmtree(self._folder)
        self._folder.parent.mkdir(exist_ok=True)
        group = zarr.open_group(self._folder, mode="w", zarr_format=3)
        frame = self.shape[1:]
        chunk = tuple(min(n, TILE_PX if len(frame) == 2 else TILE_PX // 4) for n in frame)
        shard = tuple(c * -(-n // c) for n, c in zip(frame, chunk, strict=True))
        # one shard a frame: a frame is written at once into one file, a crop decodes only its tiles
        array = group.create_array(
            DATA,
            shape=self.shape,
            dtype=self._dtype,
            chunks=(1, *chunk),
            shards=(1, *shard),
            fill_value=0,
            config={"write_empty_chunks": True},  # a frame whose file is missing is damage, not background
        )
        flush_tree(self._folder)  # who goes on with it later goes by what it tells of itself
        flush(self._folder.parent)
        flush(self._store)
        return array

    def write(self, frame: int, pixels: NDArray[np.generic]) -> None:
        """Put one frame.

        Raises
        ------
        FormatError
            If the values do not fit the type of the array.
        StoreFullError, StoreError
            If the store has no room, or cannot be written.
        """
        if not np.can_cast(pixels.dtype, self._dtype, "safe") and not _fits(pixels, self._dtype):
            raise FormatError(
                f"the {self._kind} of frame {frame} hold values that do not fit {self._dtype}, the type of the movie",
                got=str(pixels.dtype),
                **{"try": "save all frames in the same type"},
            )
        with self._writing():
            self._array[frame] = pixels.astype(self._dtype, copy=False)
        self._unsynced.append(frame)

    def read(self, frame: int) -> NDArray[Any]:
        """Return a frame that was written."""
        return np.asarray(self._array[frame])

    def sync(self) -> None:
        """Return once every frame written so far would survive a power cut."""
        with self._writing():
            for frame in self._unsynced:
                flush_tree(self._folder / DATA / "c" / str(frame))
            if self._unsynced:
                flush(self._folder / DATA / "c")
                flush(self._folder / DATA)
        self._unsynced.clear()

    def seal(self) -> ArrayRef:
        """Digest the group, give it its final name, and return what a row has to say of it."""
        with self._writing():
            flush_tree(self._folder)
            sha256, n_bytes = digest(self._folder)
            final = self._store / ARRAYS / sha256
            if final.exists():  # the same pixels are already here
                shutil.rmtree(self._folder)
            else:
                self._folder.rename(final)
            # also where another process gave the name, which may have died before it could flush it
            flush(final.parent)
        path = f"{ARRAYS}/{sha256}"
        return ArrayRef(self._kind, self._channel, path, sha256, self.shape, str(self._dtype), n_bytes)

    def _writing(self) -> AbstractContextManager[None]:
        return writing_below(self._store, self._folder.parent)


def _fits(pixels: NDArray[np.generic], dtype: np.dtype[Any]) -> bool:
    """Return whether whole numbers of a wider type happen to fit a narrower one."""
    if not (np.issubdtype(pixels.dtype, np.integer) and np.issubdtype(dtype, np.integer)) or not pixels.size:
        return False
    limits = np.iinfo(dtype)
    return int(pixels.min()) >= limits.min and int(pixels.max()) <= limits.max


def read_frame(store: Path, ref: ArrayRef, frame: int) -> NDArray[Any]:
    """Return one frame of an array.

    Raises
    ------
    StoreDamagedError
        If the array is gone or cannot be read.
    """
    return read_window(store, ref, frame, ())


def read_window(store: Path, ref: ArrayRef, frame: int, window: tuple[slice, ...]) -> NDArray[Any]:
    """Return a part of one frame of an array; only the tiles that it touches are decoded.

    Parameters
    ----------
    store : Path
        Folder of the store.
    ref : ArrayRef
        The array.
    frame : int
        Which frame.
    window : tuple of slice
        Part of each axis of the frame; axes that are not named are read whole.

    Raises
    ------
    StoreDamagedError
        If the array is gone or cannot be read.
    """
    folder = _own_folder(store, ref)
    files = [f for f in (folder / DATA / "c" / str(frame)).rglob("*") if f.is_file()]
    if not files or not all(file.stat().st_size for file in files):
        raise StoreDamagedError(f"{store / ref.path} lacks frame {frame}", **{"try": "restore the folder from a copy"})
    for file in (folder / DATA / METADATA, *files):
        require_own(file, store)
    try:
        _require_ours(folder / DATA)
        array = zarr.open_array(folder / DATA, mode="r", zarr_format=3)
        if array.shape != ref.shape or str(array.dtype) != ref.dtype:
            raise ValueError(f"{array.dtype} of shape {array.shape}, said to be {ref.dtype} of shape {ref.shape}")
        require_backed(ref.shape[1:], array.dtype, sum(file.stat().st_size for file in files), str(ref.path))
        pixels = array[(frame, *window)]  # type: ignore[index]  # zarr knows slices of whole numbers alone
        return np.asarray(pixels)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise StoreDamagedError(f"{store / ref.path} cannot be read", reason=str(error)) from error


def _own_folder(store: Path, ref: ArrayRef) -> Path:
    """Return the folder of an array, which is named by its digest and nowhere but in the store."""
    if not NAME.fullmatch(ref.path):
        raise StoreDamagedError(f"{store}: an array is said to stand in {ref.path!r}", expected=f"{ARRAYS}/<sha256>")
    return store / ref.path


def _require_ours(folder: Path) -> None:
    """Raise ValueError unless the metadata of an array are such as `ArrayWriter` writes: no codec that runs anything.

    Zarr takes codecs by name, one of which unpickles what it decodes, and believes any size of a chunk.
    """
    told = json.loads((folder / METADATA).read_bytes())
    if (folder / ".zarray").exists() or told.get("zarr_format") != 3 or told.get("storage_transformers"):
        raise ValueError("an array as trackdb does not write it")
    if not NUMBERS.fullmatch(str(told["data_type"])):
        raise ValueError(f"an array of {told['data_type']}")
    shape, shards = told["shape"], told["chunk_grid"]["configuration"]["chunk_shape"]
    if len(shape) != len(shards) or any(not 0 < c <= max(TILE_PX, 2 * n) for n, c in zip(shape, shards, strict=True)):
        raise ValueError(f"shards of {shards} in an array of {shape}")
    codecs = list(told["codecs"])
    while codecs:
        codec = codecs.pop()
        if codec["name"] not in CODECS:
            raise ValueError(f"compressed by {codec['name']}")
        inner = codec.get("configuration") or {}
        codecs += [*inner.get("codecs", ()), *inner.get("index_codecs", ())]


def digest(folder: Path) -> tuple[str, int]:
    """Return the SHA-256 over the names and contents of all files below `folder`, and their size in bytes."""
    total = hashlib.sha256()
    n_bytes = 0
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        size = file.stat().st_size
        total.update(f"{file.relative_to(folder).as_posix()}\0{size}\0".encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                total.update(block)
        n_bytes += size
    return total.hexdigest(), n_bytes


def sweep(store: Path, name: str) -> None:
    """Remove what unfinished writers whose name begins with `name` left."""
    for folder in (store / ARRAYS).glob(f".tmp-{name}*"):
        shutil.rmtree(folder)


def discard(store: Path, path: str) -> None:
    """Remove an array that no row refers to; one that is half removed no longer bears the name of its content.

    Else an ingest of the same pixels would take what is left of it for the whole.
    """
    folder = store / path
    if not folder.is_dir() or folder.is_symlink():
        folder.unlink(missing_ok=True)
        return
    going = folder if folder.name.startswith(".tmp-") else folder.with_name(f".tmp-dropped-{folder.name}")
    if going != folder:
        shutil.rmtree(going, ignore_errors=True)
        folder.rename(going)
    shutil.rmtree(going)
