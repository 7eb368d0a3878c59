"""What reading a movie costs, container by container: seconds and peak memory a frame, however many frames there are.

Run: python benchmarks/pixels.py               3D: 100 x 1024 x 1024 voxels of 16 bits, 4 GB in 20 frames
     python benchmarks/pixels.py --flat        2D: 1024 x 1024 pixels
     python benchmarks/pixels.py --ingest      what `trackdb ingest` of such an OME-Zarr takes as a whole

Each movie is read in a process of its own. Its memory is told above that of the same process when it reads nothing, as
a multiple of one frame. Movies are painted: cells of noise before a dark background, moved from frame to frame.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
import zarr
from measure import head, row, run, trackdb

from trackdb.storage.pixels.opening import open_channels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

DEEP, FLAT = (100, 1024, 1024), (1024, 1024)
DEEP_FRAMES, FLAT_FRAMES = (5, 20), (20, 200)
TILE, PLANES = 256, 16
TOGETHER = 5  # frames
DISKS = 7  # cells along y and x


# -- movies ---------------------------------------------------------------------------------------------------------


def labels_of(shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """Return a frame of labelled disks (columns in 3D) on a grid; the first and the last planes are empty."""
    side = shape[-1] // DISKS
    y, x = np.divmod(np.arange(shape[-1] ** 2).reshape(shape[-2:]), shape[-1])
    number = (y // side) * DISKS + x // side + 1
    inside = (y % side - side // 2) ** 2 + (x % side - side // 2) ** 2 < (side // 3) ** 2
    flat = np.where(inside & (number <= DISKS**2), number, 0).astype(np.uint16)
    if len(shape) == 2:
        return flat
    deep = np.zeros(shape, dtype=np.uint16)
    deep[shape[0] // 4 : -shape[0] // 4] = flat
    return deep


def frames_of(shape: tuple[int, ...], n_frames: int, *, is_label: bool = False) -> Iterator[NDArray[np.uint16]]:
    """Yield the frames of a movie."""
    labels = labels_of(shape)
    noise = np.random.default_rng(0).integers(100, 400, shape[-2:]).astype(np.uint16)
    image = labels if is_label else np.where(labels > 0, noise, 90).astype(np.uint16)
    for frame in range(n_frames):
        yield np.roll(image, 2 * frame, axis=-1)


def write_tif(path: Path, shape: tuple[int, ...], n_frames: int, compression: str | None) -> Path:
    """Write a stack, page by page."""
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        pages = (page for frame in frames_of(shape, n_frames) for page in frame.reshape(-1, *shape[-2:]))
        tif.write(pages, shape=(n_frames, *shape), dtype=np.uint16, photometric="minisblack", compression=compression)
    return path


def write_tif_files(path: Path, shape: tuple[int, ...], n_frames: int) -> Path:
    """Write a file a frame, as the Cell Tracking Challenge has them."""
    path.mkdir()
    for number, frame in enumerate(frames_of(shape, n_frames)):
        tifffile.imwrite(path / f"t{number:04d}.tif", frame, compression="zlib", photometric="minisblack")
    return path


def write_npy(path: Path, shape: tuple[int, ...], n_frames: int) -> Path:
    """Write an npy stack."""
    stack = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint16, shape=(n_frames, *shape))
    for number, frame in enumerate(frames_of(shape, n_frames)):
        stack[number] = frame
    return path


def write_array(
    group: zarr.Group, axes: str, frames: Iterator[NDArray[np.uint16]], n_frames: int, *, together: int = 1
):
    """Write a Zarr array ``0``, a frame at a time, in chunks of 256 x 256 pixels and 16 planes.

    Parameters
    ----------
    axes : str
        Letter of each axis; a channel axis, and a z axis where frames have none, are of length one.
    together : int
        Frames that share their chunks, and are written at once.
    """
    block: list[NDArray[np.uint16]] = []
    array, most = None, {"t": together, "c": 1, "z": PLANES, "y": TILE, "x": TILE}
    for number, frame in enumerate(frames, start=1):
        sizes = dict(zip("zyx"[-frame.ndim :], frame.shape, strict=True)) | {"t": n_frames}
        shape = tuple(sizes.get(axis, 1) for axis in axes)
        if array is None:
            chunks = tuple(min(most[axis], size) for axis, size in zip(axes, shape, strict=True))
            named = {"dimension_names": list(axes)} if group.metadata.zarr_format == 3 else {}
            array = group.create_array("0", shape=shape, dtype=frame.dtype, chunks=chunks, **named)
        block.append(frame.reshape(shape[1:]))
        if len(block) == together or number == n_frames:
            array[number - len(block) : number] = np.stack(block)
            block.clear()


def write_zarr(path: Path, shape: tuple[int, ...], n_frames: int, version: int, together: int = 1) -> Path:
    """Write a group with one plain array."""
    group = zarr.open_group(path, mode="w", zarr_format=version)
    write_array(group, "tzyx"[: len(shape) - 1] + "yx", frames_of(shape, n_frames), n_frames, together=together)
    return path


def write_ome_zarr(path: Path, shape: tuple[int, ...], n_frames: int, *, labels: bool = False) -> Path:
    """Write an OME-Zarr 0.5 image of one channel, with its labels inside if wanted."""
    image = zarr.open_group(path, mode="w")
    write_array(image, "tczyx", frames_of(shape, n_frames), n_frames)
    image.attrs["ome"] = ngff("tczyx")
    if labels:
        there = image.create_group("labels")
        there.attrs["ome"] = {"version": "0.5", "labels": ["cells"]}
        cells = there.create_group("cells")
        write_array(cells, "tzyx", frames_of(shape, n_frames, is_label=True), n_frames)
        cells.attrs["ome"] = ngff("tzyx") | {"image-label": {}}
    return path


def ngff(axes: str) -> dict:
    """Return the metadata of an image of one level."""
    kinds = {"t": "time", "c": "channel"}
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1.0] * len(axes)}]}
    named = [{"name": axis, "type": kinds.get(axis, "space")} for axis in axes]
    return {"version": "0.5", "multiscales": [{"axes": named, "datasets": [level]}]}


CONTAINERS: dict[str, Callable[[Path, tuple[int, ...], int], Path]] = {
    "tif files, zlib": write_tif_files,
    "tif stack": lambda path, shape, n: write_tif(path.with_suffix(".tif"), shape, n, None),
    "tif stack, zlib": lambda path, shape, n: write_tif(path.with_suffix(".tif"), shape, n, "zlib"),
    "npy stack": lambda path, shape, n: write_npy(path.with_suffix(".npy"), shape, n),
    "zarr 2": lambda path, shape, n: write_zarr(path, shape, n, 2),
    "zarr 3": lambda path, shape, n: write_zarr(path, shape, n, 3),
    f"zarr 3, {TOGETHER} frames a chunk": lambda path, shape, n: write_zarr(path, shape, n, 3, TOGETHER),
    "ome-zarr 0.5": write_ome_zarr,
}


# -- reading --------------------------------------------------------------------------------------------------------


def read(path: Path, n_frames: int) -> None:
    """Read the first frames of a movie, and print how many seconds and bytes that were."""
    import time

    [frames] = open_channels({"image": path}).values()
    started, cpu = time.perf_counter(), time.process_time()
    n_bytes = sum(frame.nbytes for frame in frames.read(range(n_frames)))
    print(json.dumps({"wall": time.perf_counter() - started, "cpu": time.process_time() - cpu, "bytes": n_bytes}))


def size_of(path: Path) -> int:
    """Return the bytes of a file or of all files in a folder."""
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


def print_reading(folder: Path, shape: tuple[int, ...], counts: tuple[int, ...]) -> None:
    """Print what reading costs in each container, for movies of several lengths."""
    frame_mb = 2 * np.prod(shape) / 2**20
    print(f"\nframes of {' x '.join(map(str, shape))}, 16 bits: {frame_mb:.0f} MiB each\n")
    head("container", "frames", "GB", "GB stored", "s a frame", "CPU s a frame", "peak MiB", "frames in memory")
    for name, write in CONTAINERS.items():
        for n_frames in counts:
            path = write(folder / "movie", shape, n_frames)
            empty = run(sys.executable, __file__, "--read", path, "--frames", 0)
            spent = run(sys.executable, __file__, "--read", path, "--frames", n_frames)
            if empty.code or spent.code:
                raise SystemExit(empty.err + spent.err)
            took, above = spent.report, spent.peak_mb - empty.peak_mb
            row(
                name, n_frames, f"{took['bytes'] / 1e9:.2f}", f"{size_of(path) / 1e9:.2f}",
                f"{took['wall'] / n_frames:.3f}", f"{took['cpu'] / n_frames:.3f}",
                f"{above:.0f}", f"{above / frame_mb:.1f}",
            )  # fmt: skip
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def print_ingest(folder: Path, shape: tuple[int, ...], counts: tuple[int, ...]) -> None:
    """Print what the command takes that brings images, masks and detections into a store."""
    frame_mb = 2 * np.prod(shape) / 2**20
    print(f"\ntrackdb ingest of an OME-Zarr with labels, frames of {' x '.join(map(str, shape))}\n")
    head("frames", "GB read", "detections", "s a frame", "peak MiB", "frames in memory")
    for n_frames in counts:
        path = write_ome_zarr(folder / "movie.zarr", shape, n_frames, labels=True)
        spent = trackdb("ingest", path, "-o", folder / "movie.trackdb", "--json")
        n_bytes = 4 * np.prod(shape) * n_frames
        row(
            n_frames, f"{n_bytes / 1e9:.2f}", spent.report["detections"], f"{spent.wall_s / n_frames:.2f}",
            f"{spent.peak_mb:.0f}", f"{spent.peak_mb / frame_mb:.1f}",
        )  # fmt: skip
        shutil.rmtree(path)
        shutil.rmtree(folder / "movie.trackdb")


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flat", action="store_true", help="2D instead of 3D")
    parser.add_argument("--ingest", action="store_true", help="the whole ingest instead of reading")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--frames", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        read(given.read, given.frames)
        return
    shape, counts = (FLAT, FLAT_FRAMES) if given.flat else (DEEP, DEEP_FRAMES)
    print(f"{os.cpu_count()} cores, zarr {zarr.__version__}, tifffile {tifffile.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        (print_ingest if given.ingest else print_reading)(Path(folder), shape, counts)


if __name__ == "__main__":
    main()
