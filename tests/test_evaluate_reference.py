"""Solutions against trackings in files: what a cell is, what is missed, and py-ctcmetrics on the same files."""

import numpy as np
import pytest
import tifffile

import trackdb
from trackdb.engine import ctc_metrics
from trackdb.engine.evaluate import evaluate
from trackdb.engine.evaluation import require_at_least
from trackdb.engine.imports.importing import import_tracking
from trackdb.engine.ingest import ingest
from trackdb.engine.pipeline import solve
from trackdb.errors import CheckFailedError, ConfigError, FormatError, MissingRowsError
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import SourceOptions

from .movies import DIVIDING, dividing_cells, square_mask, write_ctc, write_rows
from .test_import import SHIFTED, SHIFTED_TRACKS, write_result

# Truth: a cell that divides, and one that wanders; numbers are labels.
#
#   frame   0     1     2     3
#           1 --- 1 -+- 2 --- 2
#                    +- 3 --- 3
#           4 --- 4 --- 4 --- 4
CENTRES = [
    {1: (20, 10), 4: (50, 10)},
    {1: (20, 15), 4: (50, 15)},
    {2: (10, 20), 3: (30, 20), 4: (50, 20)},
    {2: (10, 25), 3: (30, 25), 4: (50, 25)},
]
TRACKS = [(1, 0, 1, 0), (2, 2, 3, 1), (3, 2, 3, 1), (4, 0, 3, 0)]
SHAPE = (64, 64)
PERFECT = {"NS": 0, "FN": 0, "FP": 0, "ED": 0, "EA": 0, "EC": 0}


@pytest.fixture
def truth(tmp_path):
    """The drawn truth as a folder of the challenge."""
    return write_ctc(tmp_path / "true", centres=CENTRES, tracks=TRACKS, shape=SHAPE) / "01_GT"


def result_of(folder, frames, tracks, draw=square_mask):
    """Write a result of the challenge and bring it into a store; return store, set and solution."""
    folder.mkdir()
    for t, frame in enumerate(frames):
        tifffile.imwrite(folder / f"mask{t:03d}.tif", draw(frame, SHAPE))
    (folder / "res_track.txt").write_text("".join(f"{' '.join(map(str, row))}\n" for row in tracks))
    store = DuckDBStore(folder.with_suffix(".trackdb"))
    ingest(folder, store)
    return store, *store.find_solution(name=folder.name)


def changed(t, **cells):
    """Return the drawn cells with some of frame t moved, added or, where None, taken away."""
    frames = [dict(frame) for frame in CENTRES]
    for key, centre in cells.items():
        frames[t].pop(int(key[1:]), None)
        if centre is not None:
            frames[t][int(key[1:])] = centre
    return frames


ERRORS = {
    "nothing wrong": (CENTRES, TRACKS, {}, 1.0, 1.0),
    "a link missed": (
        [*CENTRES[:3], {2: (10, 25), 3: (30, 25), 5: (50, 25)}],
        [*TRACKS[:3], (4, 0, 2, 0), (5, 3, 3, 0)],
        {"EA": 1},
        7 / 8,
        9 / 10,
    ),
    "a division missed": (
        [*CENTRES[:2], *({1: f[2], 3: f[3], 4: f[4]} for f in CENTRES[2:])],
        [(1, 0, 3, 0), (3, 2, 3, 0), (4, 0, 3, 0)],
        {"EA": 1, "EC": 1},
        7 / 8,
        1.0,
    ),
    "an only daughter in the files": (
        [*CENTRES[:2], *({2: f[2], 3: f[3], 5: f[4]} for f in CENTRES[2:])],
        [*TRACKS[:3], (4, 0, 1, 0), (5, 2, 3, 4)],
        {},  # in the store her track is her mother's
        1.0,
        1.0,
    ),
    "two cells swapped": (
        [*CENTRES[:3], {3: (10, 25), 2: (30, 25), 4: (50, 25)}],
        TRACKS,
        {"ED": 2, "EA": 2},
        6 / 8,
        8 / 10,
    ),
    "a cell missed": (
        changed(1, _4=None),
        [*TRACKS[:3], (4, 0, 0, 0), (5, 2, 3, 4)],
        {"FN": 1, "EA": 2, "ED": 1},  # the link over the gap is no true one
        6 / 8,
        9 / 10,
    ),
    "a false cell": (changed(1, _9=(40, 50)), [*TRACKS, (9, 1, 1, 0)], {"FP": 1}, 1.0, 1.0),
}
ERRORS["a cell missed"][0][2][5] = ERRORS["a cell missed"][0][2].pop(4)
ERRORS["a cell missed"][0][3][5] = ERRORS["a cell missed"][0][3].pop(4)


