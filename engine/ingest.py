"""From files to a dataset in the store: one frame in memory at a time, batches committed on the way."""

from __future__ import annotations

import hashlib
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ..errors import ConfigError, FormatError, SchemaError, StoreError
from ..storage.arrays import ArrayWriter
from ..storage.features import count_unknown_intensities, property_names
from ..storage.formats import open_source
from ..storage.formats.base import SourceOptions
from ..storage.ingestion import ingesting, remove
from ..storage.measurements import Features
from ..storage.schema import Detections, Movie
from .imports.solutions import imported_solutions
from .measure import measure
from .names import require_name
from .progress import Progress, Silent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ..storage.duckdb_store import DuckDBStore
    from ..storage.formats.base import FrameBatch, Source
    from ..storage.ingestion import Ingestion

log = logging.getLogger(__name__)

BATCH_ROWS = 200_000  # detections in one commit, or
BATCH_S = 2.0  # seconds of work in one commit: what a kill can cost
STREWN_FILL = 0.02  # of its box: a thin cell that lies aslant fills more, a grey value of an image far less
STREWN = "most labels of the first frame are strewn all over it"
PIECES = 4  # of a frame's only label: so many are a foreground, no cell that came apart


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What an ingest brought.

    Parameters
    ----------
    dataset : str
        Name of the dataset.
    frames, detections : int
        How many the dataset has.
    links : dict of str to int
        Links of each tracking that came with it; ``truth`` among them where ground truth was given.
    seconds : float
        How long it took.
    """

    dataset: str
    frames: int
    detections: int
    links: dict[str, int]
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Detections of one frame, not yet numbered; features are None for points."""

    frame: int
    label: NDArray[np.int64]
    position_px: NDArray[np.float64]
    area: NDArray[np.float64]
    features: Features | None = None
    properties: dict[str, NDArray[np.generic]] = field(default_factory=dict)


def ingest(
    path: Path,
    store: DuckDBStore,
    *,
    name: str | None = None,
    file_format: str = "auto",
    options: SourceOptions | None = None,
    progress: Progress | None = None,
) -> IngestReport:
    """Bring a movie into a store, and make the store where there is none.

    A killed ingest that is given again goes on where it stopped, and so does one that the store could not take (a full
    disk, a lock). A source that turns out to be wrong is taken out again, whole; a store that this call made goes with
    it.

    Parameters
    ----------
    path : Path
        Folder or file of the source.
    store : DuckDBStore
        Where it goes.
    name : str or None
        Name of the dataset; from the source if not given.
    file_format : str
        ``auto`` or the name of a format.
    options : SourceOptions
        What the user says about the source.
    progress : Progress
        Who is told how far it is.

    Raises
    ------
    FormatError
        If the source is not what its format promises.
    ConfigError
        If the options do not fit it, or the name cannot be one.
    StoreError
        If the store cannot take it.
    """
    started = time.perf_counter()
    options, progress = options or SourceOptions(), progress or Silent()
    if name is not None:
        require_name(name)
    source = open_source(path, file_format, options)
    for note in source.notes:
        progress.note(note)
    movie = Movie(
        name=name or source.name,
        n_frames=source.n_frames,
        ndim=source.ndim,
        shape_px=source.shape_px,
        scale_um=source.scale_um,
        interval_s=source.interval_s,
        source=str(path.resolve()),
    )
    params = {
        "source": movie.source,
        "format": file_format,
        "options": options.as_json(),
        "frames": movie.n_frames,
        "files": _fingerprint([path, options.truth, options.links, *options.images.values()]),
    }
    store.create()
    with ingesting(store, movie, params) as ingestion:
        try:
            links = _bring_in(source, store, ingestion, progress, guessed=file_format == "auto")
        except (FormatError, SchemaError, ConfigError) as error:
            remove(store, ingestion, str(error))
            with suppress(StoreError):  # the first error is the one to tell
                store.discard_if_empty()
            raise
    n_detections = store.count_detections(ingestion.chosen)
    if not n_detections:
        progress.note("there are no detections")
    with store.reading() as connection:
        nothing_kept = bool(options.keep) and not property_names(connection, ingestion.chosen)
        unknown = count_unknown_intensities(connection, ingestion.chosen) if options.images else {}
    if nothing_kept:
        progress.note("nothing is kept of the cells: the source tells nothing else of them")
    for channel, count in unknown.items():
        progress.note(f"channel {channel}: {count} cells cover pixels that are no number; their intensity is unknown")
    return IngestReport(movie.name, movie.n_frames, n_detections, links, time.perf_counter() - started)


