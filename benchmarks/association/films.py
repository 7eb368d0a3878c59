"""The movies of the benchmark as stores: those that a model is trained on, and others that it is judged by."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from itertools import count, product
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from drawing import RADIUS_PX, discs_of, draw_points, tracks_of, write_grey, write_masks, write_truth
from truth import DATA, movies

from trackdb.engine.ingest import ingest
from trackdb.engine.measure import measure
from trackdb.engine.simulation import Simulation, simulate, write_movie
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import SourceOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from truth import TrueMovie

EPIDERMIS = "mouse_epidermis_area1_apache/02_GT/TRA"
MIGRATION = "cellmigration_ccby/02_GT/TRA"
ORGANOID = "lstree_organoid_mit/002-Budding"
ORGANOID_UM = (2.0, 0.26, 0.26)


@dataclass(frozen=True)
class Judged:
    """A real movie of a data set that no model here is trained on.

    Parameters
    ----------
    name : str
        As tables call it.
    frames : slice
        The part that is judged.
    masks, images : bool
        Whether they are real. If not, cells are discs or balls of one size, and images are of one grey.
    """

    name: str
    frames: slice
    masks: bool
    images: bool


JUDGED = (
    Judged("epidermis", slice(0, 15), masks=True, images=False),
    Judged("c2c12 BMP2", slice(740, 780), masks=False, images=False),
    Judged("organoid", slice(0, 5), masks=True, images=True),
    Judged("astec Pm04", slice(30, 90), masks=False, images=False),
    Judged("celegans 20241009 L1", slice(70, 120), masks=False, images=False),
)


def judged_store(folder: Path, film: Judged, step: int) -> Path:
    """Return the store of every `step`-th frame of a movie, made where there is none yet."""
    place = folder / "judged" / film.name.replace(" ", "-")
    if not (place / "whole").exists():
        shutil.rmtree(place, ignore_errors=True)
        _draw(place, film)
        (place / "whole").touch()
    return _stored(place / f"x{step}.trackdb", place / "01_GT" / "TRA", place / "01", slice(None, None, step))


def _draw(place: Path, film: Judged) -> None:
    """Write masks, images and truth of a movie."""
    if film.name == "organoid":
        _draw_organoid(place)
    elif film.masks:
        source = DATA / EPIDERMIS
        write_truth(place, _masks(source, film.frames), np.loadtxt(source / "man_track.txt", dtype=int, ndmin=2))
    else:
        draw_points(place, next(movie for movie in movies() if movie.name == film.name), film.frames)


def _draw_organoid(place: Path) -> None:
    """Name each nucleus by the track of the spot of the lineage that lies nearest to it; images are the real ones."""
    movie: TrueMovie = next(movie for movie in movies() if movie.name == "organoid")
    frame = movie.detections.frame - movie.detections.frame.min()
    track, lines = tracks_of(frame, movie.link)
    masks = []
    for t, file in enumerate(sorted((DATA / ORGANOID / "nuclei_segmentation").glob("*.tif"))):
        mask = tifffile.imread(file)
        regions, spots = measure(mask), np.flatnonzero(frame == t)
        away = movie.detections.position_px[spots][:, None] - regions.centroid_px * np.array(ORGANOID_UM)
        nearest = np.argmin((away**2).sum(2), axis=1)
        if len(set(nearest)) < len(spots):
            raise SystemExit(f"frame {t} of the organoid: several spots lie at one nucleus")
        name = np.zeros(mask.max() + 1, np.uint16)
        name[regions.label[nearest]] = track[spots]
        masks.append(name[mask])
    write_truth(place, masks, lines)
    for t, file in enumerate(sorted((DATA / ORGANOID / "Channel1-Denoised").glob("*.tif"))):
        tifffile.imwrite(place / "01" / f"t{t:03d}.tif", tifffile.imread(file), compression="zlib")


@dataclass(frozen=True)
class Lesson:
    """A movie that the model is trained on.

    Parameters
    ----------
    movie : Simulation or slice
        What is simulated, or the frames of the cell migration movie.
    shown : str
        ``images``: masks and images as simulated; ``grey``: masks, and images of one grey; ``discs``: the same, and
        all cells are discs of one size.
    step : int
        Every how many frames.
    """

    movie: Simulation | slice
    shown: str = "grey"
    step: int = 1


def _simulated() -> Iterator[Lesson]:
    """Return flat movies and volumes from slow cells that seldom divide to fast ones that often do."""
    seeds = count()
    for motion, (density, division_rate) in product((0.08, 0.2, 0.35, 0.5), ((0.15, 0.02), (0.4, 0.05), (0.8, 0.08))):
        kind = Simulation(cells=60, frames=16, motion=motion, density=density, division_rate=division_rate)
        yield _shown(kind, next(seeds))
    for motion, (density, division_rate) in product((0.08, 0.2, 0.4), ((0.08, 0.02), (0.25, 0.06))):
        kind = Simulation(ndim=3, cells=50, frames=12, motion=motion, density=density, division_rate=division_rate)
        yield _shown(kind, next(seeds))


def _shown(kind: Simulation, seed: int) -> Lesson:
    """Return a simulated movie that is shown in one of the three ways; cells that become discs are no larger."""
    shown = ("images", "grey", "discs")[(seed + seed // 3) % 3]
    radius = RADIUS_PX + 0.5 if shown == "discs" else 9.0 if kind.ndim == 2 else 6.0
    modality = "phase" if kind.ndim == 2 and seed % 4 == 3 else "nuclei"
    return Lesson(replace(kind, seed=seed, radius_px=radius, modality=modality, condition="ab"[seed % 2]), shown)


LESSONS = (*_simulated(), *(Lesson(slice(0, 43), "grey", step) for step in (1, 2, 4)))


def lesson_stores(folder: Path) -> list[Path]:
    """Return the stores that the model is trained on, made where there are none yet."""
    return [_lesson_store(folder / "lessons" / f"{i:02d}", lesson) for i, lesson in enumerate(LESSONS)]


def _lesson_store(place: Path, lesson: Lesson) -> Path:
    """Return the store of a lesson."""
    if not (place / "whole").exists():
        shutil.rmtree(place, ignore_errors=True)
        if isinstance(lesson.movie, Simulation):
            _simulate(place, lesson.movie, lesson.shown)
        else:
            tracks = np.loadtxt(DATA / MIGRATION / "man_track.txt", dtype=int, ndmin=2)
            write_truth(place, _masks(DATA / MIGRATION, lesson.movie), _first(tracks, lesson.movie.stop))
        (place / "whole").touch()
    truth, own = place / "01_GT" / "TRA", place / "01_SEG"
    masks = own if own.exists() else truth
    return _stored(place / "movie.trackdb", masks, place / "01", slice(None, None, lesson.step), truth)


def _simulate(place: Path, movie: Simulation, shown: str) -> None:
    """Write a simulated movie: its truth, and a segmentation with errors that is shown in one of the three ways."""
    write_movie(place, simulate(movie), images=shown == "images")
    segmented = place / "01_SEG"
    if shown == "discs":
        shutil.move(segmented, place / "outlined")
        write_masks(segmented, "mask", discs_of(_masks(place / "outlined", slice(None))))
    if shown != "images":
        write_grey(place / "01", segmented)


def _first(tracks: NDArray[np.int64], stop: int) -> NDArray[np.int64]:
    """Return the tracks of the first frames."""
    return np.c_[tracks[:, :2], np.minimum(tracks[:, 2], stop - 1), tracks[:, 3]][tracks[:, 1] < stop]


def _masks(folder: Path, frames: slice) -> Iterator[NDArray[np.integer]]:
    """Read the masks of some frames in the order of their numbers, which may not be padded."""
    files = {int("".join(filter(str.isdigit, file.stem))): file for file in folder.glob("*.tif")}
    yield from (tifffile.imread(files[t]) for t in sorted(files)[frames])


def _stored(path: Path, masks: Path, images: Path, frames: slice, truth: Path | None = None) -> Path:
    """Return the store of a movie in the layout of the Cell Tracking Challenge, made where there is none yet."""
    store = DuckDBStore(path)
    if path.exists():
        store.check_version()  # a folder that is kept may be older than the code
    else:
        apart = truth if truth not in (None, masks) else None
        options = SourceOptions(truth=apart, images={"images": images}, frames=frames)
        ingest(masks, store, name="movie", options=options)
    return path
