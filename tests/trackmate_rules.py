"""What TrackMate's own reader asks of a file, and what it makes of it.

Told by TrackMate 7's `TmXmlReader`, `IOUtils` and `LoadTrackMatePlugIn`: whatever would make it stop, throw, or say
that reading was not ok fails here. The one exception is the image, which is none of ours: it says that it finds none.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

DIMENSIONS = """NONE QUALITY COST INTENSITY INTENSITY_SQUARED POSITION VELOCITY LENGTH AREA VOLUME TIME ANGLE RATE
    ANGLE_RATE STRING"""
DISPLAY = """\
    name spotUniformColor spotColorByType spotColorByFeature spotDisplayRadius spotDisplayedAsRoi spotMin spotMax
    spotShowName trackMin trackMax trackColorByType trackColorByFeature trackUniformColor undefinedValueColor
    missingValueColor highlightColor trackDisplayMode colormap limitZDrawingDepth drawingZDepth fadeTracks
    fadeTrackRange useAntialiasing spotVisible trackVisible font lineThickness selectionLineThickness
    trackschemeBackgroundColor1 trackschemeBackgroundColor2 trackschemeForegroundColor
    trackschemeDecorationColor trackschemeFillBox spotFilled spotTransparencyAlpha"""
JAVA_INT = re.compile(r"[+-]?\d{1,10}")
JAVA_DOUBLE = re.compile(r"[+-]?(NaN|Infinity|(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)")


@dataclass
class Accepted:
    """What TrackMate holds after reading."""

    units: tuple[str, str]
    spots: dict[int, dict]
    edges: dict[tuple[int, int], dict]
    tracks: dict[int, dict]
    image: dict


def java_int(element, name):
    """Read a 32-bit number as Java does."""
    text = element.attrib[name]
    assert JAVA_INT.fullmatch(text), f"{element.tag} {name}={text!r} is no int"
    assert -(2**31) <= int(text) < 2**31, f"{element.tag} {name}={text} does not fit 32 bits"
    return int(text)


def java_double(element, name):
    """Read a number as Java does: Python's nan and inf are none."""
    text = element.attrib[name]
    assert JAVA_DOUBLE.fullmatch(text), f"{element.tag} {name}={text!r} is no double"
    return float(text.replace("Infinity", "inf"))


def accept(path: Path) -> Accepted:
    """Read a file as TrackMate does."""
    root = ElementTree.parse(path).getroot()
    assert root.tag == "TrackMate"
    assert tuple(map(int, root.attrib["version"].split("."))) >= (2, 1, 0)
    assert root.find("Log") is not None
    model = root.find("Model")
    units = model.attrib["spatialunits"], model.attrib["timeunits"]
    declared = {what: _declared(model, what) for what in ("SpotFeatures", "EdgeFeatures", "TrackFeatures")}
    spots = _spots(model, declared["SpotFeatures"])
    edges, tracks = _tracks(model, spots, declared["EdgeFeatures"], declared["TrackFeatures"])
    filtered = [java_int(e, "TRACK_ID") for e in model.find("FilteredTracks").findall("TrackID")]
    assert set(filtered) <= set(tracks)
    assert set(filtered) == set(tracks), "a track that is not filtered in is not shown"
    image = _settings(root)
    assert root.find("GUIState").attrib["state"] == "ConfigureViews"
    assert sorted(json.loads(root.find("DisplaySettings").text)) == sorted(DISPLAY.split())
    return Accepted(units, spots, edges, tracks, image)


def _declared(model, what):
    """Return whether each feature is an int."""
    declared = {}
    for feature in model.find("FeatureDeclarations").find(what).findall("Feature"):
        key = feature.attrib["feature"]
        assert feature.attrib["name"]
        assert feature.attrib["shortname"]
        assert feature.attrib["dimension"] in DIMENSIONS.split()
        assert feature.attrib["isint"] in ("true", "false")
        assert key not in declared
        declared[key] = feature.attrib["isint"] == "true"
    return declared