def _fingerprint(paths: Sequence[Path | None]) -> str:
    """Return a digest of names, sizes and times of all files: what is gone on with has to be what was begun."""
    digest = hashlib.sha256()
    for path in paths:
        if path is not None:
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            for file in files:
                digest.update(f"{file}\0".encode("utf-8", "surrogateescape"))
                if file.exists():  # else a link to nowhere, which no reader follows
                    fact = file.stat()
                    digest.update(f"{fact.st_size}\0{fact.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _bring_in(
    source: Source, store: DuckDBStore, ingestion: Ingestion, progress: Progress, *, guessed: bool
) -> dict[str, int]:
    """Do the work of `ingest` inside the unfinished run; return the number of links of each tracking."""
    writers, first = _writers(source, store, ingestion)
    if ingestion.frames_done:
        progress.note(f"going on with an unfinished ingest at frame {ingestion.frames_done}")
    progress.start("frames", source.n_frames)
    progress.advance(first)
    pending: list[Measured] = []
    rows = 0
    last_commit = time.monotonic()
    for batch in source.frames(first):
        _write_pixels(writers, batch)
        if batch.frame >= ingestion.frames_done:
            pending.append(_measured(batch))
            rows += len(pending[-1].label)
            if batch.frame == 0:
                _look_at_labels(batch, pending[-1], progress, guessed=guessed)
        progress.advance()
        if pending and (rows >= BATCH_ROWS or time.monotonic() - last_commit > BATCH_S):
            _commit(pending, writers, ingestion, source.scale_um)
            rows, last_commit = 0, time.monotonic()
    if pending:
        _commit(pending, writers, ingestion, source.scale_um)
    detections = store.detections(ingestion.chosen)
    masks = writers.get(("masks", ""))
    edges, lineages, told = imported_solutions(
        source.lineages, detections, masks.read if masks else None, ingestion, progress
    )
    links = {info.name: len(table.edge) for info, table in lineages}
    progress.start("pixels", len(writers))
    refs = [writer.seal() for writer in writers.values()]
    ingestion.finish(refs, detections, edges, lineages, {"links": links, "trackings": told})
    return links


def _writers(
    source: Source, store: DuckDBStore, ingestion: Ingestion
) -> tuple[dict[tuple[str, str], ArrayWriter], int]:
    """Open a writer for each kind of pixels, and tell at which frame to go on.

    Pixels are written before the detections of their frame are committed. Where a killed ingest already gave an array
    its final name, all pixels are written again: the content is the same, so it ends under the same name.
    """
    if not source.n_frames:
        return {}, 0
    first = min(ingestion.frames_done, source.n_frames - 1)
    sample = next(iter(source.frames(first)))
    pixels = {("images", channel): image for channel, image in sample.images.items()}
    if sample.mask is not None:
        # one unsigned type for all frames of a movie, whatever each file uses
        wide = np.dtype(np.uint64 if sample.mask.dtype.itemsize == 8 else np.uint32)
        pixels["masks", ""] = np.empty(sample.mask.shape, wide)
    writers = {
        (kind, channel): ArrayWriter(
            store.path,
            ingestion.array_name(kind, channel),
            kind=kind,
            channel=channel,
            shape=(source.n_frames, *image.shape),
            dtype=image.dtype,
        )
        for (kind, channel), image in pixels.items()
    }
    return writers, first if all(w.continued for w in writers.values()) else 0


def _write_pixels(writers: dict[tuple[str, str], ArrayWriter], batch: FrameBatch) -> None:
    if batch.mask is not None:
        writers["masks", ""].write(batch.frame, batch.mask)
    for channel, image in batch.images.items():
        writers["images", channel].write(batch.frame, image)


