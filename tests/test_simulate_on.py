"""Movies drawn on real lineages: the truth is the lineage, cells are where its points are."""

import json

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from trackdb.cli.main import app
from trackdb.engine.measure import measure
from trackdb.engine.progress import Recorded
from trackdb.engine.simulation import Drawing, Known, simulate_on, write_movie
from trackdb.errors import ConfigError, FormatError
from trackdb.storage.formats.base import SourceOptions

from .graph_files import write_trackmate
from .movies import CENTRES, SHAPE, TRACKS, dividing_cells, write_ctc, write_rows

CLEAN = Drawing(missed=0, false=0, ragged_px=0)

# Three cells in five frames, ids of the table:
#
#   frame      0     1     2     3     4
#   (y=20)     1 --- 2 --- 3 ========= 7     3 skips frame 3
#   (y=60)     4 --- 5 -+- 6 --- 8           5 divides
#                       +- 9 --- 10 -- 11
#   (y=90)                   12              alone
#   (y=119)                              13  alone, and in the corner, where half of it is cut off
ROWS = [
    (0, 20, 30, 1, ""), (1, 20, 31, 2, 1), (2, 20, 32, 3, 2), (4, 20, 33, 7, 3),
    (0, 60, 30, 4, ""), (1, 60, 30, 5, 4), (2, 52, 30, 6, 5), (2, 68, 30, 9, 5),
    (3, 52, 31, 8, 6), (3, 68, 31, 10, 9), (4, 69, 31, 11, 10), (2, 90, 60, 12, ""), (4, 119, 89, 13, ""),
]  # fmt: skip


@pytest.fixture
def table(tmp_path):
    return write_rows(tmp_path / "drawn.csv", ROWS, header="t,y,x,id,parent")


def centres(drawn) -> dict[int, list[float]]:
    regions = measure(drawn.truth)
    return dict(zip(regions.label.tolist(), regions.centroid_px.tolist(), strict=True))


def test_the_truth_is_the_lineage_of_the_table(table):
    movie = simulate_on(Known(table, SourceOptions()), CLEAN)
    drawn = list(movie)
    first = centres(drawn[0])
    upper, lower = sorted(first, key=lambda track: first[track][0])
    tracks = {label: (begin, end, mother) for label, begin, end, mother in movie.tracks.tolist()}
    assert len(tracks) == 7
    assert tracks[upper] == (0, 2, 0)
    assert tracks[lower] == (0, 1, 0)
    rest = sorted(tracks[label] for label in tracks if label not in (upper, lower))
    # a gap parts a track in two, and the first is the parent of the second
    assert rest == [(2, 2, 0), (2, 3, lower), (2, 4, lower), (4, 4, 0), (4, 4, upper)]
    for frame in range(5):
        wanted = sorted((y, x) for t, y, x, *_ in ROWS if t == frame and y < 119)
        got = sorted(tuple(c) for c in centres(drawn[frame]).values() if c[0] < 100)
        np.testing.assert_allclose(got, wanted, atol=2.0)


def test_cells_about_to_divide_look_like_it_and_no_others(table):
    scenes = list(simulate_on(Known(table, SourceOptions()), CLEAN).cast.scenes())
    divides = [
        (frame, scene.track[i]) for frame, (scene, _) in enumerate(scenes) for i in np.flatnonzero(scene.divides)
    ]
    assert [frame for frame, _ in divides] == [1]


def test_a_cell_keeps_its_look_over_a_gap(table):
    scenes = [scene for scene, _ in simulate_on(Known(table, SourceOptions()), CLEAN).cast.scenes()]
    before = scenes[2].looks.traits[np.argmin(scenes[2].position[:, 0])]
    after = scenes[4].looks.traits[np.argmin(scenes[4].position[:, 0])]
    other = scenes[4].looks.traits[np.argmax(scenes[4].position[:, 0])]
    assert np.corrcoef(before, after)[0, 1] > 0.9
    assert abs(np.corrcoef(before, other)[0, 1]) < 0.6


