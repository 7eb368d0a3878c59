"""A movie in every container that trackdb reads: `CONTAINERS[name](folder, movie)` writes it and returns its path."""

from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
import zarr


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


def zarr_array(folder: Path, movie: np.ndarray, *, chunks: tuple[int, ...] | None = None, **options) -> Path:
    path = folder / "movie.zarr"
    array = zarr.create_array(
        path, shape=movie.shape, dtype=movie.dtype, chunks=chunks or (1, *(32,) * (movie.ndim - 1)), **options
    )
    array[:] = movie
    return path


def zarr_group(folder: Path, movie: np.ndarray) -> Path:
    zarr.open_group(folder / "movie.zarr", mode="w").create_array("pixels", data=movie)
    return folder / "movie.zarr"


def ome_zarr(folder: Path, movie: np.ndarray, **options) -> Path:
    return write_ngff(folder / "movie.ome.zarr", movie, "tzyx"[: movie.ndim - 2] + "yx", is_label=True, **options)


def write_ngff(
    path: Path,
    pixels: np.ndarray,
    axes: str,
    *,
    version: str = "0.5",
    scale: list[float] | None = None,
    units: dict[str, str] | None = None,
    channels: list[str] | None = None,
    is_label: bool = False,
    chunks: tuple[int, ...] | None = None,
) -> Path:
    """Write an OME-Zarr image, or label image, with a second level of half the size; add labels to one that is there.

    Parameters
    ----------
    path : Path
        The group; ``.../labels/NAME`` is listed among its labels.
    pixels : array
        Level 0.
    axes : str
        Letter of each axis.
    scale, units
        Size of a pixel along each axis, and units by letter.
    channels : list of str or None
        Names of the channels; None writes no omero metadata.
    """
    if path.parent.name == "labels":
        _list_label(path, version)
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    kinds = {"t": "time", "c": "channel"}
    factors = scale or [1.0] * len(axes)
    half = tuple(slice(None, None, 2 if axis in "yx" else 1) for axis in axes)
    levels = []
    for level, data in enumerate([pixels, pixels[half]]):
        named = {"dimension_names": list(axes)} if version != "0.4" else {}
        group.create_array(str(level), data=data, chunks=chunks or (1,) * (len(axes) - 2) + (32, 32), **named)
        sizes = [f * (1 + level if axis in "yx" else 1) for f, axis in zip(factors, axes, strict=True)]
        levels.append({"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": sizes}]})
    told = [
        {"name": a, "type": kinds.get(a, "space"), **({"unit": units[a]} if a in (units or {}) else {})} for a in axes
    ]
    ome = {"multiscales": [{"name": path.name, "axes": told, "datasets": levels}]}
    if channels is not None:
        window = {"min": 0, "max": 255, "start": 0, "end": 255}
        ome["omero"] = {"channels": [{"label": name, "color": "FFFFFF", "window": window} for name in channels]}
    if is_label:
        ome["image-label"] = {"source": {"image": "../../"}}
    write_attributes(group, ome, version)
    return path


def masks_of(source) -> np.ndarray:
    """Return the masks of all frames."""
    return np.array([batch.mask for batch in source.frames()])


def _list_label(path: Path, version: str) -> None:
    """Add a name to those that a ``labels`` group lists."""
    group = zarr.open_group(path.parent, mode="a", zarr_format=2 if version == "0.4" else 3)
    listed = dict(group.attrs).get("ome", dict(group.attrs)).get("labels", [])
    write_attributes(group, {"labels": [*listed, path.name]}, version)


def write_attributes(group: zarr.Group, ome: dict, version: str) -> None:
    """Write OME metadata as a version has them: in the attributes, or under their key ``ome``."""
    if version == "0.4":
        for image in ome.get("multiscales", ()):
            image["version"] = version
        group.attrs.put(ome)
    else:
        group.attrs.put({"ome": {"version": version, **ome}})


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
    "zarr 2": lambda folder, movie: zarr_array(folder, movie, zarr_format=2),
    "zarr 2, big-endian, F": lambda folder, movie: zarr_array(
        folder, movie.astype(movie.dtype.newbyteorder(">")), zarr_format=2, order="F"
    ),
    "zarr 3": lambda folder, movie: zarr_array(folder, movie, zarr_format=3),
    "zarr 3, shards": lambda folder, movie: zarr_array(folder, movie, shards=(1, *(64,) * (movie.ndim - 1))),
    "zarr 3, frames together": lambda folder, movie: zarr_array(folder, movie, chunks=(2, *movie.shape[1:])),
    "zarr group": zarr_group,
    "ome-zarr 0.4": lambda folder, movie: ome_zarr(folder, movie, version="0.4"),
    "ome-zarr 0.5": ome_zarr,
    "ome-zarr, t c z y x": lambda folder, movie: write_ngff(
        folder / "movie.zarr", movie.reshape(len(movie), 1, -1, *movie.shape[-2:]), "tczyx"
    ),
    **FLAT,
}