def _measured(batch: FrameBatch) -> Measured:
    """Return the detections of a frame: measured in its mask, or as its table gives them."""
    points = batch.points
    if points is not None:
        return Measured(batch.frame, points.label, points.position_px, points.area, properties=points.properties)
    if batch.mask is None:
        raise SchemaError(f"frame {batch.frame} has neither a mask nor points")
    try:
        regions = measure(batch.mask, batch.images)
    except FormatError as error:
        raise FormatError(f"frame {batch.frame}: {error.message}", **error.details) from None
    return Measured(batch.frame, regions.label, regions.centroid_px, regions.area, regions.features)


def _look_at_labels(batch: FrameBatch, measured: Measured, progress: Progress, *, guessed: bool) -> None:
    """Refuse the first frame of a raw image where nobody said that it is a mask; note what else is no label mask.

    Raises
    ------
    FormatError
        If its labels are strewn like the grey values of an image, and the format was guessed.
    """
    if _is_strewn(measured):
        if guessed:
            raise FormatError(
                f"these are no label masks: {STREWN}",
                expected="0 for background and one number a cell, as a segmentation writes them",
                **{"try": "trackdb ingest MASKS --images IMAGES; --format masks takes them as they are"},
            )
        progress.note(f"{STREWN}: are these label masks?")
    elif batch.mask is not None and len(measured.label) == 1:
        pieces = ndimage.label(batch.mask)[1]
        if pieces >= PIECES:
            progress.note(
                f"the first frame has one label, in {pieces} pieces: are they cells, each wants a number of its own "
                "(scipy.ndimage.label, frame by frame)"
            )


def _is_strewn(measured: Measured) -> bool:
    """Tell whether labels are no regions: somebody gave an image, whose grey values are everywhere."""
    if measured.features is None:
        return False
    box = np.prod(measured.features.bbox_max - measured.features.bbox_min, axis=1)
    fill = (measured.area / box)[measured.area > 1]
    return len(fill) > 10 and bool(np.median(fill) < STREWN_FILL)


def _commit(
    pending: list[Measured],
    writers: dict[tuple[str, str], ArrayWriter],
    ingestion: Ingestion,
    scale_um: tuple[float, ...] | None,
) -> None:
    """Make the pixels of the pending frames safe, then commit their detections in one transaction."""
    for writer in writers.values():
        writer.sync()
    n_rows = [len(m.label) for m in pending]
    batch = Detections(
        id=np.arange(sum(n_rows)),
        frame=np.repeat([m.frame for m in pending], n_rows),
        position_px=np.concatenate([m.position_px for m in pending]),
        label=np.concatenate([m.label for m in pending]),
        area=np.concatenate([m.area for m in pending]),
        scale_um=scale_um,
    )
    measured = [m.features for m in pending if m.features is not None]
    ingestion.append(
        batch,
        Features.concatenate(measured) if measured else None,
        _properties_of(pending),
        pending[-1].frame + 1,
    )
    log.info("frames up to %d: %d detections", pending[-1].frame, len(batch))
    pending.clear()


def _properties_of(pending: list[Measured]) -> dict[str, NDArray[np.generic]]:
    """Return what the source tells of the cells of some frames; a frame may be silent about a name.

    Raises
    ------
    FormatError
        If a property is a number in one frame and a text in another.
    """
    names = dict.fromkeys(name for m in pending for name in m.properties)
    properties = {}
    for name in names:
        told = [m.properties.get(name) for m in pending]
        is_text = {values.dtype.kind not in "biuf" for values in told if values is not None and len(values)}
        if len(is_text) > 1:
            raise FormatError(
                f"property {name} is a number in one frame and a text in another, "
                f"between frames {pending[0].frame} and {pending[-1].frame}",
                expected="one of the two",
            )
        nothing: str | float = "" if is_text == {True} else np.nan
        silent = [np.full(len(m.label), nothing) for m in pending]
        properties[name] = np.concatenate(
            [quiet if values is None or not len(values) else values for values, quiet in zip(told, silent, strict=True)]
        )
    return properties