@pytest.mark.parametrize("error", ERRORS)
def test_each_error_is_measured_as_drawn_and_as_py_ctcmetrics_does(truth, tmp_path, error):
    pytest.importorskip("ctc_metrics", reason="needs the extra `evaluate`")
    frames, tracks, operations, accuracy, effectiveness = ERRORS[error]
    result = evaluate(*result_of(tmp_path / "01_RES", frames, tracks), against=truth, by_py_ctcmetrics=True)
    assert {k: result.ctc[f"AOGM_{k}"] for k in PERFECT} == PERFECT | operations
    assert result.disagreements() == []
    assert result.association_accuracy == pytest.approx(accuracy)
    assert result.target_effectiveness == pytest.approx(effectiveness)
    assert (result.as_dict()["ctc"]["by"], result.reference_cells) == ("py-ctcmetrics", 10)


def merged(frame, shape):
    """Draw the daughters as one cell where they are told as one, under label 2."""
    mask = square_mask(frame, shape)
    if 23 in frame:
        mask[8:33, 18:23] = 23
    return mask


def test_two_cells_in_one_mask_are_a_split_that_was_missed(truth, tmp_path):
    frames = [CENTRES[0], CENTRES[1], {23: (20, 20), 4: (50, 20)}, CENTRES[3]]
    tracks = [(1, 0, 1, 0), (23, 2, 2, 1), (2, 3, 3, 23), (3, 3, 3, 23), (4, 0, 3, 0)]
    result = evaluate(*result_of(tmp_path / "01_RES", frames, tracks, merged), against=truth, by_py_ctcmetrics=True)
    assert {k: result.ctc[f"AOGM_{k}"] for k in PERFECT} == PERFECT | {"NS": 1, "EA": 4}
    assert result.disagreements() == []
    assert (result.reference_matched, result.association_accuracy) == (10, 6 / 8)  # one daughter is the mask


def random_movie(rng, shape=(40, 40)):
    """Return masks of a few frames with overlapping discs, some cut in two, and a random track file over them."""
    axes = np.ogrid[: shape[0], : shape[1]]
    masks, alive, tracks, parent_of = [], {}, [], {}
    label = 0
    for t in range(5):
        mask = np.zeros(shape, dtype=np.uint16)
        here = {}
        for _ in range(6):
            y, x, r = rng.integers(4, 36), rng.integers(4, 36), rng.integers(2, 6)
            goes_on = [k for k in alive if k not in here and k not in parent_of.values()]
            if goes_on and rng.random() < 0.6:
                k = goes_on[rng.integers(len(goes_on))]
            else:
                label += 1
                k = label
                mothers = [m for m in alive if m not in here]
                if mothers and rng.random() < 0.6:
                    parent_of[k] = mothers[rng.integers(len(mothers))]
            here[k] = t
            mask[(axes[0] - y) ** 2 + (axes[1] - x) ** 2 <= r * r] = k
        held = {int(k) for k in np.unique(mask) if k}
        for k in held:
            if k not in alive:
                mother = parent_of.get(k, 0)
                tracks.append([k, t, t, mother if mother and mother not in held else 0])
            else:
                next(row for row in tracks if row[0] == k)[2] = t
        alive = dict.fromkeys(held, t)
        masks.append(mask)
    return masks, tracks


def as_valid(tracks):
    """Drop parents that live on beside their daughters."""
    last = {k: b for k, _, b, _ in tracks}
    return [(k, a, b, p if p in last and last[p] < a else 0) for k, a, b, p in tracks]


