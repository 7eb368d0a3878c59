"""Tracks in simple XML: lists of detections, one list a track.

Three dialects are read::

    TrackMate's "Export tracks to XML"     <Tracks spaceUnits frameInterval timeUnits> <particle> <detection t x y z>
    particle tracking challenge, ISBI 2012 <root> <TrackContestISBI2012> <particle> <detection t x y z>
    Icy's track manager                    <root> <trackgroup> <track id> <detection t x y z>, <linklist> <link from to>

Detections have no names there, so they are numbered from 0 in the order of the file.
"""

from __future__ import annotations

from array import array
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from ....errors import FormatError
from ...pixels.frames import MAX_FRAMES
from ..base import LabelLineage, Points
from ..calibration import calibrate, interval_of, to_pixels
from ..links import find_repeat, find_rows
from ..options import refuse_options
from ..points import point_source
from .attributes import NumberColumns, integers
from .stream import LARGEST_INTEGER, XmlStream, is_xml, root_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ..base import Source, SourceOptions

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]

DIALECTS = ("Tracks", "TrackContestISBI2012", "trackgroup")  # an element by which each is known
TRACKS = ("particle", "track")
PLACE = ("z", "y", "x")


def is_track_xml(path: Path) -> bool:
    """Tell whether a path is an XML file; what kinds there are is told by `open_track_xml`."""
    return is_xml(path) and root_of(path) != "TrackMate"


def open_track_xml(path: Path, options: SourceOptions) -> Source:
    """Open a list of tracks in XML.

    Raises
    ------
    FormatError
        If it is broken or of no dialect that is known, a detection has no place, a track is in a frame twice, or a
        link ties tracks that it cannot; with the line.
    ConfigError
        If the options do not fit it.
    """
    if not path.is_file():
        raise FormatError(f"{path} is no list of tracks", expected="an .xml file")
    refuse_options(path, "a list of tracks", options, "columns", "links", "truth", "sequence")
    reader = _Reader(path)
    reader.stream.read(reader.start)
    reader.require_dialect()
    frame, track, line = integers(reader.frame), integers(reader.track), integers(reader.line)
    columns = reader.numbers.columns()
    position = _positions(path, columns, line)
    calibration = calibrate(position.shape[1], reader.told.get("spaceUnits"), None, options.scale_um)
    position = to_pixels(position, calibration, lambda row: f"{path} line {line[row]}")
    interval_s, said = interval_of(reader.frame_step, reader.told.get("timeUnits"))
    properties: dict[str, NDArray[np.generic]] = {key: v for key, v in columns.items() if key not in PLACE}
    properties["track"] = integers(reader.track_id)[track].astype(np.float64)
    label = np.arange(len(frame))
    points = Points(label, position, np.full(len(frame), np.nan), properties)
    lineage = _lineage(path, reader, frame, track, line)
    return point_source(
        path.stem,
        options,
        frame,
        points,
        lineages=[lineage] if len(frame) else [],
        notes=[*calibration.notes, *said, *reader.notes()],
        scale_um=calibration.scale_um,
        interval_s=interval_s,
    )


class _Reader:
    """Hears of one element after the other."""

    def __init__(self, path: Path) -> None:
        self.stream = XmlStream(path)
        self.root: str | None = None
        self.told: dict[str, str] = {}  # of the root
        self.frame_step: float | None = None
        self.frame, self.track, self.line = array("q"), array("q"), array("q")
        self.numbers = NumberColumns(self.stream)
        self.track_id, self.track_line, self.claimed = array("q"), array("q"), array("q")
        self.link_from, self.link_to, self.link_line = array("q"), array("q"), array("q")
        self._known = False
        self._left_out: dict[str, bool] = {}  # whether an attribute of detections is no number

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self.root is None:
            self.root, self.told = name, attributes
            if "frameInterval" in attributes:
                self.frame_step = self.stream.number(attributes, "frameInterval")
        self._known |= name in DIALECTS
        if not self._known:
            return
        if name == "detection":
            self._detection(attributes)
        elif name in TRACKS:
            self._track(attributes)
        elif name == "link":
            for ends, key in ((self.link_from, "from"), (self.link_to, "to")):
                ends.append(self.stream.integer(attributes, key, lowest=-LARGEST_INTEGER))
            self.link_line.append(self.stream.line)

    def require_dialect(self) -> None:
        """Raise FormatError unless an element told which dialect this is."""
        if not self._known:
            raise FormatError(
                f"{self.stream.path} is XML of a kind that is not read",
                expected="<TrackMate>, or one of " + ", ".join(f"<{name}>" for name in DIALECTS),
                got=f"<{(self.root or '')[:40]}>",
            )

    def notes(self) -> list[str]:
        """Return what differs from what the file claims, and what is left out."""
        notes = []
        held = np.bincount(integers(self.track), minlength=len(self.track_id))
        claimed = integers(self.claimed)
        if n := int(np.count_nonzero((claimed >= 0) & (claimed != held))):
            notes.append(f"{n:,} of {len(held):,} tracks do not hold as many detections as they claim")
        if (n_tracks := self.told.get("nTracks")) not in (None, str(len(held))):
            notes.append(f"{self.stream.path.name} claims {n_tracks[:20]} tracks and holds {len(held):,}")
        if texts := [name for name, is_text in self._left_out.items() if is_text]:
            notes.append(f"attributes of detections that are no numbers are left out: {', '.join(texts[:4])}")
        return notes

    def _track(self, attributes: dict[str, str]) -> None:
        told = "id" in attributes
        number = self.stream.integer(attributes, "id", lowest=-LARGEST_INTEGER) if told else len(self.track_id)
        self.track_id.append(number)
        self.track_line.append(self.stream.line)
        self.claimed.append(self.stream.integer(attributes, "nSpots") if "nSpots" in attributes else -1)

    def _detection(self, attributes: dict[str, str]) -> None:
        if not self.track_id:
            raise FormatError(f"{self.stream.where}: a detection stands outside of a track", expected="<particle>")
        frame = self.stream.integer(attributes, "t")
        if frame >= MAX_FRAMES:
            raise self.stream.wrong("t", f"a frame number below {MAX_FRAMES:,}", attributes["t"])
        self.frame.append(frame)
        self.track.append(len(self.track_id) - 1)
        self.line.append(self.stream.line)
        self.numbers.append({name: text for name, text in attributes.items() if not self._is_text(name, text)})

    def _is_text(self, name: str, text: str) -> bool:
        """Tell whether an attribute is left out: its first value decides."""
        if name not in self._left_out:
            self._left_out[name] = name not in PLACE and not _is_number(text)
        return name == "t" or self._left_out[name]


