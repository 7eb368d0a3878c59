"""Ingest: what is brought in whole, what is refused whole, and what goes on after a kill."""

import shutil

import numpy as np
import pytest
import tifffile

from trackdb.engine import ingest as engine_ingest
from trackdb.engine.check import check
from trackdb.engine.ingest import ingest
from trackdb.engine.progress import Recorded
from trackdb.errors import FormatError, StoreExistsError, StoreLockedError
from trackdb.storage import tables
from trackdb.storage.arrays import ARRAYS, read_frame
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import LabelLineage, Points, SourceOptions
from trackdb.storage.formats.points import point_source
from trackdb.storage.ingestion import Ingestion
from trackdb.storage.sandbox import ask

from .movies import CENTRES, SHAPE, TRACKS, square_mask, write_ctc, write_points


@pytest.fixture
def store(tmp_path):
    return DuckDBStore(tmp_path / "a.trackdb")


def everything(store):
    """All that an ingest brings, without numbers and times of runs."""
    chosen = store.detection_set()
    detections = store.detections(chosen)
    _, info = store.find_solution()
    table = store.solution(info)
    return {
        "frame": detections.frame.tolist(),
        "label": detections.label.tolist(),
        "position": detections.position_px.tolist(),
        "links": [ends.tolist() for ends in store.link_ends(info)],
        "tracks": table.tracks.parent.tolist(),
        "pixels": sorted(ref.sha256 for ref in store.arrays(chosen)),
    }


class Stopped(KeyboardInterrupt):
    """The user's Ctrl-C."""


class StopAt(Recorded):
    """Progress that is interrupted after some steps."""

    def __init__(self, steps):
        super().__init__()
        self.left = steps

    def advance(self, steps=1):
        self.left -= steps
        if self.left == 0:
            raise Stopped


def test_masks_pixels_images_and_truth_come_in(drawn, store):
    report = ingest(drawn, store)
    assert (report.dataset, report.frames, report.detections, report.links) == ("drawn", 3, 9, {"truth": 6})
    chosen = store.detection_set()
    refs = {(ref.kind, ref.channel): ref for ref in store.arrays(chosen)}
    assert set(refs) == {("masks", ""), ("images", "image")}
    for t, centres in enumerate(CENTRES):
        assert np.array_equal(read_frame(store.path, refs["masks", ""], t), square_mask(centres))
        assert read_frame(store.path, refs["images", "image"], t).max() == 200


def test_volumes_come_in_with_their_voxel_size(tmp_path, store):
    centres = [{1: (5, 10, 10)}, {1: (6, 10, 11)}]
    write_ctc(tmp_path / "vol", centres=centres, tracks=[(1, 0, 1, 0)], shape=(12, 24, 24))
    ingest(tmp_path / "vol", store, options=SourceOptions(scale_um=(2.0, 0.5, 0.5), interval_s=60))
    movie = store.detection_set().movie
    assert (movie.ndim, movie.scale_um, movie.interval_s, movie.unit) == (3, (2.0, 0.5, 0.5), 60, "um")
    detections = store.detections(store.detection_set())
    assert detections.position_um.tolist() == [[10, 5, 5], [12, 5, 5.5]]


def test_points_come_in_with_the_truth_of_their_tracks(tmp_path, store):
    report = ingest(write_points(tmp_path / "points.csv", n_frames=6, n_cells=9), store)
    assert (report.detections, report.links) == (54, {"truth": 45})


def test_truth_links_are_not_candidates(drawn, store):
    ingest(drawn, store)
    chosen = store.detection_set()
    detections = store.detections(chosen)
    assert len(store.candidate_edges(chosen, detections)) == 0
    assert len(store.candidate_edges(chosen, detections, imported=True)) == 6