@pytest.mark.parametrize("seed", range(8))
def test_random_masks_are_measured_as_py_ctcmetrics_does(tmp_path, seed):
    """Cells cover each other, split and fuse, gaps are told as parents: whatever masks can do to a graph."""
    pytest.importorskip("ctc_metrics", reason="needs the extra `evaluate`")
    rng = np.random.default_rng(seed)
    masks, tracks = random_movie(rng)
    tra = tmp_path / "01_GT" / "TRA"
    tra.mkdir(parents=True)
    for t, mask in enumerate(masks):
        tifffile.imwrite(tra / f"man_track{t}.tif", mask)  # names without zeros
    (tra / "man_track.txt").write_text("".join(f"{' '.join(map(str, row))}\n" for row in as_valid(tracks)))
    res = tmp_path / "01_RES"
    res.mkdir()
    for t, (mask, other) in enumerate(zip(masks, random_movie(rng)[0], strict=True)):
        a, b = rng.choice(np.unique(mask[mask > 0]), 2, replace=False)
        mask = np.where(mask == a, b, mask)  # two cells in one
        upper = np.arange(40)[:, None] < rng.integers(20, 38)  # above as it is, below something else
        tifffile.imwrite(res / f"mask{t:03d}.tif", np.where(upper, mask, other + np.uint16(1000) * (other > 0)))
    store = DuckDBStore(tmp_path / "a.trackdb")
    ingest(res, store, file_format="masks")
    solve(store, store.detection_set())
    result = evaluate(store, *store.find_solution(), against=tmp_path / "01_GT", by_py_ctcmetrics=True)
    assert result.measured is not None
    assert result.disagreements() == []
    assert result.corrections.aogm > 0


def test_another_solution_is_measured_through_its_export(truth, tmp_path):
    pytest.importorskip("ctc_metrics", reason="needs the extra `evaluate`")
    frames, tracks, *_ = ERRORS["a cell missed"]
    store, chosen, info = result_of(tmp_path / "01_RES", frames, tracks)
    import_tracking(truth, store, chosen)
    solve(store, chosen)
    for name in ("01_RES", "truth"):
        result = evaluate(store, chosen, store.solutions(chosen)["ilp-1"], against=name, by_py_ctcmetrics=True)
        assert result.disagreements() == []
    assert evaluate(store, chosen, info, against="truth").lost_cells == 1


def test_cells_that_were_dropped_from_the_truth_in_the_store_are_told(truth, tmp_path):
    frames, tracks, *_ = ERRORS["a cell missed"]
    store, chosen, info = result_of(tmp_path / "01_RES", frames, tracks)
    import_tracking(truth, store, chosen)
    result = evaluate(store, chosen, info)
    assert (result.lost_cells, result.lost_links, result.association_accuracy) == (1, 2, 1.0)
    assert any("truth is in the store without 1 cells that have no detection, and 2 links" in n for n in result.notes())
    against_file = evaluate(store, chosen, info, against=truth)
    assert (against_file.lost_cells, against_file.association_accuracy) == (0, 6 / 8)


def test_only_daughters_of_the_files_are_told(truth, tmp_path):
    frames, tracks, *_ = ERRORS["an only daughter in the files"]
    other = result_of(tmp_path / "01_RES", frames, tracks)[0].path.with_suffix("")
    store, chosen, info = result_of(tmp_path / "02_RES", CENTRES, TRACKS)
    assert evaluate(store, chosen, info, against=other).ctc["AOGM_EC"] == 1
    import_tracking(other, store, chosen, name="theirs")
    result = evaluate(store, chosen, info, against="theirs")
    assert result.ctc["AOGM_EC"] == 0
    assert any("1 tracks of theirs began with an only daughter" in note for note in result.notes())


@pytest.fixture
def points(tmp_path):
    """Dividing cells as points with their truth in the table, solved."""
    store = DuckDBStore(tmp_path / "points.trackdb")
    ingest(write_rows(tmp_path / "points.csv", dividing_cells(), header=DIVIDING), store)
    solve(store, store.detection_set())
    return store