def _is_number(text: str) -> bool:
    with suppress(ValueError):
        float(text)
        return True
    return False


def _positions(path: Path, columns: dict[str, Floats], line: Integers) -> Floats:
    """Return the positions, ``([z,] y, x)``: 2D where z is the same everywhere."""
    for axis in ("y", "x"):
        if axis not in columns and len(line):
            raise FormatError(f"{path} line {line[0]}: {axis} is missing", expected="a place for each detection")
    empty = np.empty(len(line))
    z = columns.get("z", empty)
    flat = "z" not in columns or bool(np.all(z == z[0]))
    return np.column_stack([columns.get(axis, empty) for axis in ("yx" if flat else "zyx")])


def _lineage(path: Path, reader: _Reader, frame: Integers, track: Integers, line: Integers) -> LabelLineage:
    """Tie the detections of each track in the order of their frames, and the tracks by the list of links."""
    if twice := find_repeat(track, frame):
        row, first = twice
        raise FormatError(
            f"{path} line {line[row]}: the track is in frame {frame[row]} already",
            expected="one detection of a track per frame",
            got=f"the other in line {line[first]}",
        )
    order = np.lexsort((frame, track))
    same = track[order[1:]] == track[order[:-1]]
    before, after = _links(path, reader, frame, track[order], order)
    return LabelLineage(
        name="tracks",
        origin=str(path),
        frame=frame,
        label=np.arange(len(frame)),
        source=np.concatenate([order[:-1][same], before]),
        target=np.concatenate([order[1:][same], after]),
        merges=True,
    )


def _links(
    path: Path, reader: _Reader, frame: Integers, sorted_track: Integers, order: Integers
) -> tuple[Integers, Integers]:
    """Return the last detection of the track that each link comes from, and the first of the one that it leads to."""
    ids = integers(reader.track_id)
    if not len(reader.link_line):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    if twice := find_repeat(ids):
        raise FormatError(
            f"{path} line {reader.track_line[twice[0]]}: track {ids[twice[0]]} is there already",
            expected="an id of its own for each track",
            got=f"the same in line {reader.track_line[twice[1]]}",
        )
    n_held = np.bincount(sorted_track, minlength=len(ids))
    ends = np.cumsum(n_held)
    rows = []
    for told, place in ((reader.link_from, ends - 1), (reader.link_to, ends - n_held)):
        wanted = integers(told)
        found = find_rows(ids, wanted)
        unknown = np.flatnonzero((found < 0) | (n_held[found] == 0))
        if len(unknown):
            raise FormatError(
                f"{path} line {reader.link_line[unknown[0]]}: a link to track {wanted[unknown[0]]}, which has no cells",
                expected="the id of a track",
            )
        rows.append(order[place[found]])
    before, after = rows
    late = np.flatnonzero(frame[after] <= frame[before])
    if len(late):
        link = late[0]
        raise FormatError(
            f"{path} line {reader.link_line[link]}: a track that ends in frame {frame[before[link]]} cannot lead to "
            f"one that begins in frame {frame[after[link]]}",
            expected="a later frame",
        )
    if twice := find_repeat(before, after):
        raise FormatError(
            f"{path} line {reader.link_line[twice[0]]}: the link is there already",
            got=f"the same in line {reader.link_line[twice[1]]}",
        )
    return before, after