def test_a_mask_source_is_drawn_anew_in_its_own_frame(tmp_path):
    folder = write_ctc(tmp_path / "drawn")
    movie = simulate_on(Known(folder / "01_GT", SourceOptions(), radius_px=4.0), CLEAN)
    drawn = list(movie)
    assert movie.shape == SHAPE
    for frame, wanted in zip(drawn, CENTRES, strict=True):
        got = sorted(tuple(c) for c in centres(frame).values())
        np.testing.assert_allclose(got, sorted(wanted.values()), atol=1.5)
    lives = sorted((begin, end, mother > 0) for _, begin, end, mother in movie.tracks.tolist())
    assert lives == sorted((begin, end, mother > 0) for _, begin, end, mother in TRACKS)


def test_the_radius_comes_from_the_neighbours_unless_it_is_given(tmp_path):
    rows = [(t, y, x, 10 * y + x) for t in range(2) for y in range(0, 100, 20) for x in range(0, 100, 20)]
    path = write_rows(tmp_path / "grid.csv", rows, header="t,y,x,track")
    assert simulate_on(Known(path, SourceOptions()), CLEAN).cast.radius == pytest.approx(0.45 * 20)
    assert simulate_on(Known(path, SourceOptions(), zoom=0.5), CLEAN).cast.radius == pytest.approx(0.45 * 10)
    assert simulate_on(Known(path, SourceOptions(), radius_px=4), CLEAN).cast.radius == 4
    lone = write_rows(tmp_path / "lone.csv", [(0, 20, 20, 1)], header="t,y,x,track")
    assert simulate_on(Known(lone, SourceOptions()), CLEAN).cast.radius == 9


def test_zoom_and_voxel_size_go_together(table, tmp_path):
    options = SourceOptions(scale_um=(0.5, 0.25), interval_s=60.0)
    movie = simulate_on(Known(table, options, zoom=2.0), CLEAN)
    assert movie.settings.scale_um == (0.25, 0.125)
    assert movie.settings.interval_s == 60.0
    report = write_movie(tmp_path / "m", movie)
    assert (report.cells, report.divisions) == (13, 1)
    first = next(iter(simulate_on(Known(table, SourceOptions(), zoom=2.0), CLEAN)))
    np.testing.assert_allclose(sorted(centres(first).values()), [[40.5, 60.5], [120.5, 60.5]], atol=2.5)
    assert "zoom 2" in (tmp_path / "m" / "README.txt").read_text()


def test_negative_positions_are_moved_and_told(tmp_path):
    path = write_rows(tmp_path / "low.csv", [(0, -7.5, 3, 1), (1, 30, 40, 1)], header="t,y,x,track")
    progress = Recorded()
    movie = simulate_on(Known(path, SourceOptions()), CLEAN, progress=progress)
    assert any("moved by [8, 0] pixels" in note for note in progress.notes)
    np.testing.assert_allclose(next(movie.cast.scenes())[0].position, [[0.5, 3]])
    assert movie.shape == (39, 41)


def test_points_that_share_a_pixel_each_have_one(tmp_path):
    rows = [(t, 5.0, 5.0 + 0.1 * k, k) for t in range(2) for k in range(6)]
    path = write_rows(tmp_path / "heap.csv", rows, header="t,y,x,track")
    for drawn in simulate_on(Known(path, SourceOptions()), Drawing(missed=0, false=0, split=1.0)):
        assert len(np.unique(drawn.truth)) == 7
        assert len(np.unique(drawn.mask)) >= 7


def test_only_the_first_frames_are_drawn_where_so_asked(table):
    movie = simulate_on(Known(table, SourceOptions(), frames=2), CLEAN)
    assert len(list(movie)) == 2
    assert movie.tracks[:, 1:].tolist() == [[0, 1, 0], [0, 1, 0]]


def test_detections_outside_of_the_lineage_are_left_out_and_told(tmp_path):
    spots = write_rows(tmp_path / "spots.csv", [(0, 5, 5, 1), (1, 5, 6, 2), (1, 30, 30, 3)], header="t,y,x,id")
    links = write_rows(tmp_path / "links.csv", [(1, 2)], header="source,target")
    movie = simulate_on(Known(spots, SourceOptions(links=links)), CLEAN)
    assert sum(len(measure(drawn.truth)) for drawn in movie) == 3  # a table of links names all spots, linked or not
    folder = write_ctc(tmp_path / "ctc")
    with pytest.raises(ConfigError, match=r"the truth of .* has masks of its own; try: --on "):
        simulate_on(Known(folder / "01_GT" / "TRA", SourceOptions(truth=folder / "01_GT"), "masks"), CLEAN)


