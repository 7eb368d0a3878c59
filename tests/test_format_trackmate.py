"""Reading TrackMate and MaMuT files: what TrackMate shows, in pixels, and what is refused with its line."""

import csv
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from trackdb.engine.ingest import ingest
from trackdb.errors import ConfigError, FormatError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats import SourceOptions, detect, open_source

from .graph_files import LINKS, SPOTS, TRACKS, ids_by_place, links_by_place, write_trackmate


@pytest.fixture
def drawn(tmp_path):
    return write_trackmate(tmp_path / "drawn.xml")


def points_of(source):
    return np.concatenate([b.points.label for b in source.frames()])


def links_of(lineage):
    return {(int(lineage.label[a]), int(lineage.label[b])) for a, b in zip(lineage.source, lineage.target, strict=True)}


def properties_of(source):
    """Return the value of each property by spot ID."""
    batches = [b.points for b in source.frames()]
    return {
        name: {int(k): v for p in batches for k, v in zip(p.label, p.properties[name].tolist(), strict=True)}
        for name in batches[0].properties
    }


def refused(path, message, **options):
    with pytest.raises(FormatError, match=message):
        open_source(path, options=SourceOptions(**options))


def changed(path, old, new, count=1):
    """Replace text in a file; it has to be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, count), encoding="utf-8")
    return path


def test_spots_come_in_pixels_with_their_ids_and_the_tracking_with_its_splits_gaps_and_merges(drawn):
    assert detect(drawn) == "trackmate"
    source = open_source(drawn)
    assert (source.name, source.n_frames, source.ndim) == ("drawn", 5, 2)
    assert (source.scale_um, source.interval_s) == ((0.5, 0.5), 300.0)
    assert ids_by_place(source) == {(place[0], spot): spot for spot, place in SPOTS.items()}
    assert links_by_place(source) == LINKS
    (lineage,) = source.lineages
    assert (lineage.name, lineage.merges, lineage.complete) == ("trackmate", True, False)
    assert set(lineage.label.tolist()) == set(SPOTS) - {40}


def test_an_ingested_file_is_a_solution_with_divisions_and_merges(drawn, tmp_path):
    store = DuckDBStore(tmp_path / "a.trackdb")
    report = ingest(drawn, store)
    assert (report.frames, report.detections, report.links) == (5, len(SPOTS), {"trackmate": len(LINKS)})
    info = store.solutions(store.detection_set())["trackmate"]
    kinds = np.bincount(store.solution(info).kind, minlength=3).tolist()
    assert kinds == [len(LINKS) - 2 - 2, 2, 2]  # both mothers keep their link to the cell that they become


def test_features_are_properties_and_places_are_not(tmp_path):
    path = write_trackmate(tmp_path / "a.xml", extra=lambda s: 'SNR="0.5"' if s == 10 else 'MEAN="NaN" ODD="1E3"')
    told = properties_of(open_source(path))
    assert sorted(told) == ["MEAN", "ODD", "RADIUS", "SNR", "VISIBILITY"]
    assert told["RADIUS"] == dict.fromkeys(SPOTS, 2.5)
    assert told["SNR"][10] == 0.5
    assert np.isnan(told["SNR"][11])
    assert np.isnan(told["MEAN"][11])
    assert (told["ODD"][11], np.isnan(told["ODD"][10])) == (1000.0, True)


def test_times_of_their_own_are_kept(drawn):
    assert "POSITION_T" not in properties_of(open_source(drawn))
    changed(drawn, 'POSITION_T="15.0"', 'POSITION_T="16.5"')
    assert properties_of(open_source(drawn))["POSITION_T"][14] == 16.5


def test_names_that_someone_gave_are_kept_as_text(tmp_path):
    path = write_trackmate(tmp_path / "a.xml", names={0: "AB.a &lt;b&gt;"})
    changed(path, 'name="ID12"', 'name="=1+1 &amp; &quot;ö&quot;"')
    told = properties_of(open_source(path))
    assert {k: v for k, v in told["name"].items() if v} == {12: '=1+1 & "ö"'}
    assert {k for k, v in told["TRACK_NAME"].items() if v == "AB.a <b>"} == {10, 11, 12, 13, 14, 15}
    assert told["TRACK_NAME"][20] == "Track_1"
    assert told["TRACK_NAME"][40] == ""


def test_only_tracks_that_passed_the_filters_are_shown_and_all_spots_come_in(tmp_path):
    path = write_trackmate(tmp_path / "a.xml", visible=(2,))
    source = open_source(path)
    assert links_by_place(source) == set(TRACKS[2])
    assert len(points_of(source)) == len(SPOTS)
    assert "2 of 3 tracks are filtered out in TrackMate: their 11 links are left out" in source.notes
    changed(path, 'VISIBILITY="1"', 'VISIBILITY="0"', 2)
    assert "2 of 18 spots are hidden in TrackMate (VISIBILITY 0); they come in too" in open_source(path).notes


def test_without_a_list_of_filtered_tracks_all_come_in(drawn):
    text = drawn.read_text()
    begin, end = text.index("<FilteredTracks>"), text.index("</FilteredTracks>")
    drawn.write_text(text[:begin] + text[end + len("</FilteredTracks>") :])
    source = open_source(drawn)
    assert links_by_place(source) == LINKS
    assert "no list of filtered tracks: all tracks come in" in source.notes


def test_links_without_direction_are_turned_forward(drawn):
    changed(drawn, 'SPOT_SOURCE_ID="11" SPOT_TARGET_ID="12"', 'SPOT_SOURCE_ID="12" SPOT_TARGET_ID="11"')
    source = open_source(drawn)
    assert links_by_place(source) == LINKS
    assert "links that run backward in time are turned round: 1" in source.notes


def test_polygons_keep_their_area_in_pixels(tmp_path):
    # a square of 4 x 2 um, and pixels of 0.5 x 0.5 um: 8 um2 are 32 pixels
    path = write_trackmate(
        tmp_path / "a.xml",
        extra=lambda s: {10: 'ROI_N_POINTS="4"', 11: 'ROI_N_POINTS="2"'}.get(s, ""),
        text=lambda s: {10: "0 0 4 0\n 4.0 2.0 0.0 2.0", 11: "0 0 1 1"}.get(s, ""),
    )
    source = open_source(path)
    area = {int(k): a for b in source.frames() for k, a in zip(b.points.label, b.points.area, strict=True)}
    assert area.pop(10) == pytest.approx(32.0)
    assert np.isnan(list(area.values())).all()
    assert "of 1 polygons the area is kept, the outline is left out" in source.notes


@pytest.mark.parametrize(
    ("unit", "um"),
    [("micron", 1), ("µm", 1), ("μm", 1), ("Micrometers", 1), ("nm", 1e-3), ("millimetre", 1e3), ("inch", 25400)],
)
def test_units_of_length_become_micrometres(tmp_path, unit, um):
    path = write_trackmate(tmp_path / "a.xml", units=f'spatialunits="{unit}" timeunits="s"')
    source = open_source(path)
    assert source.scale_um == pytest.approx((0.5 * um, 0.5 * um))
    assert source.interval_s == 5.0
    assert links_by_place(source) == LINKS
    assert any("check it" in note for note in source.notes) == (um != 1)


def test_without_a_unit_of_length_the_voxel_size_is_unknown(tmp_path):
    for units, said in (
        ('timeunits="frame"', "no unit of length is told: positions are taken as pixels, the voxel size is unknown"),
        ('spatialunits="furlong"', "the unit of length 'furlong' is none that is known: the voxel size is unknown"),
    ):
        source = open_source(write_trackmate(tmp_path / "a.xml", units=units))
        assert (source.scale_um, source.interval_s, links_by_place(source)) == (None, None, LINKS)
        assert said in source.notes
    source = open_source(write_trackmate(tmp_path / "a.xml", units='spatialunits="pixel"', size=(1, 1, 1)))
    assert (source.scale_um, links_by_place(source)) == (None, LINKS)
    assert not any("length" in note for note in source.notes)


def test_without_a_pixel_size_the_user_tells_it(tmp_path):
    path = write_trackmate(tmp_path / "a.xml")
    text = path.read_text()
    path.write_text(text[: text.index("<ImageData")] + text[text.index("</Settings>") :])
    source = open_source(path, options=SourceOptions(scale_um=(0.5, 0.5)))
    assert (source.scale_um, links_by_place(source)) == ((0.5, 0.5), LINKS)
    source = open_source(path)
    assert source.scale_um == (1.0, 1.0)
    assert any("one pixel is taken for 1 um" in note for note in source.notes)
    assert next(source.frames()).points.position_px[0].tolist() == [5.0, 10.0]


def test_several_slices_make_a_movie_3d(tmp_path):
    spots = {k: (t, k % 3, y, x) for k, (t, y, x) in SPOTS.items()}
    source = open_source(write_trackmate(tmp_path / "a.xml", spots=spots, image='nslices="9"'))
    assert (source.ndim, source.scale_um) == (3, (2.0, 0.5, 0.5))
    place = {int(k): p for b in source.frames() for k, p in zip(b.points.label, b.points.position_px, strict=True)}
    assert place[20] == pytest.approx((20 % 3, 30, 20))
    flat = open_source(write_trackmate(tmp_path / "b.xml", image='nslices="9"'))
    assert flat.ndim == 3


def test_frames_are_thinned_and_renumbered(drawn):
    source = open_source(drawn, options=SourceOptions(frames=slice(0, None, 2)))
    assert (source.n_frames, source.interval_s) == (3, 600.0)
    (lineage,) = source.lineages
    links = links_of(lineage)
    assert links == {(10, 12), (10, 13), (20, 16), (22, 17), (30, 33)}


def test_what_has_no_room_is_told(drawn):
    drawn.with_name("drawn.xml.meshes").write_bytes(b"")
    notes = open_source(drawn).notes
    assert "features of links are left out: LINK_COST" in notes
    assert "features of tracks are left out: NUMBER_SPOTS" in notes
    assert "the surfaces in drawn.xml.meshes are left out" in notes


def test_claims_that_do_not_hold_are_told(drawn):
    changed(drawn, 'nspots="18"', 'nspots="19"')
    changed(drawn, 'FRAME="3"', 'FRAME="4"')
    changed(drawn, '<TrackID TRACK_ID="0" />', '<TrackID TRACK_ID="0" /><TrackID TRACK_ID="7" />')
    notes = open_source(drawn).notes
    assert "drawn.xml claims 19 spots and holds 18" in notes
    assert "the FRAME of 1 spots is not that of the list which holds them: the list counts" in notes
    assert "1 filtered tracks are not there" in notes


def test_a_file_without_spots_is_an_empty_movie(tmp_path):
    source = open_source(write_trackmate(tmp_path / "a.xml", spots={}, tracks={}, visible=()))
    assert (source.n_frames, source.lineages) == (0, ())
    assert "no detections" in source.notes


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('ID="11"', 'ID="10"', r"drawn.xml line HERE: spot ID 10 is there already; .* line 6"),
        ('ID="11"', 'ID="x"', r"line HERE: ID is wrong; .* got: 'x'"),
        ('ID="11"', 'ID="-4"', r"line HERE: ID is wrong; expected: a whole number of at least 0"),
        ('ID="11"', f'ID="{10**30}"', r"line HERE: ID is wrong"),
        ('frame="2"', 'frame="2000000"', r"frame is wrong; expected: a frame number below 1,000,000"),
        (' POSITION_X="10.0"', "", r"line HERE: a cell has no place in the image"),
        ('POSITION_X="10.0"', 'POSITION_X="1e300"', r"line HERE: a cell has no place in the image"),
        ('POSITION_X="10.0"', 'POSITION_X="inf"', r"line HERE: a cell has no place in the image"),
        ('RADIUS="2.5"', 'RADIUS="2,5"', r"line HERE: RADIUS is wrong; expected: a number; got: '2,5'"),
        ('SPOT_TARGET_ID="11"', 'SPOT_TARGET_ID="99"', r"line HERE: a link to spot 99, which is not there"),
        ('SPOT_TARGET_ID="11"', 'SPOT_TARGET_ID="10"', r"line HERE: the link 10 -> 10 lies within frame 0"),
        ('SPOT_TARGET_ID="11"', 'SPOT_TARGET_ID="20"', r"line HERE: the link 10 -> 20 lies within frame 0"),
        (
            'SPOT_TARGET_ID="13"',
            'SPOT_TARGET_ID="12"',
            r"line HERE: the link 11 -> 12 is there already; got: the same in line 37",
        ),
        ('TRACK_ID="1"', 'TRACK_ID="0"', r"TRACK_ID 0 is there already"),
        ('pixelwidth="0.5"', 'pixelwidth="0"', r"pixelwidth is wrong; expected: a positive size"),
        ('pixelwidth="0.5"', 'pixelwidth="-1"', r"pixelwidth is wrong"),
        ("</AllSpots>", "", r"is not well-formed XML; got: mismatched tag"),
        (
            "<TrackMate",
            '<!DOCTYPE a SYSTEM "/etc/passwd"><TrackMate',
            r"line HERE declares a document type or an entity",
        ),
        ('name="ID10"', 'name="&who;"', r"line HERE is not well-formed XML; got: undefined entity"),
        ('encoding="UTF-8"', 'encoding="utf-9"', r"line HERE cannot be read as XML; got: unknown encoding"),
        ('encoding="UTF-8"', 'encoding="shift-jis"', r"cannot be read as XML"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(drawn, old, new, message):
    before = drawn.read_text().splitlines()
    after = changed(drawn, old, new).read_text().splitlines()
    line = next(n for n, (a, b) in enumerate(zip(before, after, strict=True), start=1) if a != b)
    refused(drawn, message.replace("HERE", str(line)))


def test_a_bomb_of_entities_is_refused(drawn):
    entities = "".join(f'<!ENTITY e{i + 1} "{f"&e{i};" * 10}">' for i in range(9))
    changed(drawn, "<TrackMate", f'<!DOCTYPE a [<!ENTITY e0 "x">{entities}]><TrackMate')
    changed(drawn, 'name="ID10"', 'name="&e9;"')
    refused(drawn, "declares a document type or an entity")


def test_polygons_that_are_broken_are_refused(tmp_path):
    for text in ("0 0 1 0", "0 0 1 0 1 x", "0 0 1 0 1 inf", ""):
        path = write_trackmate(
            tmp_path / "a.xml", extra=lambda s: 'ROI_N_POINTS="3"' if s == 11 else "", text=lambda s, t=text: t
        )
        line = next(n for n, words in enumerate(path.read_text().splitlines(), start=1) if 'ID="11"' in words)
        refused(path, f"line {line}: the polygon of spot 11 is broken; expected: x y of 3 corners")


@pytest.mark.parametrize("said", [{"columns": {"t": "FRAME"}}, {"sequence": "1"}, {"truth": "x"}, {"links": "x"}])
def test_options_of_other_formats_are_refused(drawn, said):
    with pytest.raises(ConfigError, match=f"--{next(iter(said))} says nothing about a TrackMate file"):
        open_source(drawn, options=SourceOptions(**said))


def test_a_file_is_known_by_what_it_holds_whatever_its_name(drawn):
    other = drawn.rename(drawn.with_name("tracks"))
    assert detect(other) == "trackmate"
    assert links_of(open_source(other).lineages[0])


def test_a_tag_that_does_not_end_is_refused_before_it_is_read(tmp_path):
    (tmp_path / "a.xml").write_text(f'<TrackMate version="{"7" * (12 << 20)}"/>')
    refused(tmp_path / "a.xml", "line 1 holds a tag that does not end")


def test_cut_and_foreign_files_are_refused(drawn, tmp_path):
    whole = drawn.read_bytes()
    for size in (0, 1, 50, len(whole) // 2, len(whole) - 3):
        drawn.write_bytes(whole[:size])
        refused(drawn, "is not well-formed XML")
    drawn.write_bytes(whole.replace(b"RADIUS", b"R\xe4dius"))
    refused(drawn, "line 6 is not well-formed XML; got: not well-formed")
    (tmp_path / "b.xml").write_text("<SpimData/>")
    with pytest.raises(FormatError, match="is no TrackMate file; expected: <TrackMate>; got: <SpimData>"):
        open_source(tmp_path / "b.xml", "trackmate")
    with pytest.raises(FormatError, match="is no TrackMate file"):
        open_source(tmp_path, "trackmate")
    (tmp_path / "c.xml").write_text("<TrackMate/>")
    refused(tmp_path / "c.xml", "c.xml holds no spots")


def test_spots_and_edges_out_of_place_are_refused(tmp_path):
    for body, message in (
        ('<Spot ID="1"/>', "a Spot stands outside of a frame"),
        ('<Edge SPOT_SOURCE_ID="1" SPOT_TARGET_ID="2"/>', "an Edge stands outside of a track"),
        ('<TrackID TRACK_ID="1"/>', "a TrackID stands outside of its list"),
        ('<SpotsInFrame frame="0"><Spot ID="1" POSITION_X="1"/></SpotsInFrame>', "line 1: POSITION_Y is missing"),
    ):
        path = tmp_path / "a.xml"
        path.write_text(f"<TrackMate><Model>{body}</Model></TrackMate>")
        refused(path, message)


def test_attributes_of_their_own_for_each_spot_do_not_fill_the_memory(tmp_path):
    n = 4000
    spots = "".join(f'<Spot ID="{i}" A{i}="1" POSITION_X="1" POSITION_Y="1"/>\n' for i in range(n))
    path = tmp_path / "a.xml"
    path.write_text(f'<TrackMate><Model><SpotsInFrame frame="0">{spots}</SpotsInFrame></Model></TrackMate>')
    refused(path, "different attributes for .* elements; expected: elements that share their attributes")


def test_any_encoding_that_xml_declares_is_read(drawn):
    text = drawn.read_text().replace('name="ID10"', 'name="Zelle ä"')
    drawn.write_bytes(text.replace("UTF-8", "UTF-16").encode("utf-16"))
    assert properties_of(open_source(drawn))["name"][10] == "Zelle ä"
    drawn.write_bytes(text.replace("UTF-8", "ISO-8859-1").encode("latin-1"))
    assert properties_of(open_source(drawn))["name"][10] == "Zelle ä"


# ------------------------------------------------------------------------- files that TrackMate and MaMuT have written


def by_hand(path):
    """Read a file the other way: the whole tree by ElementTree, one object a spot."""
    root = ET.parse(path).getroot()
    spots = {int(s.get("ID")): (int(f.get("frame")), s.attrib) for f in root.iter("SpotsInFrame") for s in f}
    shown = {t.get("TRACK_ID") for t in root.find("Model/FilteredTracks")}
    links, tracks = set(), []
    for track in root.find("Model/AllTracks"):
        if track.get("TRACK_ID") in shown:
            tracks.append(track.attrib)
            ends = [(int(e.get("SPOT_SOURCE_ID")), int(e.get("SPOT_TARGET_ID"))) for e in track]
            links |= {tuple(sorted(pair, key=lambda spot: spots[spot][0])) for pair in ends}
    return spots, links, root.find("Settings/ImageData").attrib, tracks


FILES = {  # spots, and links that TrackMate shows
    "trackmate_xml_eslardet/FakeTracks.xml": (2404, 80),
    "trackmate_xml_geff/FakeTracks.xml": (107, 82),
    "trackmate_xml_laptrack/trackmate_tracks_with_gap_closing.xml": (134, 128),
    "trackmate_xml_laptrack/trackmate_tracks_with_merging.xml": (134, 129),
    "trackmate_xml_laptrack/trackmate_tracks_with_splitting.xml": (134, 130),
    "trackmate_xml_laptrack/trackmate_tracks_with_splitting_merging.xml": (183, 180),
    "trackmate_xml_laptrack/trackmate_tracks_without_gap_closing.xml": (134, 127),
    "trackmate_xml_pytrackmate/FakeTracks.xml": (68, 10),
    "stracking_io/FakeTracks_TrackMate.xml": (268, 232),
    "lineagetree_mamut/test-mamut.xml": (2430, 2424),
    "../lstree_organoid_mit/002-Budding/mamut_deconv.xml": (107, 88),
}


@pytest.mark.data
@pytest.mark.parametrize("name", FILES)
def test_real_files_agree_with_a_reader_that_builds_the_tree(name, data_dir):
    path = data_dir / "format_fixtures" / name
    source = open_source(path)
    spots, links, image, _ = by_hand(path)
    (lineage,) = source.lineages
    assert links_of(lineage) == links
    seen = set()
    size = [float(image[key]) for key in ("voxeldepth", "pixelheight", "pixelwidth")[3 - source.ndim :]]
    for batch in source.frames():
        for label, place in zip(batch.points.label.tolist(), batch.points.position_px, strict=True):
            frame, attributes = spots[label]
            seen.add(label)
            told = [float(attributes[f"POSITION_{axis}"]) for axis in "ZYX"[3 - source.ndim :]]
            assert (batch.frame, place * size) == (frame, pytest.approx(told))
    assert seen == set(spots)
    assert (len(spots), len(links)) == FILES[name]


@pytest.mark.data
@pytest.mark.parametrize("name", [name for name in FILES if "deconv" not in name])
def test_splits_merges_and_gaps_are_as_many_as_trackmate_counted(name, data_dir):
    path = data_dir / "format_fixtures" / name
    (lineage,) = open_source(path).lineages
    tracks = by_hand(path)[3]
    n_daughters, n_mothers = (
        np.bincount(ends, minlength=len(lineage.frame)) for ends in (lineage.source, lineage.target)
    )
    n_skipped = int((lineage.frame[lineage.target] - lineage.frame[lineage.source] > 1).sum())
    complex_too = n_daughters[n_mothers > 1] > 1  # TrackMate counts those apart
    counted = [(n_mothers < 2) & (n_daughters > 1), (n_daughters < 2) & (n_mothers > 1), complex_too]
    told = ("NUMBER_SPLITS", "NUMBER_MERGES", "NUMBER_COMPLEX", "NUMBER_GAPS")
    assert [*(int(c.sum()) for c in counted), n_skipped] == [sum(int(t[key]) for t in tracks) for key in told]


@pytest.mark.data
@pytest.mark.parametrize(
    "kind", ["with_gap_closing", "with_merging", "with_splitting", "with_splitting_merging", "without_gap_closing"]
)
def test_laptrack_lists_the_same_spots_and_links(kind, data_dir):
    stem = data_dir / "format_fixtures" / "trackmate_xml_laptrack" / f"trackmate_tracks_{kind}"
    source = open_source(stem.with_suffix(".xml"))
    spots = {
        int(label): (b.frame, *place)
        for b in source.frames()
        for label, place in zip(b.points.label, b.points.position_px.tolist(), strict=True)
    }
    with open(f"{stem}_spots.csv") as rows:
        told = {
            int(row["id"]): (int(row["frame"]), float(row["position_y"]), float(row["position_x"]))
            for row in csv.DictReader(rows)
        }
    assert spots == told
    (lineage,) = source.lineages
    links = links_of(lineage)
    with open(f"{stem}_edges.csv") as rows:
        assert links == {(int(row["spot_source_id"]), int(row["spot_target_id"])) for row in csv.DictReader(rows)}


@pytest.mark.data
def test_polygons_of_trackmate_have_the_area_that_it_computed_for_their_smoothed_outline(data_dir):
    source = open_source(data_dir / "format_fixtures" / "trackmate_xml_geff" / "FakeTracks.xml")
    points = [b.points for b in source.frames()]
    ours = np.concatenate([p.area for p in points])
    theirs = np.concatenate([p.properties["AREA"] for p in points])
    assert np.abs(ours - theirs).max() < 1.0
