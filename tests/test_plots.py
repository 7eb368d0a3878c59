"""Pictures of lineages and of frames, and the review list as a page: what is drawn of a family drawn by hand."""

import importlib.util
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from trackdb.engine.exports.tracking import tracking_of
from trackdb.engine.ingest import ingest
from trackdb.engine.pixels import NO_PIXELS, PixelsInMemory
from trackdb.engine.plots.crops import _square
from trackdb.engine.plots.drawing import doubt_of
from trackdb.engine.plots.overlay import boundary, flat, grey, plot_overlay, tail_links
from trackdb.engine.plots.page import write_page
from trackdb.engine.plots.tree import plot_tree, tip_columns
from trackdb.engine.review.queue import Outcome, Question, ReviewList
from trackdb.errors import ConfigError, FormatError, MissingRowsError
from trackdb.storage.duckdb_store import DuckDBStore

from .command_line import answer, refusal
from .movies import DIVIDING, write_rows

drawn = pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed")

# Two families; numbers are ids in the table, in brackets the tracks of the walk:
#
#   frame   0     1     2     3     4
#           1 --- 2 -+- 3 --- 5              1 2 [1]   3 5 [2], lost after frame 3
#                    +- 4 -+- 6 --- 10       4 [3]     6 10 [4]  7 [5], lost after frame 3
#                          +- 7
#                       8 --- 9 --- 11       8 9 11 [6]
FAMILIES = [
    (0, 10, 10, 1, ""),
    (1, 10, 11, 2, 1),
    (2, 5, 12, 3, 2),
    (2, 15, 12, 4, 2),
    (3, 5, 13, 5, 3),
    (3, 13, 13, 6, 4),
    (3, 17, 13, 7, 4),
    (2, 80, 80, 8, ""),
    (3, 80, 81, 9, 8),
    (4, 13, 14, 10, 6),
    (4, 80, 82, 11, 9),
]


@pytest.fixture
def store(tmp_path):
    """A store that holds the drawn families as truth."""
    made = DuckDBStore(tmp_path / "family.trackdb")
    ingest(write_rows(tmp_path / "family.csv", FAMILIES, header=DIVIDING), made)
    return made


@pytest.fixture
def tracking(store):
    """The drawn families."""
    return tracking_of(store, *store.find_solution())


@pytest.fixture
def cell(tracking):
    """Number of each cell in the store by its id in the table."""
    return dict(zip(tracking.cells.label.tolist(), tracking.cells.id.tolist(), strict=True))


def test_tips_stand_side_by_side_and_mothers_above_the_middle_of_their_daughters(tracking):
    every = np.ones(len(tracking.tracks), dtype=bool)
    column = dict(zip(tracking.tracks.id.tolist(), tip_columns(tracking.tracks, every).tolist(), strict=True))
    assert column == {1: 0.75, 2: 0, 3: 1.5, 4: 1, 5: 2, 6: 3}
    alone = tip_columns(tracking.tracks, tracking.tracks.lineage == 6)
    assert alone.tolist() == [0]


def test_a_doubt_that_is_not_known_is_a_class_of_its_own():
    assert doubt_of(np.array([1, 0.995, 0.98, 0.9, 0.7, 0.5, 0.2, 0, np.nan])).tolist() == [0, 0, 1, 2, 2, 3, 3, 3, 4]


