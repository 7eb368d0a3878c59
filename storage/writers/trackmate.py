"""Write tracks as a TrackMate file, as TrackMate's own reader takes it; a stream, whatever its size.

What that reader asks for (TmXmlReader and IOUtils of TrackMate 7): a version of at least 2.1.0; declarations of spot,
edge and track features; spots whose every attribute but ``ID``, ``name`` and ``ROI_N_POINTS`` is a number as Java reads
it, with 32-bit ids; links between spots that were told before, each once; filtered tracks that are there; settings with
``ImageData``, detector, tracker, filters and analyzers.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...errors import SchemaError
from ..folders import appearing_file
from ..schema import require_equal_lengths
from .lines import at_rows, attributes, chunks, joined, texts, write_rows, xml, xml_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

VERSION = "7.11.1"  # of the TrackMate whose files look like this
LARGEST_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Feature:
    """How TrackMate shows a feature.

    Parameters
    ----------
    name, short_name : str
        In full, and as short as the head of a column.
    dimension : str
        What is measured: a name of TrackMate's ``Dimension``.
    is_int : bool
        Whether its values are whole numbers.
    """

    name: str
    short_name: str
    dimension: str = "NONE"
    is_int: bool = False


SPOT_FEATURES: Final = {
    "QUALITY": Feature("Quality", "Quality", "QUALITY"),
    "POSITION_X": Feature("X", "X", "POSITION"),
    "POSITION_Y": Feature("Y", "Y", "POSITION"),
    "POSITION_Z": Feature("Z", "Z", "POSITION"),
    "POSITION_T": Feature("T", "T", "TIME"),
    "FRAME": Feature("Frame", "Frame", is_int=True),
    "RADIUS": Feature("Radius", "R", "LENGTH"),
    "VISIBILITY": Feature("Visibility", "Visibility", is_int=True),
}
EDGE_FEATURES: Final = {
    "SPOT_SOURCE_ID": Feature("Source spot ID", "Source ID", is_int=True),
    "SPOT_TARGET_ID": Feature("Target spot ID", "Target ID", is_int=True),
    "EDGE_TIME": Feature("Edge time", "Edge T", "TIME"),
}
TRACK_FEATURES: Final = {
    "TRACK_INDEX": Feature("Track index", "Index", is_int=True),
    "TRACK_ID": Feature("Track ID", "ID", is_int=True),
    "NUMBER_SPOTS": Feature("Number of spots in track", "N spots", is_int=True),
    "NUMBER_GAPS": Feature("Number of gaps", "N gaps", is_int=True),
    "NUMBER_SPLITS": Feature("Number of split events", "N splits", is_int=True),
    "NUMBER_MERGES": Feature("Number of merge events", "N merges", is_int=True),
    "LONGEST_GAP": Feature("Longest gap", "Lgst gap", is_int=True),
    "TRACK_DURATION": Feature("Track duration", "Duration", "TIME"),
    "TRACK_START": Feature("Track start", "Track start", "TIME"),
    "TRACK_STOP": Feature("Track stop", "Track stop", "TIME"),
}


@dataclass(frozen=True, slots=True, eq=False)
class TrackMateModel:
    """What a TrackMate file holds: n spots in order of frames, m links, k tracks.

    Parameters
    ----------
    space_unit, time_unit : str
        Units of positions and times.
    spot : dict of str to (n,) array
        Features of the spots, `SPOT_FEATURES` among them.
    spot_id : (n,) int64
        Their numbers.
    spot_name : (n,) str
        Their names, ``""`` for none.
    edge : dict of str to (m,) array
        Features of the links, `EDGE_FEATURES` among them; the source is the earlier spot.
    edge_track : (m,) int64
        Row of the track of each link.
    track : dict of str to (k,) array
        Features of the tracks, `TRACK_FEATURES` among them; a track is all spots that links tie together.
    track_name : (k,) str
        Their names, ``""`` for none.
    declared : dict of str to Feature
        How features besides TrackMate's own are shown.
    image : dict of str to str, int or float
        Attributes of ``ImageData``.
    radius : float
        Radius of a spot where none is known.
    log : str
        What the reader of the file is told.
    """

    space_unit: str
    time_unit: str
    spot: Mapping[str, NDArray[Any]]
    spot_id: NDArray[np.int64]
    spot_name: NDArray[np.str_]
    edge: Mapping[str, NDArray[Any]]
    edge_track: NDArray[np.int64]
    track: Mapping[str, NDArray[Any]]
    track_name: NDArray[np.str_]
    declared: Mapping[str, Feature]
    image: Mapping[str, str | int | float]
    radius: float
    log: str

    def __post_init__(self) -> None:
        require_equal_lengths(self.spot, spot_id=self.spot_id, spot_name=self.spot_name)
        require_equal_lengths(self.edge, edge_track=self.edge_track)
        require_equal_lengths(self.track, track_name=self.track_name)
        for own, there in ((SPOT_FEATURES, self.spot), (EDGE_FEATURES, self.edge), (TRACK_FEATURES, self.track)):
            if missing := set(own) - set(there):
                raise SchemaError(f"TrackMate needs the feature {sorted(missing)[0]}")
        if np.any((self.spot_id < 0) | (self.spot_id > LARGEST_ID)):
            raise SchemaError(f"spot {self.spot_id.max()} has a number that TrackMate cannot hold")


def feature_key(name: str, taken: set[str]) -> str:
    """Return a name as an XML attribute can be called, and add it to those taken."""
    plain = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_") or "FEATURE"
    stem = plain if plain[0].isalpha() else f"F_{plain}"
    key, number = stem, 1
    while key in taken:
        number += 1
        key = f"{stem}_{number}"
    taken.add(key)
    return key


def write_trackmate(path: Path, model: TrackMateModel) -> None:
    """Write a TrackMate file; it appears when all of it is written."""
    with appearing_file(path, new=True) as partial, partial.open("wb") as stream:
        _say(stream, '<?xml version="1.0" encoding="UTF-8"?>', f'<TrackMate version="{VERSION}">')
        _say(stream, f"  <Log>{xml_text(model.log)}</Log>")
        _say(stream, f"  <Model{_inline(spatialunits=model.space_unit, timeunits=model.time_unit)}>")
        _say(stream, "    <FeatureDeclarations>")
        for tag, own, columns in (
            ("SpotFeatures", SPOT_FEATURES, model.spot),
            ("EdgeFeatures", EDGE_FEATURES, model.edge),
            ("TrackFeatures", TRACK_FEATURES, model.track),
        ):
            _declare(stream, tag, {key: own[key] if key in own else model.declared[key] for key in columns})
        _say(stream, "    </FeatureDeclarations>", f'    <AllSpots nspots="{len(model.spot_id)}">')
        _write_spots(stream, model)
        _say(stream, "    </AllSpots>", "    <AllTracks>")
        _write_tracks(stream, model)
        _say(stream, "    </AllTracks>", "    <FilteredTracks>")
        numbers = model.track["TRACK_ID"]
        for rows in chunks(len(numbers)):
            write_rows(stream, joined('      <TrackID TRACK_ID="', texts(numbers[rows]), '" />\n'))
        _say(stream, "    </FilteredTracks>", "  </Model>")
        _write_settings(stream, model)
        _say(stream, '  <GUIState state="ConfigureViews" />')
        _say(stream, f"  <DisplaySettings>{xml_text(json.dumps(DISPLAY))}</DisplaySettings>", "</TrackMate>")


def _say(stream: IO[bytes], *lines: str) -> None:
    stream.writelines(f"{line}\n".encode() for line in lines)


def _inline(**values: str | float) -> str:
    return "".join(f' {name}="{xml_text(str(value))}"' for name, value in values.items())


def _declare(stream: IO[bytes], tag: str, features: Mapping[str, Feature]) -> None:
    _say(stream, f"      <{tag}>")
    for key, f in features.items():
        told = _inline(feature=key, name=f.name, shortname=f.short_name, dimension=f.dimension)
        _say(stream, f'        <Feature{told} isint="{str(f.is_int).lower()}" />')
    _say(stream, f"      </{tag}>")


def _write_spots(stream: IO[bytes], model: TrackMateModel) -> None:
    """Write the spots, those of a frame in one element."""
    frame = model.spot["FRAME"].astype(np.int64)
    first = np.flatnonzero(np.diff(frame, prepend=-1))
    heads = joined('      <SpotsInFrame frame="', texts(frame[first]), '">\n')
    columns = {"ID": model.spot_id, "name": model.spot_name, **model.spot}
    _write_groups(stream, heads, first, "      </SpotsInFrame>\n", "        <Spot", columns)


def _write_tracks(stream: IO[bytes], model: TrackMateModel) -> None:
    """Write the links, those of a track in one element."""
    order = np.argsort(model.edge_track, kind="stable")
    first = np.flatnonzero(np.diff(model.edge_track[order], prepend=-1))
    rows = model.edge_track[order[first]]
    tracks = {name: column[rows] for name, column in model.track.items()}
    whole = slice(0, len(rows))
    name = pc.coalesce(xml(model.track_name[rows]), joined("Track_", texts(tracks["TRACK_ID"])))
    heads = joined('      <Track name="', name, '"', *attributes(tracks, whole), ">\n")
    columns = {name: column[order] for name, column in model.edge.items()}
    _write_groups(stream, heads, first, "      </Track>\n", "        <Edge", columns)


def _write_groups(
    stream: IO[bytes],
    heads: Any,
    first: NDArray[np.int64],
    foot: str,
    tag: str,
    columns: Mapping[str, NDArray[Any]],
) -> None:
    """Write rows as elements, with a head before the first row of each group and a foot behind the last one."""
    if not len(first):
        return
    feet = pa.array(["", *[foot] * (len(first) - 1)], pa.string())
    heads = joined(feet, heads)
    n = len(next(iter(columns.values())))
    for rows in chunks(n):
        write_rows(stream, joined(at_rows(heads, first, rows), tag, *attributes(columns, rows), " />\n"))
    stream.write(foot.encode())


def _write_settings(stream: IO[bytes], model: TrackMateModel) -> None:
    last = {axis: int(model.image[size]) - 1 for axis, size in zip("xyzt", IMAGE_SIZES, strict=True)}
    crop = {f"{axis}{end}": 0 if end == "start" else last[axis] for axis in "xyzt" for end in ("start", "end")}
    _say(
        stream,
        "  <Settings>",
        f"    <ImageData{_inline(**model.image)} />",
        f"    <BasicSettings{_inline(**crop)} />",
        f'    <DetectorSettings DETECTOR_NAME="MANUAL_DETECTOR" RADIUS="{model.radius}" />',
        '    <InitialSpotFilter feature="QUALITY" value="0.0" isabove="true" />',
        "    <SpotFilterCollection />",
        '    <TrackerSettings TRACKER_NAME="MANUAL_TRACKER" />',
        "    <TrackFilterCollection />",
        "    <AnalyzerCollection>",
        "      <SpotAnalyzers />",
        "      <EdgeAnalyzers />",
        "      <TrackAnalyzers />",
        "    </AnalyzerCollection>",
        "  </Settings>",
    )


IMAGE_SIZES = ("width", "height", "nslices", "nframes")
DISPLAY = {
    "name": "trackdb",
    "spotUniformColor": "204, 51, 204, 255",
    "spotColorByType": "TRACKS",
    "spotColorByFeature": "TRACK_INDEX",
    "spotDisplayRadius": 1.0,
    "spotDisplayedAsRoi": True,
    "spotMin": 0.0,
    "spotMax": 10.0,
    "spotShowName": False,
    "trackMin": 0.0,
    "trackMax": 10.0,
    "trackColorByType": "TRACKS",
    "trackColorByFeature": "TRACK_INDEX",
    "trackUniformColor": "204, 204, 51, 255",
    "undefinedValueColor": "0, 0, 0, 255",
    "missingValueColor": "89, 89, 89, 255",
    "highlightColor": "51, 230, 51, 255",
    "trackDisplayMode": "LOCAL",
    "colormap": "Jet",
    "limitZDrawingDepth": False,
    "drawingZDepth": 10.0,
    "fadeTracks": True,
    "fadeTrackRange": 30,
    "useAntialiasing": True,
    "spotVisible": True,
    "trackVisible": True,
    "font": {"name": "Arial", "style": 1, "size": 12, "pointSize": 12.0, "fontSerializedDataVersion": 1},
    "lineThickness": 1.0,
    "selectionLineThickness": 4.0,
    "trackschemeBackgroundColor1": "128, 128, 128, 255",
    "trackschemeBackgroundColor2": "192, 192, 192, 255",
    "trackschemeForegroundColor": "0, 0, 0, 255",
    "trackschemeDecorationColor": "0, 0, 0, 255",
    "trackschemeFillBox": False,
    "spotFilled": True,
    "spotTransparencyAlpha": 1.0,
}
"""How TrackMate draws the tracks when it opens the file; without it, it complains."""
