"""Movies with truth, at each temporal resolution, as pairs of frames spread over the whole movie.

Frame by frame trackers see two frames at a time, so a movie is judged by a sample of its frame pairs ``(t, t + step)``,
with the same t at every resolution: what differs between resolutions is the time that passes, not the cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import tifffile
from truth import DATA, TrueMovie, detections_of, from_tracks, movies

from trackdb.engine.candidates import radius_from, spread
from trackdb.engine.measure import measure
from trackdb.engine.metrics.calibration import NEW
from trackdb.engine.pixels import NO_PIXELS, PixelsInMemory
from trackdb.engine.simulation import Simulation, simulate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from trackdb.storage.schema import Detections

STEPS: Final = (1, 2, 4, 8)
APART: Final = 3
"""From one pair to the next the frames are numbered so far apart that no candidate ties them."""

MASKS: Final = {"cellmigration": "cellmigration_ccby", "epidermis": "mouse_epidermis_area1_apache"}
"""Folders of the real movies that have masks."""

IMAGE: Final = "image"

CROP: Final = ("cellmigration_ccby", np.arange(60, 86, 5), (800, 400))
"""The one real piece with images, outlines and truth: folder, frames of the movie, and corner of the crop in pixels."""


@dataclass(frozen=True, eq=False)
class Source:
    """A movie with truth and, where it has them, pixels.

    Parameters
    ----------
    movie : TrueMovie
        Its cells and true links, frame by frame.
    kind : str
        ``real``, ``real crop`` or ``simulated``.
    pixels : PixelsInMemory
        Masks, in which each cell is drawn under its label, and images.
    """

    movie: TrueMovie
    kind: str
    pixels: PixelsInMemory = NO_PIXELS


@dataclass(frozen=True, eq=False)
class FramePairs:
    """Pairs of frames of a movie, as a movie of their own.

    Parameters
    ----------
    name, kind, role : str
        Of the movie; ``design``: temperatures may be fitted on it, ``judge``: it only judges.
    step : int
        Frames of the movie from the first to the second frame of a pair.
    detections : Detections
        Cells of pair i in frames ``3 i`` and ``3 i + 1``.
    true : (n,) int64
        Row of each cell's true mother, `NEW` where it has none in the other frame.
    radius : float
        Longest candidate, read from the whole movie at this resolution.
    pixels : PixelsInMemory
        Of the frames as they are numbered here.
    """

    name: str
    kind: str
    role: str
    step: int
    detections: Detections
    true: NDArray[np.int64]
    radius: float
    pixels: PixelsInMemory

    @property
    def n_pairs(self) -> int:
        """Number of pairs."""
        return int(self.detections.frame[-1]) // APART + 1


def frame_pairs(source: Source, step: int, *, most_pairs: int, most_cells: int) -> FramePairs | None:
    """Return a sample of the frame pairs of a movie, None where it is too short.

    Parameters
    ----------
    source : Source
        The movie.
    step : int
        Temporal resolution: only every `step`-th frame had been taken.
    most_pairs, most_cells : int
        Size of the sample: cells are counted in the later frames of the pairs, by their mean.
    """
    movie = source.movie
    frame = movie.detections.frame
    first, last = int(frame[0]), int(frame[-1])
    latest = last - (max(STEPS) if last - max(STEPS) > first else step)
    if latest < first:
        return None
    mean = len(frame) / (last - first + 1)
    n_pairs = int(np.clip(most_cells / mean, 1, most_pairs))
    starts = first + spread(latest - first + 1, n_pairs)
    rows, number = _rows_of_pairs(frame, starts, step)
    mother = _ancestor(movie, step)
    place = {(int(p), int(r)): i for i, (p, r) in enumerate(zip(number // APART, rows, strict=True))}
    true = np.array(
        [
            place.get((int(p) // APART, int(mother[r])), NEW) if p % APART else NEW
            for p, r in zip(number, rows, strict=True)
        ],
        dtype=np.int64,
    )
    return FramePairs(
        name=movie.name,
        kind=source.kind,
        role=movie.role,
        step=step,
        detections=_renumbered(movie.detections, rows, number),
        true=true,
        radius=radius_from(movie.every(step).detections).radius,
        pixels=_pixels_of(source.pixels, starts, step),
    )


def _rows_of_pairs(
    frame: NDArray[np.int64], starts: NDArray[np.int64], step: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the cells of each pair, and the number of their frame among the pairs."""
    rows, number = [], []
    for i, start in enumerate(starts.tolist()):
        for second in (0, 1):
            there = np.arange(*np.searchsorted(frame, [start + second * step, start + second * step + 1]))
            rows.append(there)
            number.append(np.full(len(there), APART * i + second))
    return np.concatenate(rows), np.concatenate(number)


