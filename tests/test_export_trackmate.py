"""TrackMate: its own reader's rules accept what is written, and the same tracks come out."""

import numpy as np
import pytest

import trackdb
from trackdb.engine.exports.trackmate import trackmate_model
from trackdb.errors import SchemaError
from trackdb.storage.schema import Detections
from trackdb.storage.writers import trackmate as writer
from trackdb.storage.writers.trackmate import feature_key, write_trackmate

from .exported import INTERVAL_S, SCALE_UM, rich_store, tracking
from .trackmate_rules import accept


@pytest.fixture(scope="module")
def merged(rich):
    return tracking(rich, "merged")


@pytest.fixture
def accepted(merged, tmp_path):
    write_trackmate(tmp_path / "merged.xml", trackmate_model(merged))
    return accept(tmp_path / "merged.xml")


def test_spots_have_the_places_times_and_numbers_of_the_cells(merged, accepted):
    cells = merged.cells
    assert accepted.units == ("micron", "sec")
    assert sorted(accepted.spots) == cells.id.tolist()
    told = [accepted.spots[cell] for cell in cells.id.tolist()]
    np.testing.assert_array_equal([s["FRAME"] for s in told], cells.frame)
    np.testing.assert_array_equal([s["POSITION_T"] for s in told], cells.frame * INTERVAL_S)
    assert {s["POSITION_Z"] for s in told} == {0.0}
    position = np.array([[s["POSITION_Y"], s["POSITION_X"]] for s in told]) / SCALE_UM
    np.testing.assert_array_equal(position.astype(np.float32), merged.position_px)
    assert [s["name"] for s in told] == merged.properties["name"].tolist()
    np.testing.assert_array_equal([s.get("brightness", np.nan) for s in told], merged.properties["brightness"])
    assert (float(accepted.image["pixelheight"]), float(accepted.image["pixelwidth"])) == SCALE_UM
    assert float(accepted.image["timeinterval"]) == INTERVAL_S


def test_lineages_that_merge_are_one_track_and_a_lone_cell_is_in_none(merged, accepted):
    pairs = zip(merged.cells.id[merged.source].tolist(), merged.cells.id[merged.target].tolist(), strict=True)
    assert set(accepted.edges) == set(pairs)
    [track] = accepted.tracks.values()
    wanted = {"NUMBER_SPOTS": 9, "NUMBER_GAPS": 1, "LONGEST_GAP": 1, "NUMBER_SPLITS": 1, "NUMBER_MERGES": 1}
    wanted |= {"TRACK_START": 0, "TRACK_STOP": 90, "TRACK_DURATION": 90, "TRACK_ID": 1}
    assert track.items() >= wanted.items()


def test_links_carry_probabilities_pins_and_the_other_solutions(rich, tmp_path):
    found = tracking(rich)
    write_trackmate(tmp_path / "truth.xml", trackmate_model(found))
    accepted = accept(tmp_path / "truth.xml")
    assert len(accepted.tracks) == 2
    for row, (a, b) in enumerate(zip(found.source.tolist(), found.target.tolist(), strict=True)):
        edge = accepted.edges[int(found.cells.id[a]), int(found.cells.id[b])]
        np.testing.assert_equal(edge.get("PROBABILITY", np.nan), found.evidence.probability[row])
        assert edge["PINNED"] == bool(found.evidence.pinned_by[row])
        assert edge["SOLUTION_MERGED"] == 1
        assert edge["EDGE_TIME"] == INTERVAL_S * (found.cells.frame[a] + found.cells.frame[b]) / 2


def test_points_without_a_scale_are_in_pixels_and_frames(tmp_path):
    store = rich_store(tmp_path, scale_um=None, interval_s=None)
    report = trackdb.open(store.path).solution("truth").export("trackmate", tmp_path / "truth.xml")
    accepted = accept(tmp_path / "truth.xml")
    assert accepted.units == ("pixel", "frame")
    assert accepted.spots[tracking(store).cells.id[0]]["POSITION_Y"] == 10
    assert not any("named .xml" in note for note in report.notes)


def test_masks_give_radius_and_area(solved, tmp_path):
    trackdb.open(solved.path).solution("truth").export("trackmate", tmp_path / "drawn.xml")
    spots = accept(tmp_path / "drawn.xml").spots.values()
    assert {(spot["AREA"], round(spot["RADIUS"], 6)) for spot in spots} == {(25.0, round((25 / np.pi) ** 0.5, 6))}
    assert {spot["equivalent_diameter"] for spot in spots} == {2 * (25 / np.pi) ** 0.5}


