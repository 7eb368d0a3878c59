"""A movie in every container that trackdb reads: `CONTAINERS[name](folder, movie)` writes it and returns its path."""

from pathlib import Path

import imagecodecs
import numpy as np
import tifffile


def tif_files(folder: Path, movie: np.ndarray, **options) -> Path:
    for number, frame in enumerate(movie):
        tifffile.imwrite(folder / f"t{number}.tif", frame, photometric="minisblack", **options)
    return folder


def tif_stack(folder: Path, movie: np.ndarray, **options) -> Path:
    path = folder / "movie.tif"
    tifffile.imwrite(path, movie, **{"photometric": "minisblack", **options})
    return path


def ome_tif(folder: Path, movie: np.ndarray, **options) -> Path:
    axes = {"axes": "TZYX"[: movie.ndim - 2] + "YX"}
    return tif_stack(folder, movie, ome=True, metadata=axes, **options)


def png_files(folder: Path, movie: np.ndarray, ending: str = "") -> Path:
    for number, frame in enumerate(movie):
        (folder / f"t{number:02d}{ending}.png").write_bytes(imagecodecs.png_encode(frame))
    return folder


def cellpose(folder: Path, movie: np.ndarray) -> Path:
    """The masks that Cellpose writes beside images and outlines."""
    tif_files(folder, np.full_like(movie, 7))
    np.save(folder / "t00_seg.npy", np.array({"masks": 1}), allow_pickle=True)
    (folder / "t00_outlines.png").write_bytes(imagecodecs.png_encode(movie[0]))
    return png_files(folder, movie, "_cp_masks")


def npy_files(folder: Path, movie: np.ndarray) -> Path:
    for number, frame in enumerate(movie):
        np.save(folder / f"t{number}.npy", frame)
    return folder


def npy_stack(folder: Path, movie: np.ndarray) -> Path:
    np.save(folder / "movie.npy", movie)
    return folder / "movie.npy"


FLAT = {  # containers of 2D frames alone
    "png files": png_files,
    "cellpose": cellpose,
}
CONTAINERS = {
    "tif files": tif_files,
    "tif files, zlib, big-endian": lambda folder, movie: tif_files(folder, movie, compression="zlib", byteorder=">"),
    "tif stack": tif_stack,
    "tif stack, lzw, tiles": lambda folder, movie: tif_stack(folder, movie, compression="lzw", tile=(16, 16)),
    "tif stack, big-endian": lambda folder, movie: tif_stack(folder, movie, byteorder=">"),
    "ome-tif": ome_tif,
    "ome-tif, zlib": lambda folder, movie: ome_tif(folder, movie, compression="zlib"),
    "npy files": npy_files,
    "npy stack": npy_stack,
    "npy stack, big-endian": lambda folder, movie: npy_stack(folder, movie.astype(movie.dtype.newbyteorder(">"))),
    "npy stack, Fortran": lambda folder, movie: npy_stack(folder, np.asfortranarray(movie)),
    **FLAT,
}