def test_truth_of_other_masks_is_matched_by_overlap(tmp_path, store):
    """The result misses cell 5 and shifts cell 1 by two pixels: still more than half of it."""
    movie = write_ctc(tmp_path / "movie")
    res = movie / "01_RES"
    res.mkdir()
    shifted = [
        {11: (10, 21), 12: (10, 50)},
        {11: (10, 22), 13: (9, 50), 14: (21, 51)},
        {11: (11, 23), 13: (9, 51), 14: (22, 51)},
    ]
    for t, frame in enumerate(shifted):
        tifffile.imwrite(res / f"mask{t:03d}.tif", square_mask(frame))
    (res / "res_track.txt").write_text("11 0 2 0\n12 0 0 0\n13 1 2 12\n14 1 2 12\n")
    progress = Recorded()
    report = ingest(movie, store, progress=progress)
    assert report.links == {"01_RES": 6, "truth": 6}
    assert any("1 of 9 cells have no detection" in note for note in progress.notes)
    [run] = store.runs(tables.run.c.kind == "ingest")
    told = {"cells": 9, "links": 6, "dropped": 1, "bridged": 0, "cut": 0, "merges": 0, "only_daughters": 0}
    assert run.params["trackings"]["truth"] == told
    chosen = store.detection_set()
    both = [store.link_ends(store.solutions(chosen)[name]) for name in ("01_RES", "truth")]
    assert sorted(zip(*both[0], strict=True)) == sorted(zip(*both[1], strict=True))


def test_a_mother_of_three_is_kept_as_the_truth_tells_it(tmp_path, store):
    centres = [{1: (24, 30)}, {2: (10, 10), 3: (24, 50), 4: (40, 30)}]
    write_ctc(tmp_path / "m", centres=centres, tracks=[(1, 0, 0, 0), (2, 1, 1, 1), (3, 1, 1, 1), (4, 1, 1, 1)])
    assert ingest(tmp_path / "m", store).links == {"truth": 3}
    assert check(store) == []


def fused_source(*, merges):
    """Two cells that become one, from a format that can say so or cannot::

    frame  0    1    2    3
           1 -- 3
                  > 5 -- 6
           2 -- 4
    """
    frame = np.array([0, 0, 1, 1, 2, 3])
    position = np.array([(10, 0), (30, 0), (15, 5), (25, 5), (20, 10), (20, 15)], dtype=float)
    source, target = np.array([(0, 2), (1, 3), (2, 4), (3, 4), (4, 5)]).T
    lineage = LabelLineage("truth", "fused.xml", frame, np.arange(1, 7), source, target, merges=merges)
    points = Points(np.arange(1, 7), position, np.full(6, np.nan))
    return point_source("fused", SourceOptions(), frame, points, lineages=[lineage])


def test_cells_that_merge_keep_all_their_mothers(tmp_path, store, monkeypatch):
    monkeypatch.setattr(engine_ingest, "open_source", lambda *_: fused_source(merges=True))
    progress = Recorded()
    assert ingest(tmp_path, store, progress=progress).links == {"truth": 5}
    assert any("truth: 1 merges: their links" in note for note in progress.notes)
    links = ask(store.path, "select source, target, kind from links order by source").rows.to_pylist()
    assert [(r["source"], r["target"]) for r in links if r["kind"] == "merge"] == [(3, 5), (4, 5)]
    assert [r["kind"] for r in links].count("continue") == 3
    tracks = ask(store.path, "select parent, first_t, last_t from tracks order by track").rows.to_pylist()
    assert [tuple(r.values()) for r in tracks] == [(None, 0, 1), (None, 0, 1), (None, 2, 3)]
    assert check(store) == []


def test_two_mothers_without_merges_are_refused(tmp_path, store, monkeypatch):
    monkeypatch.setattr(engine_ingest, "open_source", lambda *_: fused_source(merges=False))
    with pytest.raises(FormatError, match=r"fused.xml: label 5 of frame 2 has 2 mothers"):
        ingest(tmp_path, store)
    assert not store.path.exists()


def test_an_interrupted_ingest_goes_on_and_ends_as_an_undisturbed_one(drawn, tmp_path, store, monkeypatch):
    monkeypatch.setattr(engine_ingest, "BATCH_ROWS", 1)
    for steps in (1, 2, 3):
        with pytest.raises(Stopped):
            ingest(drawn, store, progress=StopAt(steps))
        assert store.detection_sets() == []
        assert [alive for _, alive in store.unfinished()] == [False]
    progress = Recorded()
    ingest(drawn, store, progress=progress)
    assert any("going on" in note for note in progress.notes)
    undisturbed = DuckDBStore(tmp_path / "b.trackdb")
    ingest(drawn, undisturbed)
    assert everything(store) == everything(undisturbed)
    assert check(store) == []
    assert not list((store.path / ARRAYS).glob(".tmp-*"))


