"""What a TrackMate or MaMuT file tells, read as a stream into columns.

The elements that matter, as `TmXmlKeys` of TrackMate names them::

    TrackMate > Model @spatialunits @timeunits
                  AllSpots @nspots > SpotsInFrame @frame > Spot @ID @name, features, @ROI_N_POINTS and its text
                  AllTracks > Track @TRACK_ID @name > Edge @SPOT_SOURCE_ID @SPOT_TARGET_ID
                  FilteredTracks > TrackID @TRACK_ID
                Settings > ImageData @pixelwidth @pixelheight @voxeldepth @timeinterval @nslices
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ....errors import FormatError
from ...pixels.frames import MAX_FRAMES
from ..calibration import LARGEST
from .attributes import NumberColumns, TextColumn, integers
from .stream import XmlStream

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]

NOT_FEATURES = ("ID", "name", "ROI_N_POINTS")
LINK_ENDS = ("SPOT_SOURCE_ID", "SPOT_TARGET_ID")
TRACK_IDENTITY = ("TRACK_ID", "name")


@dataclass(frozen=True, slots=True, eq=False)
class Spots:
    """The spots of a file, in its order.

    Parameters
    ----------
    id, frame, line : (n,) int64
        ID, frame of the element that holds the spot, and line.
    features : dict of str to (n,) float64
        Attributes that are numbers, NaN where a spot does not have one; positions are among them.
    area : (n,) float64
        Area of the polygon in squares of the file's unit, NaN where there is none.
    name : (n,) texts or None
        Names that are not made of the ID; None if there is no such name.
    """

    id: Integers
    frame: Integers
    line: Integers
    features: dict[str, Floats]
    area: Floats
    name: NDArray[np.generic] | None


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """The links of all tracks, in the order of the file.

    Parameters
    ----------
    source, target, track, line : (m,) int64
        IDs of the two spots, row of the track, and line.
    features : tuple of str
        What else the file tells of links.
    """

    source: Integers
    target: Integers
    track: Integers
    line: Integers
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class TrackList:
    """The tracks of a file, in its order.

    Parameters
    ----------
    id, line : (k,) int64
        TRACK_ID and line.
    name : TextColumn
        Name of each.
    features : tuple of str
        What else the file tells of tracks.
    visible : (v,) int64 or None
        TRACK_ID of those that passed TrackMate's filters; None where the file does not say.
    """

    id: Integers
    line: Integers
    name: TextColumn
    features: tuple[str, ...]
    visible: Integers | None


@dataclass(frozen=True, slots=True, eq=False)
class TrackMateFile:
    """All of it.

    Parameters
    ----------
    length_unit, time_unit : str or None
        As the model names them.
    n_spots : int or None
        Number of spots that the file claims.
    image : dict of str to float
        Numbers of the image: ``pixelwidth`` and others, where the file tells them.
    image_line : int
        Line where it does.
    """

    spots: Spots
    edges: Edges
    tracks: TrackList
    length_unit: str | None
    time_unit: str | None
    n_spots: int | None
    image: dict[str, float]
    image_line: int


def read_trackmate(path: Path) -> TrackMateFile:
    """Read a file from start to end, in memory that grows with its spots alone.

    Raises
    ------
    FormatError
        If it is no TrackMate file, broken, or a number is none; with the line.
    """
    reader = _Reader(path)
    reader.stream.read(reader.start, reader.end)
    return reader.told()


class _Reader:
    """Hears of one element after the other."""

    IMAGE = ("pixelwidth", "pixelheight", "voxeldepth", "timeinterval", "nslices")

    def __init__(self, path: Path) -> None:
        self.stream = XmlStream(path)
        self._starts = {
            "Model": self._model,
            "AllSpots": self._all_spots,
            "SpotsInFrame": self._frame,
            "Spot": self._spot,
            "Track": self._track,
            "Edge": self._edge,
            "FilteredTracks": self._filtered,
            "TrackID": self._visible,
            "ImageData": self._image,
        }
        self._ends = {"SpotsInFrame": self._frame_ends, "Spot": self._spot_ends, "Track": self._track_ends}
        self._root: str | None = None
        self._units: dict[str, str] | None = None
        self._n_spots: int | None = None
        self._features = NumberColumns(self.stream)
        self._spot_id, self._spot_frame, self._spot_line = array("q"), array("q"), array("q")
        self._spot_name, self._area = TextColumn(), array("d")
        self._frame_now: int | None = None
        self._polygon: list[str] | None = None
        self._n_points = 0
        self._track_id, self._track_line, self._track_name = array("q"), array("q"), TextColumn()
        self._track_features: dict[str, None] = {}
        self._in_track = False
        self._source, self._target = array("q"), array("q")
        self._edge_track, self._edge_line = array("q"), array("q")
        self._edge_features: dict[str, None] = {}
        self._visible_id: array[int] | None = None
        self._image_numbers: dict[str, float] = {}
        self._image_line = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self._root is None:
            self._root = name
            if name != "TrackMate":
                raise FormatError(
                    f"{self.stream.path} is no TrackMate file", expected="<TrackMate>", got=f"<{name[:40]}>"
                )
        if hear := self._starts.get(name):
            hear(attributes)

    def end(self, name: str) -> None:
        if hear := self._ends.get(name):
            hear()

    def told(self) -> TrackMateFile:
        if self._units is None:
            raise FormatError(f"{self.stream.path} holds no spots", expected="<Model> inside of <TrackMate>")
        return TrackMateFile(
            spots=Spots(
                id=integers(self._spot_id),
                frame=integers(self._spot_frame),
                line=integers(self._spot_line),
                features=self._features.columns(),
                area=np.array(self._area, dtype=np.float64),
                name=self._spot_name.column(),
            ),
            edges=Edges(
                source=integers(self._source),
                target=integers(self._target),
                track=integers(self._edge_track),
                line=integers(self._edge_line),
                features=tuple(self._edge_features),
            ),
            tracks=TrackList(
                id=integers(self._track_id),
                line=integers(self._track_line),
                name=self._track_name,
                features=tuple(self._track_features),
                visible=None if self._visible_id is None else integers(self._visible_id),
            ),
            length_unit=self._units.get("spatialunits"),
            time_unit=self._units.get("timeunits"),
            n_spots=self._n_spots,
            image=self._image_numbers,
            image_line=self._image_line,
        )

    def _model(self, attributes: dict[str, str]) -> None:
        self._units = attributes

    def _all_spots(self, attributes: dict[str, str]) -> None:
        if "nspots" in attributes:
            self._n_spots = self.stream.integer(attributes, "nspots")

    def _frame(self, attributes: dict[str, str]) -> None:
        self._frame_now = self.stream.integer(attributes, "frame")
        if self._frame_now >= MAX_FRAMES:
            raise self.stream.wrong("frame", f"a frame number below {MAX_FRAMES:,}", attributes["frame"])

    def _frame_ends(self) -> None:
        self._frame_now = None

    def _spot(self, attributes: dict[str, str]) -> None:
        if self._frame_now is None:
            raise FormatError(f"{self.stream.where}: a Spot stands outside of a frame", expected="<SpotsInFrame>")
        number = self.stream.integer(attributes, "ID")
        self._spot_id.append(number)
        self._spot_frame.append(self._frame_now)
        self._spot_line.append(self.stream.line)
        name = attributes.get("name", "")
        self._spot_name.append("" if name == f"ID{number}" else name)
        self._n_points = self.stream.integer(attributes, "ROI_N_POINTS") if "ROI_N_POINTS" in attributes else 0
        for known in NOT_FEATURES:
            attributes.pop(known, None)
        self._features.append(attributes)
        if self._n_points > 2:  # TrackMate takes fewer for none
            self._polygon = []
            self.stream.listen(self._polygon.append)

    def _spot_ends(self) -> None:
        area = math.nan
        if self._polygon is not None:
            self.stream.listen(None)
            area = self._polygon_area("".join(self._polygon))
            self._polygon = None
        self._area.append(area)

    def _polygon_area(self, text: str) -> float:
        words = text.split()
        try:
            corner = np.array(words, dtype=np.float64)
        except ValueError:
            corner = np.array([np.nan])
        if len(corner) != 2 * self._n_points or not np.all(np.abs(corner) < LARGEST):
            raise FormatError(
                f"{self.stream.where}: the polygon of spot {self._spot_id[-1]} is broken",
                expected=f"x y of {self._n_points} corners",
                got=f"{len(words)} words",
            )
        x, y = corner[::2], corner[1::2]
        return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2

    def _track(self, attributes: dict[str, str]) -> None:
        self._track_id.append(self.stream.integer(attributes, "TRACK_ID"))
        self._track_line.append(self.stream.line)
        self._track_name.append(attributes.get("name", ""))
        self._track_features.update(dict.fromkeys(key for key in attributes if key not in TRACK_IDENTITY))
        self._in_track = True

    def _track_ends(self) -> None:
        self._in_track = False

    def _edge(self, attributes: dict[str, str]) -> None:
        if not self._in_track:
            raise FormatError(f"{self.stream.where}: an Edge stands outside of a track", expected="<Track>")
        self._source.append(self.stream.integer(attributes, "SPOT_SOURCE_ID"))
        self._target.append(self.stream.integer(attributes, "SPOT_TARGET_ID"))
        self._edge_track.append(len(self._track_id) - 1)
        self._edge_line.append(self.stream.line)
        self._edge_features.update(dict.fromkeys(key for key in attributes if key not in LINK_ENDS))

    def _filtered(self, _: dict[str, str]) -> None:
        if self._visible_id is None:
            self._visible_id = array("q")

    def _visible(self, attributes: dict[str, str]) -> None:
        if self._visible_id is None:
            raise FormatError(f"{self.stream.where}: a TrackID stands outside of its list", expected="<FilteredTracks>")
        self._visible_id.append(self.stream.integer(attributes, "TRACK_ID"))

    def _image(self, attributes: dict[str, str]) -> None:
        self._image_line = self.stream.line
        self._image_numbers = {key: self.stream.number(attributes, key) for key in self.IMAGE if key in attributes}
