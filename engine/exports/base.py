"""What every export does: read the solution once, say what will be lost, write, and count."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

import numpy as np

from ...errors import FormatError
from ...storage.partials import remove_left_behind
from ..progress import Progress, Silent
from .tracking import Tracking, tracking_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from ...storage.catalogue import DetectionSet, SolutionInfo
    from ...storage.duckdb_store import DuckDBStore
    from ...storage.schema import Movie

MOST_NAMED: Final = 20
Held = Literal["gaps", "merges", "probabilities", "pins", "scale", "numbers", "texts", "masks"]


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export wrote.

    Parameters
    ----------
    format, path : str
        What, and where.
    files, links, tracks : int
        How many; 0 files for a dry run.
    notes : tuple of str
        What the format could not hold, and what was changed.
    seconds : float
        How long it took.
    """

    format: str
    path: str
    files: int
    links: int
    tracks: int
    notes: tuple[str, ...]
    seconds: float


class Exporter(Protocol):
    """A function that writes a solution in one format."""

    def __call__(
        self,
        store: DuckDBStore,
        chosen: DetectionSet,
        info: SolutionInfo,
        out: Path,
        *,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> ExportReport:
        """Write to `out`, whole or not at all; a dry run counts only.

        Raises
        ------
        FormatError
            If something stands at `out`, or the format cannot hold the solution.
        """
        ...


def exporter(
    format: str, lost: Callable[[Tracking, Path], Iterable[str]], write: Callable[[Tracking, Path], int]
) -> Exporter:
    """Make the exporter of a format that needs nothing but the tracking.

    Parameters
    ----------
    format : str
        Its name.
    lost : function
        Says, for a tracking and the place it goes to, what is lost or changed, a note each; may refuse.
    write : function
        Writes a tracking and returns the number of files.
    """

    def export(
        store: DuckDBStore,
        chosen: DetectionSet,
        info: SolutionInfo,
        out: Path,
        *,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> ExportReport:
        started = time.perf_counter()
        progress = progress or Silent()
        require_nothing_at(out)
        tracking = tracking_of(store, chosen, info)
        notes = (*lost(tracking, out), *note_unpinned(tracking))
        for note in notes:
            progress.note(note)
        n_files = 0
        if not dry_run:
            progress.start(f"writing {format}")
            n_files = write(tracking, out)
        seconds = time.perf_counter() - started
        return ExportReport(format, str(out), n_files, len(tracking.source), len(tracking.tracks), notes, seconds)

    return export


def require_nothing_at(out: Path) -> None:
    """Raise FormatError if something stands where an export is to appear; a link to nowhere counts.

    What a killed export left beside that place goes first.
    """
    remove_left_behind(out.parent, out.name)
    if out.exists() or out.is_symlink():
        raise FormatError(f"{out} exists already", **{"try": "another place for -o"})


def require_place_for(out: Path) -> None:
    """Raise FormatError, before anything is computed, if a file cannot be made at this place."""
    require_nothing_at(out)
    if not out.parent.is_dir():
        raise FormatError(
            f"{out} cannot be made: there is no folder {out.parent}",
            **{"try": f"mkdir -p {shlex.quote(str(out.parent))}"},
        )


def what_is_lost(tracking: Tracking, *held: Held) -> list[str]:
    """Say what a store knows of a tracking, and a format that holds no more than cells, links and `held` does not."""
    return [note for what, note in _all_there_is(tracking) if what not in held]


def _all_there_is(tracking: Tracking) -> Iterator[tuple[Held | None, str]]:
    """Yield a note for everything that some format cannot hold."""
    evidence, movie = tracking.evidence, tracking.movie
    if tracking.n_left_out:
        of = tracking.about["solution"]
        yield None, f"{counted(tracking.n_left_out, 'detection is', 'detections are')} not part of {of} and left out"
    if tracking.n_gaps:
        gaps = counted(tracking.n_gaps, "gap ends a track and begins", "gaps each end a track and begin")
        yield "gaps", f"{gaps} another, as its daughter: here a track has a cell in every frame"
    if tracking.n_merges:
        links = counted(tracking.n_merges, "link", "links")
        yield "merges", f"left out: {links} into cells that came of several, for here a cell has one mother"
    if evidence.posterior:
        yield "probabilities", f"the probabilities of posterior {evidence.posterior} are left out"
    if pins := int(np.count_nonzero(evidence.pinned_by)):
        yield "pins", f"left out that people pinned {counted(pins, 'link', 'links')}"
    for note in note_decided(tracking):
        yield "pins", note
    if known := _options(movie):
        yield "scale", f"voxel size and frame interval are lost: read it back with {known}"
    if names := names_of(tracking, text=False):
        yield "numbers", f"left out of what is known of the cells: {', '.join(names)}"
    if names := names_of(tracking, text=True):
        yield "texts", f"left out of what the source told of the cells: {', '.join(names)}"
    if tracking.has_masks:
        yield "masks", "the label masks are left out; trackdb export ctc, and geff with --masks, write them"


def counted(n: int, one: str, many: str) -> str:
    """Return ``1 link`` or ``1,903 links``, of the two words given."""
    return f"{n:,} {one if n == 1 else many}"


def note_decided(tracking: Tracking) -> list[str]:
    """Return the note on cells that people said to end or to begin; none for none."""
    n = int(np.count_nonzero(np.isin(tracking.cells.id, [*tracking.evidence.decided])))
    return [f"left out that people said of {counted(n, 'cell', 'cells')} that it ends or begins"] if n else []


def note_unpinned(tracking: Tracking) -> list[str]:
    """Return the notes on what people said that pins nothing here: of cells that are not there, or in dispute."""
    notes = []
    for what, said in (
        ("of cells that are not among these detections", tracking.without_place),
        ("that exclude each other", tracking.in_dispute),
    ):
        if said:
            more = f"; and {len(said) - MOST_NAMED} more" if len(said) > MOST_NAMED else ""
            notes.append(f"left out annotations {what}: {'; '.join(said[:MOST_NAMED])}{more}")
    return notes


def note_formulas(n: int) -> list[str]:
    """Return the note on `n` texts that a spreadsheet would run; none for none."""
    if not n:
        return []
    texts = counted(n, "text looks like a formula and gets", "texts look like formulas and get")
    return [f"{texts} an apostrophe before it; parquet keeps texts as they are"]


def _options(movie: Movie) -> str:
    """Return the options of an ingest that tell the scale of a movie; ``""`` where it is not known."""
    size = [f"--pixel-size {','.join(map(str, movie.scale_um))}"] if movie.scale_um else []
    return " ".join([*size, *([f"--frame-interval {movie.interval_s}"] if movie.interval_s else [])])


def names_of(tracking: Tracking, *, text: bool) -> list[str]:
    """Return the names of what is known of the cells in numbers, or in words."""
    return [name for name, column in tracking.extras().items() if (column.dtype.kind == "U") == text]