def test_pixels_that_were_already_sealed_are_written_again(drawn, tmp_path, store, monkeypatch):
    def no_commit(*_):
        raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr("trackdb.storage.ingestion.Ingestion.finish", no_commit)
        with pytest.raises(Stopped):
            ingest(drawn, store)
    ingest(drawn, store)
    undisturbed = DuckDBStore(tmp_path / "b.trackdb")
    ingest(drawn, undisturbed)
    assert everything(store) == everything(undisturbed)


def test_an_unfinished_ingest_given_with_other_settings_begins_again(drawn, store, monkeypatch):
    monkeypatch.setattr(engine_ingest, "BATCH_ROWS", 1)
    with pytest.raises(Stopped):
        ingest(drawn, store, progress=StopAt(3))
    report = ingest(drawn, store, options=SourceOptions(frames=slice(0, 2)))
    assert (report.frames, report.detections) == (2, 5)
    assert store.count_detections(store.detection_set()) == 5
    assert not list((store.path / ARRAYS).glob(".tmp-*"))
    assert check(store) == []


def test_files_that_changed_since_an_unfinished_ingest_are_read_from_the_beginning(drawn, store, monkeypatch):
    monkeypatch.setattr(engine_ingest, "BATCH_ROWS", 1)
    with pytest.raises(Stopped):
        ingest(drawn, store, progress=StopAt(3))
    moved = [{label: (y + 1, x) for label, (y, x) in frame.items()} for frame in CENTRES]
    for t, frame in enumerate(moved):
        tifffile.imwrite(drawn / "01_GT" / "TRA" / f"man_track{t:03d}.tif", square_mask(frame))
    ingest(drawn, store)
    drawn_y = [y for frame in moved for y, _ in frame.values()]
    assert store.detections(store.detection_set()).position_px[:, 0].tolist() == drawn_y
    assert check(store) == []


def test_a_store_that_cannot_take_a_batch_keeps_what_it_has(drawn, store, monkeypatch):
    """A lock or a full disk is nobody's bad movie: the ingest stays unfinished and goes on later."""
    monkeypatch.setattr(engine_ingest, "BATCH_ROWS", 1)
    append, calls = Ingestion.append, []

    def fail_at_the_third(self, *batch):
        calls.append(1)
        if len(calls) == 3:
            raise StoreLockedError("held by somebody")
        append(self, *batch)

    monkeypatch.setattr(Ingestion, "append", fail_at_the_third)
    with pytest.raises(StoreLockedError):
        ingest(drawn, store)
    [(left, alive)] = store.unfinished()
    assert (left.params["frames_done"], alive) == (2, False)
    ingest(drawn, store)
    assert store.count_detections(store.detection_set()) == 9
    assert check(store) == []


def test_settings_and_answers_of_people_outlive_a_refused_ingest(drawn, store):
    (store.path / "annotations").mkdir(parents=True)
    (store.path / "annotations" / "ana.jsonl").write_text("")
    (store.path / "trackdb.toml").write_text("[link]\nneighbors = 5\n")
    (drawn / "01_GT" / "TRA" / "man_track.txt").write_text("1 0 2 77\n")
    with pytest.raises(FormatError):
        ingest(drawn, store)
    shutil.copy(drawn / "01" / "t000.tif", drawn / "01_GT" / "TRA" / "man_track000.tif")
    (drawn / "01_GT" / "TRA" / "man_track.txt").write_text("1 0 2 0\n")
    with pytest.raises(FormatError):
        ingest(drawn, store)
    assert sorted(p.name for p in store.path.iterdir()) == ["annotations", "trackdb.toml"]
    assert (store.path / "annotations" / "ana.jsonl").exists()