def test_a_table_is_a_reference_as_good_as_the_truth_in_the_store(points, tmp_path):
    own = evaluate(points, *points.find_solution())
    by_file = evaluate(points, *points.find_solution(), against=tmp_path / "points.csv")
    assert by_file.figures() == pytest.approx(own.figures(), rel=0, abs=0, nan_ok=True)
    assert by_file.against == str(tmp_path / "points.csv")


def test_cells_of_a_table_that_nobody_detected_are_missed(points, tmp_path):
    extra = [(t, 1000, 1000 + t, 9000 + t, 8999 + t if t else "") for t in range(8)]
    table = write_rows(tmp_path / "more.csv", [*dividing_cells(), *extra], header=DIVIDING)
    own, more = (evaluate(points, *points.find_solution(), against=a) for a in ("truth", table))
    assert more.reference_cells - more.reference_matched == 8
    assert (more.edges.fn, more.associations.fn) == (own.edges.fn + 7, own.associations.fn + 7)
    assert more.corrections.missed_cells == own.corrections.missed_cells + 8
    n = own.reference_cells
    assert more.target_effectiveness == pytest.approx(own.target_effectiveness * n / (n + 8))
    assert any(f"8 of {n + 8} cells of" in note for note in more.notes())


def test_a_sparse_truth_forgives_what_it_does_not_know(points, tmp_path):
    rows = dividing_cells()
    family = {rows[0][3]}
    for _, _, _, cell, parent in rows:
        if parent in family:
            family.add(cell)
    table = write_rows(tmp_path / "sparse.csv", [r for r in rows if r[3] in family], header=DIVIDING)
    chosen, info = points.find_solution()
    dense, sparse = (evaluate(points, chosen, info, against=table, sparse=s) for s in (False, True))
    assert dense.edges == sparse.edges
    assert (dense.corrections.false_cells, sparse.corrections.false_cells) == (len(rows) - len(family), 0)
    assert dense.associations.fp > sparse.associations.fp == sparse.edges.fp
    assert sparse.corrections.tra > dense.corrections.tra
    assert any("--sparse-truth" in note for note in dense.notes())


def test_no_overlap_at_all_is_said_and_measured(points, tmp_path):
    table = write_rows(
        tmp_path / "far.csv", [(t, 9e4, 9e4, t, "" if t == 0 else t - 1) for t in range(4)], header=DIVIDING
    )
    result = evaluate(points, *points.find_solution(), against=table)
    assert (result.reference_matched, result.association_accuracy, result.target_effectiveness) == (0, 0.0, 0.0)
    assert result.corrections.det == 0.0
    assert any("4 of 4 cells" in note for note in result.notes())


def test_aogm_has_a_most_and_the_rest_a_least(truth, tmp_path):
    result = evaluate(*result_of(tmp_path / "01_RES", *ERRORS["a link missed"][:2]), against=truth)
    require_at_least(result, {"AOGM": 1.5, "association_accuracy": 0.85, "target_effectiveness": 0.9, "LNK": 0.8})
    with pytest.raises(CheckFailedError, match=r"AOGM is 1\.5, wanted at most 1"):
        require_at_least(result, {"AOGM": 1.0})
    with pytest.raises(CheckFailedError, match=r"DET is 1\.0000, wanted at least 1\.1"):
        require_at_least(result, {"DET": 1.1})