def _ancestor(movie: TrueMovie, step: int) -> NDArray[np.int64]:
    """Return the row of the same cell, or of its mother, `step` frames before; -1 where it has none."""
    parent = np.full(len(movie.detections) + 1, -1)
    parent[movie.link[:, 1]] = movie.link[:, 0]
    found = np.arange(len(movie.detections))
    for _ in range(step):
        found = parent[found]
    return found


def _renumbered(old: Detections, rows: NDArray[np.int64], number: NDArray[np.int64]) -> Detections:
    new = detections_of(number, old.position_px[rows], old.scale_um)
    return replace(new, label=old.label[rows], area=old.area[rows])


def _pixels_of(pixels: PixelsInMemory, starts: NDArray[np.int64], step: int) -> PixelsInMemory:
    """Return the pixels of the frames of the pairs."""
    old = {APART * i + s: start + s * step for i, start in enumerate(starts.tolist()) for s in (0, 1)}
    masks = {new: pixels.masks[frame] for new, frame in old.items() if frame in pixels.masks}
    images = {c: {new: of[frame] for new, frame in old.items() if frame in of} for c, of in pixels.images.items()}
    return PixelsInMemory(masks, images)


def real_sources(names: list[str]) -> Iterator[Source]:
    """Read the real movies whose names hold one of `names`, all where there are none; one at a time."""
    for movie in movies():
        if names and not any(part.lower() in movie.name.lower() for part in names):
            continue
        if movie.name in MASKS:
            yield with_masks(movie, DATA / MASKS[movie.name] / "02_GT" / "TRA")
        else:
            yield Source(movie, "real")
    if not names or any(part.lower() in "cellmigration crop" for part in names):
        yield cropped()


def cropped() -> Source:
    """Read the crop of cell migration that comes with images: every 5th frame, automatic outlines.

    Its cells are those of the table of the whole movie, which tells their tracks: the cell on whose outline the centre
    of a row lies. Outlines without such a row (cut by the edge, or in no track) are not looked at. The movie is one of
    those that temperatures are fitted on, so the crop is a kind of its own, for which there is no temperature.
    """
    folder, frames, corner = CROP
    labels = tifffile.imread(DATA / folder / "image_crop" / "example_label.tif")
    images = tifffile.imread(DATA / folder / "image_crop" / "example_images.tif")
    table = pd.read_csv(DATA / folder / "regionprops.csv.gz").dropna(subset=["track"])
    masks, truth = {}, {}
    for number, frame in enumerate(frames.tolist()):
        rows = table[table["frame"] == frame]
        place = np.rint(rows[["centroid-0", "centroid-1"]].to_numpy() - corner).astype(int)
        inside = ((place >= 0) & (place < labels[number].shape)).all(axis=1)
        label = labels[number][tuple(place[inside].T)]
        track = np.zeros(int(labels.max()) + 1, dtype=np.int64)
        track[label] = rows["track"].to_numpy(int)[inside]
        track[0] = 0
        truth[number] = track[labels[number]]
        masks[number] = np.where(truth[number] > 0, labels[number], 0)
    tracks = np.loadtxt(DATA / folder / "02_GT" / "TRA" / "man_track.txt", dtype=int, ndmin=2)
    parents: dict[object, object] = {track: parent for track, _, _, parent in tracks.tolist() if parent}
    movie = _measured("cellmigration crop", "judge", masks, truth, parents)
    return Source(movie, "real crop", PixelsInMemory(masks, {IMAGE: dict(enumerate(images))}))


