"""What every importer hands to the engine: frames in order, one in memory at a time, and lineages over labels.

A format is a function ``open_<format>(path, options) -> Source``. Opening reads names and headers and refuses what is
wrong at once; ``frames()`` then reads one frame after the other. Nothing here measures: label masks go to the engine
as they are.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ...errors import FormatError, SchemaError
from ..schema import require_equal_lengths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What a user may say about a source; None and empty leave it to the source.

    Parameters
    ----------
    sequence : str or None
        Which one, where a source holds several: the sequence (``"01"``) of a Cell Tracking Challenge data set or of a
        table, or the labels of an OME-Zarr image.
    images : dict of str to Path
        Intensity images for each channel; see `open_channels` for those that hold several.
    truth : Path or None
        Ground truth to read beside the detections.
    links : Path or None
        A second table of links between the ids of a table of points.
    columns : dict of str to str
        Column of the user's table for each of our names (``t y x z id parent label track area source target``).
    frames : slice
        Frames to read, as ``start:stop:step`` over the source's own numbering; what is read is numbered again from 0
        if `start` or `step` is given.
    scale_um : tuple of float or None
        Voxel size ``([z,] y, x)`` in micrometres.
    interval_s : float or None
        Seconds from one frame of the source to the next, before any `step`.
    keep : tuple of str
        Further columns of the user's table to keep as properties of the cells; ``("all",)`` keeps every one.
    alone : bool
        Leave out what lies beside the path: images, and the truth of a result.
    """

    sequence: str | None = None
    images: dict[str, Path] = field(default_factory=dict)
    truth: Path | None = None
    links: Path | None = None
    columns: dict[str, str] = field(default_factory=dict)
    frames: slice = field(default_factory=lambda: slice(None))
    scale_um: tuple[float, ...] | None = None
    interval_s: float | None = None
    keep: tuple[str, ...] = ()
    alone: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return what the user said as JSON can hold it."""
        frames = self.frames
        return {
            **{key: str(value) if isinstance(value, Path) else value for key, value in asdict(self).items()},
            "images": {channel: str(folder) for channel, folder in self.images.items()},
            "frames": [frames.start, frames.stop, frames.step],
        }


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Cells of one frame that come as points.

    Parameters
    ----------
    label : (n,) int64
        Id in the user's table, or label; unique within the frame.
    position_px : (n, 2) or (n, 3) float64
        Centres in pixels as measured, axes ``([z,] y, x)``.
    area : (n,) float64
        Pixels of each, NaN where not known.
    properties : dict of str to (n,) array
        What else the source tells of each, by the source's own names: float64 with NaN, or strings with ``""``, where
        it tells nothing.
    """

    label: NDArray[np.int64]
    position_px: NDArray[np.float64]
    area: NDArray[np.float64]
    properties: dict[str, NDArray[np.generic]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_equal_lengths(label=self.label, position_px=self.position_px, area=self.area)
        require_equal_lengths(self.properties, label=self.label)

    def take(self, rows: NDArray[np.int64] | slice) -> Points:
        """Return the cells at `rows`."""
        return Points(
            self.label[rows],
            self.position_px[rows],
            self.area[rows],
            {name: values[rows] for name, values in self.properties.items()},
        )


@dataclass(frozen=True, slots=True, eq=False)
class FrameBatch:
    """One frame of a source.

    Parameters
    ----------
    frame : int
        Its number, from 0.
    mask : ([z,] y, x) integer array or None
        Label of each pixel, 0 for background.
    points : Points or None
        Its cells where the source is a table; exactly one of `mask` and `points` is given.
    images : dict of str to ([z,] y, x) array
        Intensities of each channel.
    """

    frame: int
    mask: NDArray[np.integer] | None = None
    points: Points | None = None
    images: dict[str, NDArray[np.generic]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.mask is None) == (self.points is None):
            raise SchemaError(f"frame {self.frame} needs a mask or points, and not both")


@dataclass(frozen=True, slots=True, eq=False)
class LabelLineage:
    """A tracking told in labels: a cell is named by its frame and its label there.

    Parameters
    ----------
    name : str
        Name of the solution that it becomes: ``truth`` for ground truth.
    origin : str
        File that told it, for error messages.
    frame, label : (n,) int64
        The cells it speaks of.
    source, target : (m,) int64
        Rows of the cells that each link ties; the source is the earlier one.
    complete : bool
        True where the format promises that every detection is one of these cells.
    masks : tuple of Path
        Where the labels are not those of the detections: the label mask of each frame, to be matched by overlap.
    merges : bool
        True where the format can say that cells merge: a cell may have several mothers then.
    by_tracklet : bool
        True where a label names a tracklet: a link from one label to another leads to a daughter, if to an only one.
    """

    name: str
    origin: str
    frame: NDArray[np.int64]
    label: NDArray[np.int64]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    complete: bool = False
    masks: tuple[Path, ...] = ()
    merges: bool = False
    by_tracklet: bool = False

    def __post_init__(self) -> None:
        require_equal_lengths(frame=self.frame, label=self.label)
        require_equal_lengths(source=self.source, target=self.target)
        backward = np.flatnonzero(self.frame[self.target] <= self.frame[self.source])
        if len(backward):
            a, b = self.source[backward[0]], self.target[backward[0]]
            raise FormatError(
                f"{self.origin}: a link runs from frame {self.frame[a]} (label {self.label[a]}) "
                f"to frame {self.frame[b]} (label {self.label[b]})",
                expected="a later frame",
            )


class Source(Protocol):
    """A movie that has been opened for reading."""

    name: str  # proposed name of the dataset
    n_frames: int
    ndim: int
    shape_px: tuple[int, ...] | None
    scale_um: tuple[float, ...] | None  # from the user, else from metadata
    interval_s: float | None  # between the frames that are read
    notes: tuple[str, ...]  # what the user should know: where detections come from, frames that are empty
    lineages: tuple[LabelLineage, ...]

    def frames(self, first: int = 0) -> Iterator[FrameBatch]:
        """Read the frames from number `first` on, in order, one in memory at a time.

        Raises
        ------
        FormatError
            If a frame cannot be read, or is not what the first one promised.
        """
        ...