def _spots(model, declared):
    collection = model.find("AllSpots")
    spots = {}
    for frame in collection.findall("SpotsInFrame"):
        number = java_int(frame, "frame")
        for spot in frame.findall("Spot"):
            features = {key: java_double(spot, key) for key in spot.attrib if key not in ("ID", "name", "ROI_N_POINTS")}
            assert set(features) <= set(declared), "a feature is not declared"
            assert features["FRAME"] == number
            assert {"POSITION_X", "POSITION_Y", "POSITION_Z", "POSITION_T", "RADIUS", "QUALITY"} <= set(features)
            key = java_int(spot, "ID")
            assert key not in spots
            spots[key] = {**features, "name": spot.attrib.get("name", "")}
    assert java_int(collection, "nspots") == len(spots)
    numbers = [java_int(frame, "frame") for frame in collection.findall("SpotsInFrame")]
    assert numbers == sorted(set(numbers)), "a frame that comes twice replaces the first"
    return spots


def _tracks(model, spots, edge_features, track_features):
    edges, tracks = {}, {}
    of_spot = {}
    for track in model.find("AllTracks").findall("Track"):
        number = java_int(track, "TRACK_ID")
        assert number not in tracks
        features = {key: java_double(track, key) for key in track.attrib if key != "name"}
        assert set(features) <= set(track_features)
        members = set()
        for edge in track.findall("Edge"):
            ends = java_int(edge, "SPOT_SOURCE_ID"), java_int(edge, "SPOT_TARGET_ID")
            assert all(end in spots for end in ends), "unknown spot"
            assert ends[0] != ends[1]
            assert ends not in edges, "bad edge: the graph is simple"
            assert ends[::-1] not in edges, "bad edge: the graph is simple"
            told = set(edge.attrib)
            assert told <= set(edge_features)
            edges[ends] = {k: (java_int if edge_features[k] else java_double)(edge, k) for k in told}
            members |= set(ends)
        assert members, "a track has links"
        for spot in members:
            assert of_spot.setdefault(spot, number) == number, "tracks that share a spot are one"
        assert features["NUMBER_SPOTS"] == len(members)
        tracks[number] = {**features, "name": track.attrib["name"]}
    _require_connected(edges, of_spot)
    return edges, tracks


def _require_connected(edges, of_spot):
    """Each track is one component: TrackMate would part them."""
    import networkx as nx

    components = nx.connected_components(nx.Graph(edges.keys()))
    counts = Counter(of_spot[next(iter(component))] for component in components)
    assert all(count == 1 for count in counts.values())


def _settings(root):
    settings = root.find("Settings")
    image = settings.find("ImageData")
    for key in ("width", "height", "nslices", "nframes"):
        assert java_int(image, key) >= 1
    for key in ("pixelwidth", "pixelheight", "voxeldepth", "timeinterval"):
        assert java_double(image, key) > 0
    for key in ("xstart", "xend", "ystart", "yend", "zstart", "zend", "tstart", "tend"):
        java_int(settings.find("BasicSettings"), key)
    detector = settings.find("DetectorSettings")
    assert detector.attrib["DETECTOR_NAME"] == "MANUAL_DETECTOR"
    assert java_double(detector, "RADIUS") > 0
    assert settings.find("TrackerSettings").attrib["TRACKER_NAME"] == "MANUAL_TRACKER"
    first = settings.find("InitialSpotFilter")
    assert first.attrib["feature"] == "QUALITY"
    assert first.attrib["isabove"] in ("true", "false")
    java_double(first, "value")
    for tag in ("SpotFilterCollection", "TrackFilterCollection"):
        assert settings.find(tag) is not None
    for tag in ("SpotAnalyzers", "EdgeAnalyzers", "TrackAnalyzers"):
        assert settings.find("AnalyzerCollection").find(tag) is not None
    return dict(image.attrib)