def test_images_of_a_wider_type_than_the_first_are_refused_if_they_do_not_fit(drawn, store):
    bright = np.full(SHAPE, 1000, np.uint16)
    tifffile.imwrite(drawn / "01" / "t001.tif", bright)
    with pytest.raises(FormatError, match="frame 1"):
        ingest(drawn, store)
    assert not store.path.exists()


def test_a_name_is_taken_once(drawn, store):
    ingest(drawn, store)
    before = everything(store)
    with pytest.raises(StoreExistsError, match="already has a dataset named drawn"):
        ingest(drawn, store)
    assert everything(store) == before


def test_no_detections_are_allowed_and_said(tmp_path, store):
    write_ctc(tmp_path / "empty", centres=[{}, {}], tracks=[])
    (tmp_path / "empty" / "01_GT" / "TRA" / "man_track.txt").unlink()
    progress = Recorded()
    report = ingest(tmp_path / "empty" / "01_GT" / "TRA", store, file_format="masks", progress=progress)
    assert (report.frames, report.detections) == (2, 0)
    assert "there are no detections" in progress.notes


def spoil_nothing_but(name):
    """Return a function that spoils a drawn movie in one way."""

    def missing_frame(tra):
        (tra / "man_track001.tif").unlink()

    def repeated_frame(tra):
        shutil.copy(tra / "man_track001.tif", tra / "man_track01.tif")

    def float_mask(tra):
        tifffile.imwrite(tra / "man_track001.tif", square_mask(CENTRES[1]).astype(np.float32))

    def rgb_mask(tra):
        mask = np.repeat(square_mask(CENTRES[1])[..., None].astype(np.uint8), 3, axis=2)
        tifffile.imwrite(tra / "man_track001.tif", mask, photometric="rgb")

    def cut_mask(tra):
        whole = (tra / "man_track001.tif").read_bytes()
        (tra / "man_track001.tif").write_bytes(whole[: len(whole) // 2])

    def other_shape(tra):
        tifffile.imwrite(tra / "man_track001.tif", np.zeros((10, 10), np.uint16))

    def label_without_mask(tra):
        rows_to(tra, [*TRACKS, (9, 0, 2, 0)])

    def mask_without_label(tra):
        rows_to(tra, TRACKS[:-1])

    def parent_too_late(tra):
        rows_to(tra, [(1, 0, 2, 0), (2, 0, 0, 0), (3, 1, 2, 1), (4, 1, 2, 2), (5, 2, 2, 0)])

    def unknown_parent(tra):
        rows_to(tra, [*TRACKS[:-1], (5, 2, 2, 77)])

    def twice(tra):
        rows_to(tra, [*TRACKS, TRACKS[0]])

    def words(tra):
        (tra / "man_track.txt").write_text("1 0 two 0\n")

    def rows_to(tra, tracks):
        (tra / "man_track.txt").write_text("".join(f"{' '.join(map(str, row))}\n" for row in tracks))

    return locals()[name]


BAD_MOVIES = {
    "missing_frame": "frame 1 is missing|missing",
    "repeated_frame": "frame 1 is there 2 times",
    "float_mask": "float",
    "rgb_mask": "RGB|colour|samples|channels",
    "cut_mask": "man_track001.tif",
    "other_shape": "shape|size",
    "label_without_mask": "label 9 lives in frames 0..2, but no mask",
    "mask_without_label": "label 5, but no track",
    "parent_too_late": "parent 1",
    "unknown_parent": "77",
    "twice": "label 1",
    "words": "two",
}


@pytest.mark.parametrize("spoil", BAD_MOVIES)
def test_a_bad_movie_is_refused_and_leaves_no_store(drawn, store, spoil, monkeypatch):
    monkeypatch.setattr(engine_ingest, "BATCH_ROWS", 1)
    spoil_nothing_but(spoil)(drawn / "01_GT" / "TRA")
    with pytest.raises(FormatError, match=BAD_MOVIES[spoil]):
        ingest(drawn, store)
    assert not store.path.exists()


def held(store):
    """How many rows each table of data has, and which arrays stand."""
    data = set(tables.metadata.tables) - {"run", "meta"}
    with store.reading() as connection:
        counts = {name: connection.exec_driver_sql(f"select count(*) from {name}").scalar_one() for name in data}
    return counts, sorted(p.name for p in (store.path / ARRAYS).iterdir())


@pytest.mark.parametrize("spoil", BAD_MOVIES)
def test_a_bad_movie_leaves_a_store_as_it_was(drawn, tmp_path, store, spoil, monkeypatch):
    monkeypatch.setattr(engine_ingest, "BATCH_ROWS", 1)
    ingest(write_ctc(tmp_path / "good", centres=CENTRES[:1], tracks=[(1, 0, 0, 0), (2, 0, 0, 0)]), store)
    before, all_before = everything(store), held(store)
    spoil_nothing_but(spoil)(drawn / "01_GT" / "TRA")
    with pytest.raises(FormatError):
        ingest(drawn, store)
    assert everything(store) == before
    assert held(store) == all_before
    assert check(store) == []


BAD_TABLES = {
    "t,y,x\n0,1,2\n0,one,3\n": "one",
    "t,y,x\n0,1,nan\n": "x",
    "t,y,x\n0,1,inf\n": "x",
    "t,y,x\n0,1,1e300\n": "x",
    "t,y,x\n-1,1,2\n": "-1",
    "t,y,x\n0.5,1,2\n": "0.5",
    "t,y\n0,1\n": "x",
    "": "empty|no header|column",
}


@pytest.mark.parametrize("text", BAD_TABLES)
def test_a_bad_table_is_refused_and_leaves_no_store(tmp_path, store, text):
    (tmp_path / "points.csv").write_text(text)
    with pytest.raises(FormatError, match=BAD_TABLES[text]):
        ingest(tmp_path / "points.csv", store)
    assert not store.path.exists()


def test_frames_without_cells_are_allowed_and_said(tmp_path, store):
    (tmp_path / "points.csv").write_text("t,y,x\n0,1,2\n3,1,2\n")
    progress = Recorded()
    assert ingest(tmp_path / "points.csv", store, progress=progress).frames == 4
    assert any("empty" in note or "no cells" in note or "without" in note for note in progress.notes)


def test_masks_of_changing_frame_shape_are_named(drawn, store):
    tifffile.imwrite(drawn / "01_GT" / "TRA" / "man_track002.tif", np.zeros((SHAPE[0] + 1, SHAPE[1]), np.uint16))
    with pytest.raises(FormatError, match=r"man_track002\.tif"):
        ingest(drawn, store)


@pytest.fixture
def stacks(tmp_path):
    """Stacks of two frames: the grey values of noise, 64 cells without background, one label in eight pieces."""
    grey = np.random.default_rng(0).integers(100, 300, (2, 64, 64), dtype=np.uint16)
    tiles = np.kron(np.arange(1, 65, dtype=np.uint16).reshape(1, 8, 8), np.ones((2, 8, 8), np.uint16))
    foreground = np.zeros((2, 64, 64), np.uint16)
    foreground[:, 10::30, 4::16] = foreground[:, 11::30, 4::16] = 1
    for name, pixels in (("grey", grey), ("tiles", tiles), ("foreground", foreground)):
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels)
    return tmp_path


def told_of(stacks, name, **options):
    progress = Recorded()
    ingest(stacks / f"{name}.tif", DuckDBStore(stacks / f"{name}.trackdb"), progress=progress, **options)
    return progress.notes


def test_a_raw_image_in_place_of_masks_is_refused_unless_it_is_said_to_be_one(stacks):
    with pytest.raises(FormatError, match=r"these are no label masks.*--images IMAGES"):
        told_of(stacks, "grey")
    assert not (stacks / "grey.trackdb").exists()
    assert any("are these label masks?" in note for note in told_of(stacks, "grey", file_format="masks"))
    assert not any("label masks" in note for note in told_of(stacks, "tiles"))


def test_a_foreground_in_place_of_labels_is_told(stacks):
    assert any("one label, in 8 pieces" in note for note in told_of(stacks, "foreground"))
    assert not any("pieces" in note for note in told_of(stacks, "tiles"))