def test_a_cell_of_two_mothers_is_drawn_as_a_new_one(tmp_path):
    progress = Recorded()
    path = write_trackmate(tmp_path / "tracks.xml")  # spots 16 and 17 merge into 18, in frame 3
    movie = simulate_on(Known(path, SourceOptions()), CLEAN, progress=progress)
    assert sum(1 for _ in movie) == 5
    assert any("cells of several mothers, drawn as new ones: 1" in note for note in progress.notes)
    lives = sorted((begin, end, mother > 0) for _, begin, end, mother in movie.tracks.tolist())
    # 10-11, 12-14 and 13-15, its daughters; 20-16 and 22-17; 18; 30-31 and 32-33, over a gap
    assert lives == sorted(
        [(0, 1, False), (2, 3, True), (2, 3, True), (0, 2, False), (0, 2, False), (3, 3, False), (0, 1, False),
         (3, 4, True)]
    )  # fmt: skip
    assert movie.settings.scale_um == pytest.approx((0.5, 0.5))
    assert movie.settings.interval_s == 300.0


@pytest.mark.parametrize(
    ("known", "error", "message"),
    [
        ({"zoom": 0}, ConfigError, "zoom must be between 0.001 and 1000, got 0"),
        ({"frames": 0}, ConfigError, "frames must be at least 1, got 0"),
        ({"radius_px": -1}, ConfigError, "radius must be between 0.1 and 1000"),
        ({"zoom": 1000}, ConfigError, "a frame would have .* pixels; expected: 2,147,483,648 at most; try: --zoom"),
        ({"path": "none.csv"}, FormatError, "there is nothing at"),
        ({"path": "empty.csv"}, FormatError, "is empty"),
        ({"path": "bare.csv"}, FormatError, "tells no lineage"),
    ],
)
def test_what_cannot_be_drawn_is_refused(table, tmp_path, known, error, message):
    (tmp_path / "empty.csv").touch()
    write_rows(tmp_path / "bare.csv", [(0, 1, 2)])
    path = tmp_path / known.pop("path", table.name)
    with pytest.raises(error, match=message):
        simulate_on(Known(path, SourceOptions(), **known), CLEAN)


def test_the_same_seed_draws_the_same(tmp_path):
    path = write_rows(tmp_path / "t.csv", dividing_cells(), header="t,y,x,id,parent")
    one, again, other = (
        list(simulate_on(Known(path, SourceOptions()), Drawing(seed=seed, merged=0.1))) for seed in (1, 1, 2)
    )
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.mask, b.mask)
    assert not np.array_equal(one[0].image, other[0].image)
    middle = next(simulate_on(Known(path, SourceOptions()), Drawing(seed=1, merged=0.1)).frames(4))
    np.testing.assert_array_equal(middle.image, one[4].image)


def command(*words):
    result = CliRunner().invoke(app, ["simulate", *map(str, words), "--json", "-q"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.data
def test_c2c12_myoblasts_come_alive(data_dir, tmp_path):
    source = data_dir / "c2c12_ker2018_ccby" / "Sparse5"
    found = command(
        "-o", tmp_path / "m", "--on", source / "regionprops.csv.gz", "--truth", source / "02_GT", "--frames", 3,
        "--modality", "phase", "--merged", 0.05, "--split", 0.05,
    )  # fmt: skip
    assert found["frames"] == 3
    frames = np.loadtxt(source / "regionprops.csv.gz", delimiter=",", skiprows=1, usecols=1)
    for frame in range(3):
        truth = tifffile.imread(tmp_path / "m" / "01_GT" / "TRA" / f"man_track{frame:03d}.tif")
        assert len(np.unique(truth)) - 1 == np.count_nonzero(frames == frame)


@pytest.mark.data
def test_an_ascidian_embryo_comes_alive(data_dir, tmp_path):
    source = data_dir / "astec_ascidian_ccby"
    found = command(
        "-o", tmp_path / "m", "--on", source / "Pm03_spots.csv.gz", "--links", source / "Pm03_links.csv.gz",
        "--frames", 12, "--zoom", 0.15, "--no-images",
    )  # fmt: skip
    assert len(found["shape"]) == 3
    assert found["divisions"] >= 10
    assert found["tracks"] >= 46 + found["divisions"]
