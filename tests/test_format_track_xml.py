"""Reading lists of tracks in XML: TrackMate's export, the ISBI challenge, Icy; and what is refused with its line."""

import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest

from trackdb.errors import ConfigError, FormatError
from trackdb.storage.formats import SourceOptions, detect, open_source

from .graph_files import LINKS, SPOTS, chains, ids_by_place, links_by_place, write_icy, write_particles

WITHIN = {pair for path in chains() for pair in pairwise(path)}


def refused(path, message, **options):
    with pytest.raises(FormatError, match=message):
        open_source(path, options=SourceOptions(**options))


def test_an_export_of_trackmate_gives_points_and_their_tracks(tmp_path):
    source = open_source(write_particles(tmp_path / "a.xml"))
    assert detect(tmp_path / "a.xml") == "track_xml"
    assert (source.name, source.n_frames, source.ndim, source.scale_um, source.interval_s) == ("a", 5, 2, None, 2.0)
    assert sorted(ids_by_place(source).values()) == sorted(SPOTS)
    assert links_by_place(source) == WITHIN
    (lineage,) = source.lineages
    assert (lineage.name, lineage.merges, len(lineage.frame)) == ("tracks", True, len(SPOTS))


def test_detections_are_numbered_in_the_order_of_the_file_and_know_their_track(tmp_path):
    source = open_source(write_particles(tmp_path / "a.xml"))
    spot = ids_by_place(source)
    order = [spot for path in chains() for spot in path]
    assert {label: spot[frame, label] for frame, label in spot} == dict(enumerate(order))
    track = {
        int(k): t for b in source.frames() for k, t in zip(b.points.label, b.points.properties["track"], strict=True)
    }
    assert [track[k] for k in range(len(order))] == [n for n, path in enumerate(chains()) for _ in path]


def test_the_challenge_tells_no_units(tmp_path):
    source = open_source(write_particles(tmp_path / "a.xml", root="root"))
    assert links_by_place(source) == WITHIN
    assert (source.scale_um, source.interval_s) == (None, None)
    assert "no unit of length is told: positions are taken as pixels, the voxel size is unknown" in source.notes


def test_links_between_tracks_of_icy_are_splits_and_merges(tmp_path):
    source = open_source(write_icy(tmp_path / "a.xml"))
    assert links_by_place(source) == LINKS
    assert links_by_place(open_source(write_icy(tmp_path / "b.xml", links=[]))) == WITHIN


def test_positions_in_micrometres_become_pixels(tmp_path):
    path = write_particles(tmp_path / "a.xml", attributes='spaceUnits="mm"')
    source = open_source(path, options=SourceOptions(scale_um=(500.0, 250.0)))
    assert source.scale_um == (500.0, 250.0)
    frame = next(b for b in source.frames() if b.frame == 3).points
    assert sorted(frame.position_px.tolist())[0] == pytest.approx([8 / 0.5, 26 / 0.25])
    alone = open_source(path)
    assert alone.scale_um == (1.0, 1.0)
    assert any("positions are in mm and no pixel size is told: one pixel is taken for 1 um" in n for n in alone.notes)


def test_a_track_that_climbs_is_3d(tmp_path):
    path = write_particles(tmp_path / "a.xml")
    path.write_text(path.read_text().replace('z="0.0"', 'z="3.5"', 1))
    source = open_source(path)
    assert source.ndim == 3
    assert next(source.frames()).points.position_px[0].tolist() == [3.5, 10, 20]


def test_claims_that_do_not_hold_and_what_has_no_room_are_told(tmp_path):
    path = write_particles(tmp_path / "a.xml")
    text = path.read_text().replace('nTracks="', 'nTracks="7').replace('nSpots="2"', 'nSpots="9"', 1)
    path.write_text(text.replace("<detection", '<detection type="1" classname="plugins.Spot"'))
    source = open_source(path)
    n = len(chains())
    assert f"1 of {n} tracks do not hold as many detections as they claim" in source.notes
    assert f"a.xml claims 7{n} tracks and holds {n}" in source.notes
    assert "attributes of detections that are no numbers are left out: classname" in source.notes
    assert next(source.frames()).points.properties["type"].tolist() == [1] * 5


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('t="1"', 't="0"', "line 5: the track is in frame 0 already; .* the other in line 4"),
        ('t="1"', 't="-1"', "line 5: t is wrong; expected: a whole number of at least 0; got: '-1'"),
        ('t="1"', 't="1.5"', "line 5: t is wrong"),
        ('t="1"', 't="1000000"', "line 5: t is wrong; expected: a frame number below 1,000,000"),
        (' t="1"', "", "line 5: t is wrong; .* got: nothing"),
        ('x="22"', 'x="a"', "line 5: x is wrong; expected: a number; got: 'a'"),
        (' x="22"', "", "line 5: a cell has no place in the image"),
        ('x="22"', 'x="nan"', "line 5: a cell has no place in the image"),
        ('spaceUnits="pixel" frameInterval="2.0"', 'frameInterval="two"', "line 2: frameInterval is wrong"),
        ('nSpots="2"', 'nSpots="two"', "line 3: nSpots is wrong"),
        ("<Tracks", "<!DOCTYPE a []><Tracks", "line 2 declares a document type"),
        ("</Tracks>", "", "is not well-formed XML; got: no element found"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path, old, new, message):
    path = write_particles(tmp_path / "a.xml")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    refused(path, message)