def test_what_an_earlier_trackmate_file_told_goes_back_to_its_place(merged, tmp_path):
    n = len(merged.cells)
    quality = np.where(np.arange(n) % 2, 0.5, np.nan)
    properties = {
        "QUALITY": quality,
        "RADIUS": np.full(n, 2.5),
        "MEAN_INTENSITY_CH1": np.arange(n) * 1.5,
        "TRACK_NAME": np.array(["left & right"] * n),
        "POSITION_T": np.arange(n) * 0.1,
    }
    write_trackmate(tmp_path / "back.xml", trackmate_model(_with(merged, properties=properties)))
    accepted = accept(tmp_path / "back.xml")
    spots = [accepted.spots[cell] for cell in merged.cells.id.tolist()]
    assert [s["QUALITY"] for s in spots] == np.where(np.isnan(quality), 1.0, quality).tolist()
    assert {s["RADIUS"] for s in spots} == {2.5}
    assert [s["MEAN_INTENSITY_CH1"] for s in spots] == properties["MEAN_INTENSITY_CH1"].tolist()
    assert [s["POSITION_T"] for s in spots] == properties["POSITION_T"].tolist()
    assert [t["name"] for t in accepted.tracks.values()] == ["left & right"]


def test_names_of_features_become_names_that_xml_allows(merged, tmp_path):
    n = len(merged.cells)
    odd = {name: np.ones(n) for name in ("9 lives", "ID", "", "a-b", "a b")} | {"größe <µm>": np.arange(n) * 1.0}
    write_trackmate(tmp_path / "odd.xml", trackmate_model(_with(merged, properties=odd)))
    spot = accept(tmp_path / "odd.xml").spots[int(merged.cells.id[1])]
    assert spot["gr_e_m"] == 1
    assert {"F_9_lives", "ID_2", "FEATURE", "a_b", "a_b_2"} <= set(spot)


def test_a_key_is_never_given_twice():
    taken = {"AREA"}
    keys = [feature_key(name, taken) for name in ("AREA", "AREA", "Ärea", "_", "\x00")]
    assert keys == ["AREA_2", "AREA_3", "rea", "FEATURE", "FEATURE_2"]


def test_numbers_beyond_32_bits_are_given_anew_and_kept_as_a_feature(merged, tmp_path):
    far = _with(merged, cells=_moved(merged.cells, 2**31))
    write_trackmate(tmp_path / "far.xml", trackmate_model(far))
    spots = accept(tmp_path / "far.xml").spots
    assert [spots[i]["CELL"] for i in range(len(far.cells))] == far.cells.id.tolist()
    model = trackmate_model(merged)
    with pytest.raises(SchemaError, match="cannot hold"):
        writer.TrackMateModel(**{k: getattr(model, k) for k in model.__slots__} | {"spot_id": far.cells.id})


@pytest.mark.parametrize("chunk", [1, 3, 7])
def test_a_file_written_in_parts_is_the_same_file(merged, tmp_path, monkeypatch, chunk):
    write_trackmate(tmp_path / "whole.xml", trackmate_model(merged))
    monkeypatch.setattr("trackdb.storage.writers.lines.CHUNK", chunk)
    monkeypatch.setattr("trackdb.storage.writers.lines.chunks.__defaults__", (chunk,))
    write_trackmate(tmp_path / "parts.xml", trackmate_model(merged))
    assert (tmp_path / "parts.xml").read_bytes() == (tmp_path / "whole.xml").read_bytes()


def test_names_with_entities_emojis_and_control_characters_come_back_as_far_as_xml_goes(merged, tmp_path):
    names = np.array(
        ["&amp;", "<a href='x'>", '"]]>', "🐭\u200d🔬", "a\x00b", "tab\tline\nend\r", " ", "é", "日本", ""]
    )
    write_trackmate(tmp_path / "n.xml", trackmate_model(_with(merged, properties={"name": names})))
    spots = accept(tmp_path / "n.xml").spots
    told = [spots[cell]["name"] for cell in merged.cells.id.tolist()]
    assert told == [name.replace("\x00", "\ufffd") for name in names.tolist()]


def _with(found, **changed):
    import dataclasses

    return dataclasses.replace(found, **changed)


def _moved(cells, by):
    return Detections(cells.id + by, cells.frame, cells.position_px, cells.label, cells.area, cells.scale_um)