@drawn
def test_the_largest_lineages_are_drawn_first_and_a_cell_chooses_its_own(tracking, cell, tmp_path):
    both = plot_tree(tracking, tmp_path / "both.svg")
    assert (both.lineages, both.of_lineages, both.tracks, both.links) == (2, 2, 6, 9)
    one = plot_tree(tracking, tmp_path / "one.svg", lineages=1)
    assert (one.lineages, one.tracks, one.links) == (1, 5, 7)
    own = plot_tree(tracking, tmp_path / "own.png", cell=cell[9])
    assert (own.lineages, own.tracks, own.links) == (1, 1, 2)
    assert (tmp_path / "own.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(MissingRowsError, match=f"solution truth; try: trackdb sql {tmp_path}/family"):
        plot_tree(tracking, tmp_path / "none.svg", cell=99)
    assert not (tmp_path / "none.svg").exists()


@drawn
def test_the_same_lineage_gives_the_same_file(tracking, tmp_path):
    for name in ("a.svg", "b.svg"):
        plot_tree(tracking, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    with pytest.raises(FormatError, match="exists already"):
        plot_tree(tracking, tmp_path / "a.svg")


def test_a_tail_is_the_way_of_a_cell_some_frames_back(tracking):
    here = np.flatnonzero(tracking.cells.frame == 3)

    def way(tail):
        links = tail_links(tracking, here, tail)
        ends = tracking.cells.label[tracking.source[links]], tracking.cells.label[tracking.target[links]]
        return set(zip(*(end.tolist() for end in ends), strict=True))

    assert way(0) == set()
    assert way(1) == {(3, 5), (4, 6), (4, 7), (8, 9)}
    assert way(2) == way(1) | {(2, 3), (2, 4)}
    assert way(9) == way(2) | {(1, 2)}
    assert len(tail_links(tracking, here[:0], 5)) == 0


def test_the_boundary_of_a_cell_is_its_own_pixels_that_touch_others():
    mask = np.zeros((6, 7), int)
    mask[1:5, 1:5], mask[1:5, 5] = 1, 2
    assert np.argwhere(~boundary(mask) & (mask == 1)).tolist() == [[2, 2], [2, 3], [3, 2], [3, 3]]
    assert boundary(mask)[mask == 2].all()
    assert not boundary(mask)[mask == 0].any()
    assert not boundary(np.ones((3, 3), int)).any()


def test_images_are_scaled_and_volumes_are_shown_by_their_brightest():
    volume = np.zeros((2, 3, 3), np.uint16)
    volume[1, 1, 1] = 900
    assert flat(volume).tolist() == [[0, 0, 0], [0, 900, 0], [0, 0, 0]]
    assert grey(np.full((2, 2), 7)).tolist() == [[0, 0], [0, 0]]
    ramp = grey(np.arange(1001).reshape(7, 143))
    assert (ramp.min(), ramp.max()) == (0, 1)
    assert ramp.flat[500] == pytest.approx((500 - 10) / (998 - 10))


@drawn
def test_a_plot_that_fails_half_way_leaves_nothing(tracking, tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    def fails(_figure, file, **_options):
        file.write_text("half of it")
        raise OSError("no room")

    monkeypatch.setattr(Figure, "savefig", fails)
    with pytest.raises(OSError, match="no room"):
        plot_tree(tracking, tmp_path / "a.svg")
    assert [*tmp_path.glob("*.svg*"), *tmp_path.glob(".*.svg*")] == []


@drawn
def test_a_frame_is_drawn_with_masks_and_with_points_alone(tracking, tmp_path):
    mask = np.zeros((90, 90), int)
    mask[4:7, 12:15], mask[12:15, 12:15] = 5, 6
    seen = PixelsInMemory({3: mask}, {"dna": {3: np.random.default_rng(0).random((90, 90))}})
    told = plot_overlay(tracking, seen, tmp_path / "a.png", frame=3, tail=1)
    assert (told.cells, told.links, told.channel, told.outlined) == (4, 4, "dna", True)
    bare = plot_overlay(tracking, NO_PIXELS, tmp_path / "b.svg")
    assert (bare.frame, bare.cells, bare.channel, bare.outlined) == (2, 3, None, False)
    with pytest.raises(MissingRowsError, match="there is no frame 5; known: 0 to 4"):
        plot_overlay(tracking, seen, tmp_path / "c.png", frame=5)
    with pytest.raises(MissingRowsError, match="no image of channel rna"):
        plot_overlay(tracking, seen, tmp_path / "c.png", frame=3, channel="rna")


def asked_of(cell):
    """Two questions: one about a cell that may divide, one about a cell that may have come from nowhere."""
    may = (Outcome((cell[3], cell[4]), 0.7), Outcome((cell[3],), 0.2996), Outcome((), 0.0004))
    first = Question(1, cell[2], 1, may, 0.9, 0.41, (cell[3], cell[4]), "exact", "exact")
    second = Question(2, cell[5], 3, (Outcome((), 1.0),), 0.0, None, (), "exact", None)
    return ReviewList("posterior<1>", "truth & more", "entropy", [first, second], 7)


def test_a_page_tells_each_question_and_escapes_names(store, cell, tmp_path):
    out = tmp_path / "review.html"
    assert write_page(asked_of(cell), store.detections(store.detection_set()), NO_PIXELS, out) == 2
    page = out.read_text()
    assert "truth &amp; more" in page
    assert "posterior&lt;1&gt;" in page
    assert "<script" not in page
    assert "http" not in page
    assert f"divides into {cell[3]} + {cell[4]}</td>" in page
    assert re.findall(r"<td class=p>([0-9.]+) %</td><td>(.*?)</td>", page) == [
        ("70.0", "&#9733; in the solution"),
        ("30.0", ""),
        ("100.0", "&#9733; in the solution"),
    ]
    assert re.findall('aria-label="(.*?)"', page) == ["frame 1", "frame 2", "frame 3", "frame 4"]
    pictures = re.findall("<svg.*?</svg>", page)  # dashed is the place of the cell in the other frame
    assert ["stroke-dasharray" in picture for picture in pictures] == [False, True, False, True]
    with pytest.raises(FormatError, match="exists already"):
        write_page(asked_of(cell), store.detections(store.detection_set()), NO_PIXELS, out)
    with pytest.raises(ConfigError, match="the page is HTML"):
        write_page(asked_of(cell), store.detections(store.detection_set()), NO_PIXELS, tmp_path / "review.pdf")


def test_a_page_that_fails_half_way_leaves_nothing(store, cell, tmp_path, monkeypatch):
    def fails(file, _text, **_options):
        file.write_bytes(b"half of it")
        raise OSError("no room")

    monkeypatch.setattr("pathlib.Path.write_text", fails)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OSError, match="no room"):
        write_page(asked_of(cell), store.detections(store.detection_set()), NO_PIXELS, tmp_path / "review.html")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("corner", "square"),
    [
        ((0, 0), [[1, 2, 3], [4, 5, 6], [7, 8, 9]]),
        ((-1, -1), [[0, 0, 0], [0, 1, 2], [0, 4, 5]]),
        ((1, 2), [[6, 0, 0], [9, 0, 0], [0, 0, 0]]),
        ((5, -7), [[0, 0, 0], [0, 0, 0], [0, 0, 0]]),
    ],
)
def test_a_square_that_leaves_the_picture_is_black_there(corner, square):
    plane = np.arange(1, 10).reshape(3, 3)
    assert _square(plane, np.array(corner), 3).tolist() == square


def test_a_page_shows_pixels_where_there_are_some(store, cell, tmp_path):
    frames = {t: np.random.default_rng(t).random((90, 90)) for t in range(5)}
    seen = PixelsInMemory({t: np.zeros((90, 90), int) for t in range(5)}, {"dna": frames})
    write_page(asked_of(cell), store.detections(store.detection_set()), seen, tmp_path / "review.html")
    assert (tmp_path / "review.html").read_text().count("data:image/png;base64,iVBOR") == 4


@drawn
def test_the_command_draws_and_refuses_options_of_other_plots(store, cell, tmp_path):
    told = answer("plot", "tree", store.path, "-o", tmp_path / "a.svg", "--cell", cell[1])
    assert (told["plot"], told["tracks"], told["pinned"]) == ("tree", 5, 0)
    t, label = answer("sql", store.path, f"select t, label from cells where cell = {cell[1]}")["rows"][0]
    again = answer("plot", "tree", store.path, "-o", tmp_path / "d.svg", "--cell", f"{t}:{label}")
    assert again == told | {"path": str(tmp_path / "d.svg")}
    told = answer("plot", "overlay", store.path, "-o", tmp_path / "b.png", "--frame", 3, "--tail", 2)
    assert (told["cells"], told["links"], told["channel"]) == (4, 6, None)
    said = refusal("plot", "tree", store.path, "-o", tmp_path / "c.svg", "--frame", 3, code=2)
    assert "--frame is not for plot tree" in said
    assert "overlay" in said
    assert not (tmp_path / "c.svg").exists()


@drawn
def test_a_name_in_a_title_is_no_formula_and_steers_nothing(tracking, tmp_path):
    tracking.about.update(dataset="\x1b[31m", solution="$\\frac{")
    plot_tree(tracking, tmp_path / "tree.svg")
    text = (tmp_path / "tree.svg").read_text()
    assert "\x1b" not in text
    ElementTree.fromstring(text)