@pytest.mark.parametrize(
    ("links", "message"),
    [
        ([(10, 99)], r"line 45: a link to track 99, which has no cells"),
        ([(12, 10)], r"line 45: a track that ends in frame 3 cannot lead to one that begins in frame 0"),
        ([(40, 10)], r"line 45: a track that ends in frame 0 cannot lead to one that begins in frame 0"),
        ([(40, 18), (40, 18)], r"line 46: the link is there already; got: the same in line 45"),
        ([(40, "x")], r"line 45: to is wrong"),
    ],
)
def test_links_that_cannot_be_are_refused(tmp_path, links, message):
    path = write_icy(tmp_path / "a.xml", links=links)
    line = next(n for n, text in enumerate(path.read_text().splitlines(), start=1) if "<link " in text)
    refused(path, message.replace("45", str(line)).replace("46", str(line + 1)))


def test_tracks_of_one_id_cannot_be_linked(tmp_path):
    path = write_icy(tmp_path / "a.xml")
    path.write_text(path.read_text().replace('<track id="18"', '<track id="10"'))
    refused(path, "track 10 is there already; expected: an id of its own for each track")


def test_options_of_other_formats_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="--columns says nothing about a list of tracks"):
        open_source(write_particles(tmp_path / "a.xml"), options=SourceOptions(columns={"t": "frame"}))


def test_foreign_xml_is_refused(tmp_path):
    path = tmp_path / "a.xml"
    for text, message in (
        ("<SpimData><particle/></SpimData>", "a.xml is XML of a kind that is not read; .* got: <SpimData>"),
        ("<root><particle/></root>", "is XML of a kind that is not read"),
        ("", "line 1 is not well-formed XML; got: no element found"),
        ("no xml", "line 1 is not well-formed XML; got: syntax error"),
        ("<Tracks><detection/></Tracks>", "line 1: a detection stands outside of a track"),
        ("<Tracks><particle><detection t='0' x='1'/></particle></Tracks>", "line 1: y is missing"),
    ):
        path.write_text(text)
        refused(path, message)
    with pytest.raises(FormatError, match="is no list of tracks"):
        open_source(tmp_path, "track_xml")


def test_a_list_without_tracks_is_an_empty_movie(tmp_path):
    (tmp_path / "a.xml").write_text('<Tracks nTracks="0"/>')
    source = open_source(tmp_path / "a.xml")
    assert (source.n_frames, source.lineages) == (0, ())


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "tracks", "detections", "links"),
    [
        ("trackmate_xml_eslardet/FakeTracks2.xml", 2, 52, 50),
        ("stracking_io/FakeTracks_ISBI.xml", 6, 156, 150),
        ("stracking_io/FakeTracks_Icy.xml", 16, 237, 232),
    ],
)
def test_real_files_hold_what_a_reader_that_builds_the_tree_finds(name, tracks, detections, links, data_dir):
    path = data_dir / "format_fixtures" / name
    source = open_source(path)
    root = ET.parse(path).getroot()
    lists = [e for e in root.iter() if e.tag in ("particle", "track")]
    told = [(int(d.get("t")), float(d.get("y")), float(d.get("x")), n) for n, e in enumerate(lists) for d in e]
    found = {
        int(label): (b.frame, *place)
        for b in source.frames()
        for label, place in zip(b.points.label, b.points.position_px.tolist(), strict=True)
    }
    assert [found[k] for k in sorted(found)] == [row[:3] for row in told]
    (lineage,) = source.lineages
    assert (len(lists), len(told), len(lineage.source)) == (tracks, detections, links)
    listed = sum(1 for _ in root.iter("link"))
    n_within = len(told) - len([e for e in lists if len(e)])
    assert len(lineage.source) == n_within + listed
    track = np.array([row[3] for row in told])[lineage.label]
    assert (track[lineage.source] != track[lineage.target]).sum() == listed


@pytest.mark.data
def test_the_tracks_that_icy_and_trackmate_tell_of_one_movie_are_the_same(data_dir):
    told = []
    for name in ("FakeTracks_Icy.xml", "FakeTracks_TrackMate.xml"):
        source = open_source(data_dir / "format_fixtures" / "stracking_io" / name)
        place = {
            (b.frame, int(label)): (b.frame, *(round(v, 6) for v in at))
            for b in source.frames()
            for label, at in zip(b.points.label, b.points.position_px.tolist(), strict=True)
        }
        (lineage,) = source.lineages
        cells = [place[cell] for cell in zip(lineage.frame.tolist(), lineage.label.tolist(), strict=True)]
        told.append({(cells[a], cells[b]) for a, b in zip(lineage.source, lineage.target, strict=True)})
    assert len(told[0]) == 232
    assert told[0] == told[1]