def test_a_disagreement_is_named(truth, tmp_path, monkeypatch):
    pytest.importorskip("ctc_metrics", reason="needs the extra `evaluate`")
    solution = result_of(tmp_path / "01_RES", CENTRES, TRACKS)
    monkeypatch.setattr("trackdb.engine.metrics.corrections.MISSED_CELL", 11.0)
    found = evaluate(*solution, against=truth, by_py_ctcmetrics=True).disagreements()
    assert found == ["AOGM_0 is 112 by py-ctcmetrics, 122 on the graphs"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"against": "nowhere"},
            MissingRowsError,
            "trackdb holds no solution named nowhere to compare with, and",
        ),
        ({"against": "01_RES"}, ConfigError, "compared with itself"),
        ({"against": "TRUTH", "sparse": True, "by_py_ctcmetrics": True}, ConfigError, "knows no sparse truth"),
        ({"against": "twin", "match_distance": 3.0}, ConfigError, "twin is a solution in the store"),
        ({"against": "twin", "options": SourceOptions(sequence="01")}, ConfigError, "twin is a solution in the store"),
        ({"against": "TRUTH", "match_distance": 3.0}, ConfigError, "which need none"),
        ({"against": "TABLE", "by_py_ctcmetrics": True}, ConfigError, "is no folder of the challenge"),
        (
            {"against": "TRUTH", "options": SourceOptions(frames=slice(0, 4)), "by_py_ctcmetrics": True},
            ConfigError,
            "reads all frames",
        ),
        ({"against": "SMALL"}, FormatError, "another size than that of the detections"),
        ({"against": "SHORT"}, FormatError, "masks of other frames than dataset .*; expected: 4 frames; got: 3"),
    ],
)
def test_what_cannot_be_compared_is_refused(truth, tmp_path, options, error, message):
    pytest.importorskip("ctc_metrics", reason="needs the extra `evaluate`")
    store, chosen, info = result_of(tmp_path / "01_RES", CENTRES, TRACKS)
    import_tracking(truth, store, chosen, name="twin")
    places = {
        "TRUTH": truth,
        "TABLE": write_rows(tmp_path / "t.csv", [(0, 20, 10, 1)], header="t,y,x,track"),
        "SMALL": write_ctc(tmp_path / "small", centres=CENTRES, tracks=TRACKS, shape=(60, 60)) / "01_GT",
        "SHORT": write_result(tmp_path / "short", SHIFTED, SHIFTED_TRACKS),
    }
    options = {**options, "against": places.get(options["against"], options["against"])}
    with pytest.raises(error, match=message):
        evaluate(store, chosen, info, **options)


def test_points_are_not_measured_by_py_ctcmetrics_against_masks(points, truth):
    with pytest.raises(ConfigError, match=r"the detections of points are points.*on the graphs"):
        evaluate(points, *points.find_solution(), against=truth, by_py_ctcmetrics=True, options=SourceOptions())


def test_without_the_extra_it_says_how_to_get_it(truth, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ctc_metrics.scripts.evaluate", None)
    with pytest.raises(ConfigError, match=r"pip install \"trackdb\[evaluate\]\""):
        evaluate(*result_of(tmp_path / "01_RES", CENTRES, TRACKS), against=truth, by_py_ctcmetrics=True)


def test_truth_is_laid_out_for_tools_that_sort_names_as_text(tmp_path):
    tra = tmp_path / "TRA"
    tra.mkdir()
    for t in range(11):
        tifffile.imwrite(tra / f"man_track{t}.tif", square_mask({1: (10, 10 + t)}))
    (tra / "man_track.txt").write_text("﻿1\t0\t10\t0\n\n", encoding="utf-8")
    ctc_metrics.lay_out_truth(tra, tmp_path / "01_GT" / "TRA")
    names = sorted(path.name for path in (tmp_path / "01_GT" / "TRA").iterdir())
    assert names == ["man_track.txt", *(f"man_track{t:03d}.tif" for t in range(11))]
    assert (tmp_path / "01_GT" / "TRA" / "man_track.txt").read_text() == "1 0 10 0\n"
    last = tifffile.imread(tmp_path / "01_GT" / "TRA" / "man_track010.tif")
    assert np.array_equal(last, square_mask({1: (10, 20)}))


def test_from_python_a_solution_is_held_to_any_truth(truth, tmp_path):
    store, *_ = result_of(tmp_path / "01_RES", CENTRES, TRACKS)
    db = trackdb.open(store.path, write=True)
    theirs = db.import_tracking(truth, name="theirs")
    assert (theirs.name, theirs.linker) == ("theirs", "imported")
    result = trackdb.evaluate(db.solution("01_RES"), truth=truth / "TRA")
    assert result.association_accuracy == db.solution("01_RES").evaluate("theirs").association_accuracy == 1.0
    with pytest.raises(ConfigError, match="write=True"):
        trackdb.open(store.path).import_tracking(truth)
