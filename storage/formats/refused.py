"""Files of the field that cannot become a movie, each with the reason and what to do instead."""

from __future__ import annotations

import re
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING

from ...errors import FormatError

if TYPE_CHECKING:
    from pathlib import Path

LOOK = 1 << 20  # letters of a JSON file that are looked at
HYPOTHESES = re.compile(r'"(segmentation-?[hH]ypotheses|linking-?[hH]ypotheses|detectionResults|linkingResults)"')
WEIGHTS = re.compile(r'\s*\{\s*"weights"\s*:')
TRAXELS = '"traxelToUniqueId"'
HDF5 = b"\x89HDF\r\n\x1a\n"


def reason_to_refuse(path: Path) -> FormatError | None:
    """Return why a file cannot be read, None where nothing speaks against it.

    Only names and first letters are looked at, so that a file is refused before anything in it is run.
    """
    name = path.name.lower()
    if not path.is_file():
        return None
    if name.endswith(".lt"):
        return FormatError(
            f"{path} is a LineageTree file: a Python pickle, and to open one runs whatever code it holds",
            expected="data without code",
            **{"try": "to write it as Mastodon, MaMuT or TrackMate XML, GEFF or a table from LineageTree itself"},
        )
    if name.endswith("_seg.npy"):
        return FormatError(
            f"{path} is Cellpose's: a Python pickle, and to open one runs whatever code it holds",
            expected="data without code",
            **{"try": "to save the masks as tif or png: cellpose --save_tif, or --save_png"},
        )
    if name.endswith((".pkl", ".pickle")):
        return FormatError(
            f"{path} is a Python pickle, and to open one runs whatever code it holds",
            expected="data without code",
            **{"try": "to save it as CSV or Parquet"},
        )
    if name.endswith(".npz"):
        return _of_npz(path)
    if name.endswith(".json"):
        return _of_json(path)
    return None


def reason_of_hdf5(path: Path) -> FormatError | None:
    """Return why an HDF5 file that no format knows cannot be read, None if it is no HDF5 file."""
    if not is_hdf5(path):
        return None
    with suppress(ModuleNotFoundError):
        import h5py

        try:
            h5py.File(path, "r").close()
        except (OSError, RuntimeError) as error:
            return FormatError(f"{path} is damaged", expected="a whole HDF5 file", got=str(error))
    return FormatError(
        f"{path} is HDF5, of which only btrack's objects and tracks are read",
        **{"try": "to save images and labels as tif or OME-Zarr"},
    )


def is_hdf5(path: Path) -> bool:
    """Tell whether a path is a file that begins as HDF5 does."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(len(HDF5)) == HDF5


def _of_npz(path: Path) -> FormatError:
    """Return why an archive of arrays is no movie, with the names of some of them."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        return FormatError(f"{path} cannot be read as npz", expected="a whole file", got=str(error))
    return FormatError(
        f"{path} is an archive of {len(names)} arrays, and does not say which of them are the masks",
        expected="one array, as npy",
        got=", ".join(names[:5]),
        **{"try": 'to save each: numpy.save("masks.npy", numpy.load("FILE.npz")["NAME"])'},
    )


def _of_json(path: Path) -> FormatError | None:
    """Return why a JSON file of a tracker's hypotheses is no movie."""
    with path.open(encoding="utf-8", errors="replace") as stream:
        text = stream.read(LOOK)
    if TRAXELS in text:
        return FormatError(
            f"{path} is a graph of hytra's: it names detections by frame and label, and tells no positions",
            expected="the label images that the labels are of",
            **{"try": "to ingest those (as tif), and the links as a table source,target"},
        )
    if WEIGHTS.match(text):
        return FormatError(f"{path} holds the weights of a solver, and no cells", expected="cells")
    if HYPOTHESES.search(text):
        return FormatError(
            f"{path} is a graph of hypotheses: detections are bare numbers, without frame or position, so there is "
            "nothing to place in a movie",
            expected="a table of id, t, y, x for those numbers",
            **{"try": "to ingest that table, with --links TABLE for the links: source,target"},
        )
    return None