def with_masks(movie: TrueMovie, folder: Path) -> Source:
    """Read the cells of a movie once more from its masks, which are drawn under the numbers of the true tracks."""
    files = sorted(folder.glob("man_track*.tif"), key=lambda f: int(f.stem.removeprefix("man_track")))
    masks = {int(f.stem.removeprefix("man_track")): tifffile.imread(f) for f in files}
    tracks = np.loadtxt(folder / "man_track.txt", dtype=int, ndmin=2)
    parents: dict[object, object] = {label: parent for label, _, _, parent in tracks.tolist() if parent}
    return Source(_measured(movie.name, movie.role, masks, masks, parents), "real", PixelsInMemory(masks))


def _measured(
    name: str,
    role: str,
    masks: dict[int, NDArray[np.integer]],
    truth: dict[int, NDArray[np.integer]],
    parents: dict[object, object],
) -> TrueMovie:
    """Measure the cells of masks; each is the track that most of its pixels are of, or of none."""
    tables, false = [], -1
    for frame, mask in masks.items():
        regions = measure(mask)
        track = _majority(mask, truth[frame], regions.label)
        for i in np.flatnonzero(track == 0):  # what is no cell is a track of its own, which is nobody's child
            track[i], false = false, false - 1
        axes = {f"p{axis}": regions.centroid_px[:, axis] for axis in range(regions.centroid_px.shape[1])}
        tables.append(
            pd.DataFrame({"frame": frame, "track": track, "label": regions.label, "area": regions.area} | axes)
        )
    table = pd.concat(tables).sort_values(["frame", "track"]).reset_index(drop=True)
    detections, link = from_tracks(table, parents, [c for c in table if str(c).startswith("p")])
    label, area = table["label"].to_numpy(np.int64), table["area"].to_numpy(float)
    return TrueMovie(name, role, replace(detections, label=label, area=area), link)


def _majority(mask: NDArray[np.integer], truth: NDArray[np.integer], label: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the track that more than half of each label's pixels belong to, 0 where there is none; each track once."""
    inside = mask > 0
    pair, count = np.unique(np.stack([mask[inside], truth[inside]]).astype(np.int64), axis=1, return_counts=True)
    size = np.bincount(np.searchsorted(label, pair[0]), count, len(label))
    found = np.zeros(len(label), dtype=np.int64)
    taken: set[int] = set()
    for i in np.argsort(-count, kind="stable").tolist():
        row, track = int(np.searchsorted(label, pair[0, i])), int(pair[1, i])
        if track and track not in taken and 2 * count[i] > size[row]:
            found[row] = track
            taken.add(track)
    return found


def simulated_sources(number: int, *, frames: int, cells: int) -> Iterator[Source]:
    """Simulate movies with masks and images, half of them design and half judge; every second in phase contrast."""
    for seed in range(number):
        modality = "nuclei" if seed % 4 < 2 else "phase"
        settings = Simulation(
            seed=1000 + seed, frames=frames, cells=cells, motion=0.12, missed=0.0, false=0.03, modality=modality
        )
        made = simulate(settings)
        drawn = list(made)
        masks = {frame.frame: frame.mask for frame in drawn}
        images = {IMAGE: {frame.frame: frame.image for frame in drawn if frame.image is not None}}
        truth = {frame.frame: frame.truth for frame in drawn}
        parents: dict[object, object] = {label: mother for label, _, _, mother in made.tracks.tolist() if mother}
        movie = _measured(f"simulated {seed}", ("design", "judge")[seed % 2], masks, truth, parents)
        yield Source(movie, "simulated", PixelsInMemory(masks, images))
