"""What notebooks show: all of it escaped, small and without a script; and the same as tables of three libraries."""

import base64
import importlib.util
import os
import re
import shutil
import signal
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tifffile

import trackdb
from trackdb.engine.check import check
from trackdb.engine.ingest import ingest
from trackdb.engine.notebook import bar
from trackdb.engine.notebook.questions import FINEST_PX, pictured
from trackdb.engine.notebook.summary import _first
from trackdb.engine.notebook.tree import family_html
from trackdb.engine.review.queue import Outcome, Question, ReviewList
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.formats.base import SourceOptions
from trackdb.storage.html import MOST_BYTES, html_line, html_table, html_text
from trackdb.storage.sandbox import Answer, Limits, ask

from .movies import DIVIDING, dividing_cells, write_ctc, write_rows

HOSTILE = "<script>alert('x')</script>\"&<img src=x onerror=alert(1)>"
ROOT = Path(__file__).parents[1]


class Tags(HTMLParser):
    """The elements and attributes of a piece of HTML, each opened element closed."""

    VOID = ("img", "br", "image", "circle", "path", "rect", "line")

    def __init__(self, html):
        super().__init__()
        self.names, self.attributes, self.text, self.open = set(), set(), "", []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def shown(thing):
    """Return what a notebook shows of a result, held to what is promised of all."""
    html = thing._repr_html_()
    tags = Tags(html)
    assert len(html.encode()) < MOST_BYTES
    assert not tags.open
    assert not tags.names & {"script", "iframe", "img", "link", "style", "object"}
    assert not [name for name in tags.attributes if name.startswith("on")]
    assert "//" not in re.sub("base64,[A-Za-z0-9+/=]*", "", html)
    return tags


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    """A store whose dataset has a hostile name, with images, an exact solution and a posterior."""
    folder = tmp_path_factory.mktemp("notebook")
    drawn = write_ctc(folder / "drawn", images=True)
    store = DuckDBStore(folder / "movie.trackdb")
    ingest(drawn, store, name=HOSTILE, options=SourceOptions(images={HOSTILE: drawn / "01"}))
    opened = trackdb.open(store.path, write=True)
    opened.posterior(opened.solve(name="<b>ilp</b>"), name="<i>sure</i>")
    return opened


def test_a_store_tells_frames_cells_solutions_calibration_and_pins(db):
    told = shown(db).text
    for words in (HOSTILE, "<b>ilp</b>", "truth", "<i>sure</i>", "calibrated", "0 annotations", "48 x 64"):
        assert words in told


def test_a_store_that_cannot_be_read_says_why(tmp_path, solved_once):
    db = trackdb.open(solved_once.path)
    db._store = DuckDBStore(tmp_path / "<u>gone</u>.trackdb")
    assert "<u>gone</u>.trackdb holds no store" in shown(db).text


def test_a_solution_tells_what_it_is_and_how_sure(db):
    told = shown(db.solution("<b>ilp</b>")).text
    assert HOSTILE in told
    assert "proven optimal" in told
    assert "<i>sure</i>" in told
    assert "proven optimal" not in shown(db.solution("truth")).text


def test_a_lineage_is_drawn_with_each_track_and_is_a_table_and_a_graph(db):
    mother = int(db.sql("select cell from cells where t = 0 order by x desc limit 1").df()["cell"][0])
    family = db.solution("truth").lineage(mother)
    drawn = shown(family)
    assert {"svg", "path", "circle"} <= drawn.names
    assert len(re.findall(r'd="M[^"]*H', family._repr_html_())) == 2  # each daughter hangs on her mother
    assert drawn.text.count(", frames ") == 3
    assert str(family).count("track") == 3
    rows = family.arrow().to_pylist()
    assert [row["mother"] for row in rows] == [None, mother, rows[1]["cell"], mother, rows[3]["cell"]]
    assert sorted(family.to_networkx().nodes) == sorted(row["cell"] for row in rows)
    assert family.to_networkx().out_degree(mother) == 2
    assert family.newick.endswith(";")


def test_questions_have_pictures_of_the_cells_that_they_ask_about(db):
    posterior = db.solution("<b>ilp</b>").posterior()
    asked = posterior.uncertain(top=5, by="entropy")
    assert type(asked).__name__ == "PicturedList"
    told = shown(asked)
    assert f"{len(asked)} of" in told.text
    cells = db.detections().id.tolist()
    told = shown(many_questions(db, cells[:4]))
    assert "divides into" in told.text
    assert {"svg", "image"} <= told.names
    assert "75.0 %" in told.text


def test_pictures_are_no_finer_than_they_are_shown_and_where_there_are_none_it_is_said(db, tmp_path, monkeypatch):
    import imagecodecs

    monkeypatch.setattr("trackdb.engine.plots.crops.SMALLEST_HALF_PX", 160)
    html = many_questions(db, db.detections().id.tolist()[:4])._repr_html_()
    coded = re.findall("base64,([A-Za-z0-9+/=]*)", html)
    assert coded
    assert {max(imagecodecs.png_decode(base64.b64decode(one)).shape[:2]) for one in coded} == {FINEST_PX}
    bare = trackdb.open(shutil.copytree(db._store.path, tmp_path / "bare.trackdb"))
    for array in bare._store.all_arrays():
        shutil.rmtree(bare._store.path / array.path)
    assert "lacks frame 1" in shown(many_questions(bare, bare.detections().id.tolist()[:4])).text


def test_what_is_left_out_of_a_table_is_told():
    rows = [[i] * 31 for i in range(30)]
    assert "and 10 more" in _first(("a",), rows, 20)
    assert "more" not in _first(("a",), rows, 30)
    assert ["…" in html_table(["a"] * n, rows) for n in (30, 31)] == [False, True]
    assert "1 or more rows" in Answer(pa.table({"a": [1]}), True, 0.0)._repr_html_()


def many_questions(db, cells):
    """Return a list of made questions about some cells."""
    may = (Outcome((cells[-2], cells[-1]), 0.75), Outcome((), 0.25))
    items = [Question(i, cell, 0, may, 0.8, 0.4, (), "exact", "exact") for i, cell in enumerate(cells, start=1)]
    solution = db.solution("<b>ilp</b>")
    return pictured(ReviewList("<i>p</i>", HOSTILE, "entropy", items, len(items)), solution._store, solution._set)


def test_whatever_there_is_to_show_fits(db, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    wide = {f"{HOSTILE}{i}": [HOSTILE * 100] * 50 for i in range(60)}
    store = trackdb.open(db._store.path)
    columns = ", ".join(f"repeat('{'<&>' * 40}', 9) as c{i}" for i in range(40))
    told = shown(store.sql(f"select {columns} from range(50)"))
    assert "50 rows" in told.text
    assert len(html_table(list(wide), [list(row) for row in zip(*wide.values(), strict=True)])) > MOST_BYTES
    rows = many_questions(db, db.detections().id.tolist() * 100)
    assert "the first" in shown(rows).text
    # noise does not compress: fewer pictures, all rows
    monkeypatch.setattr("trackdb.engine.plots.crops.SMALLEST_HALF_PX", 160)
    noisy = write_ctc(tmp_path / "noisy", shape=(400, 400), images=True)
    for t in range(3):
        tifffile.imwrite(noisy / "01" / f"t{t:03d}.tif", rng.integers(0, 60_000, (400, 400), dtype=np.uint16))
    held = DuckDBStore(tmp_path / "noisy.trackdb")
    ingest(noisy, held)
    opened = trackdb.open(held.path)
    cells = opened.detections().id.tolist()
    asked = pictured(many_questions(db, cells), held, held.detection_set())
    told = shown(asked)
    assert told.text.count("frame ") >= 1
    assert f"{len(cells)} of {len(cells)}" in told.text


def test_a_crowded_family_is_drawn_in_part_and_says_so(tmp_path):
    rows = [(0, 0, 0, 1, "")]
    for t in range(1, 11):
        for parent in [row[3] for row in rows if row[0] == t - 1]:
            rows += [(t, t, 10 * (len(rows) + k), len(rows) + k + 1, parent) for k in range(2)]
    store = DuckDBStore(tmp_path / "tree.trackdb")
    ingest(write_rows(tmp_path / "tree.csv", rows, header=DIVIDING), store)
    family = trackdb.open(store.path).solution("truth").lineage(1)
    assert len(family.family.branch) == 2047
    assert re.search(r"not drawn: [\d,]+ tracks", shown(family).text)
    doubted = family_html(family.family, "truth", family.column, np.full(len(family.family.source), 0.4))
    assert len(doubted.encode()) < MOST_BYTES
    assert "the link is wrong with" in doubted
    sure = family_html(family.family, "truth", family.column, np.full(len(family.family.source), 1.0))
    assert "the link is wrong with" not in sure


def test_results_are_tables_of_arrow_pandas_and_polars(db):
    pytest.importorskip("polars")
    pytest.importorskip("pandas")
    truth = db.solution("truth")
    results = [
        db.sql("select t, count(*) n from cells group by t order by t"),
        truth.links,
        truth.lineage(1),
        db.solution("<b>ilp</b>").diff(truth),
        trackdb.evaluate(db.solution("<b>ilp</b>")),
        many_questions(db, [1, 2]),
    ]
    for result in results:
        arrow = result.arrow()
        assert list(result.df().columns) == arrow.column_names == result.pl().columns
        assert len(result.df()) == arrow.num_rows == len(result.pl()) > 0


def test_a_script_that_prints_results_sees_what_they_are_in_words(db):
    counted = db.sql("select t, count(*) n, any_value('a\x1b[2Jb') told from cells group by t order by t")
    assert str(counted).splitlines()[0].split() == ["t", "n", "told"]
    assert str(counted).splitlines()[2].split() == ["0", "2", r"a\x1b[2Jb"]
    assert str(counted).endswith("\n3 rows")
    assert repr(counted) == "<3 rows of t, n, told>"
    assert repr(db.sql("select 1 one")) == "<1 row of one>"
    many = ask(db._store.path, "select range r from range(1000)", limits=Limits(max_rows=500))
    assert repr(many) == "<500 or more rows of r>"
    assert len(str(many).splitlines()) == 2 + 20 + 1
    assert str(many).endswith("\n20 of 500 or more rows")
    asked = many_questions(db, [1, 2])
    assert repr(asked) == str(asked) == f"<{asked.title}>"
    assert asked.title.startswith("2 of 2 open questions of ")
    judged = trackdb.evaluate(db.solution("<b>ilp</b>"), truth="truth")
    shares = (judged.edges.f1, judged.divisions[0].f1, judged.ctc["TRA"])
    told = "<<b>ilp</b> against truth: edge F1 {:.4f}, division F1 {:.4f}, TRA {:.4f}>"
    assert repr(judged) == told.format(*shares)
    family = db.solution("truth").lineage(1, up=False, down=False)
    assert repr(family) == "<lineage of cell 1 in truth: 1 cell, 1 track>"


def test_a_lineage_is_found_by_the_frame_and_the_label_of_its_cell(db):
    frame, label, cell = db.sql(
        "select t, label, cell from cells where t = 1 order by cell desc limit 1"
    ).rows_by_position()[0]
    truth = db.solution("truth")
    assert str(truth.lineage((frame, label))) == str(truth.lineage(np.int64(cell)))
    with pytest.raises(trackdb.TrackdbError, match="no cell with label 999 in frame 1"):
        truth.lineage((1, 999))


def test_solutions_are_compared_by_themselves_or_by_their_names(db, solved_once):
    ours, truth = db.solution("<b>ilp</b>"), db.solution("truth")
    assert repr(ours.diff("truth")) == repr(ours.diff(truth))
    assert repr(trackdb.evaluate(ours, truth)) == repr(trackdb.evaluate(ours, "truth"))
    with pytest.raises(trackdb.TrackdbError, match="nobody"):
        ours.diff("nobody")
    other = trackdb.open(solved_once.path).solution()
    for compare in (ours.diff, ours.evaluate):
        with pytest.raises(trackdb.TrackdbError, match="is of another store; try: import it into"):
            compare(other)


@pytest.mark.parametrize("named", ["3:8", "17", 1.5, (1, 2, 3), ("1", "2"), None], ids=repr)
def test_what_names_no_cell_is_refused(db, named):
    with pytest.raises(trackdb.TrackdbError, match=r"names no cell; expected: its number, or \(FRAME, LABEL\)"):
        db.solution("truth").lineage(named)


def test_a_library_that_is_not_installed_is_named(db, monkeypatch):
    monkeypatch.setattr("trackdb.storage.dataframes.find_spec", lambda name: None)
    with pytest.raises(trackdb.TrackdbError, match=r"polars is not installed; try: pip install polars"):
        db.sql("select 1").pl()


def test_values_are_shown_as_people_read_them():
    said = [html_text(v) for v in (None, True, 3, 0.1 + 0.2, "a<b", "x" * 999)]
    assert said == ["", "yes", "3", "0.3", "a&lt;b", "x" * 120 + " …"]
    assert "x" * 600 + "</div>" in html_line("x" * 600)  # an error with the path of its file
    assert "x" * 600 + " …</div>" in html_line("x" * 601)


def test_a_solve_that_is_interrupted_leaves_the_store_whole_and_goes_again(tmp_path):
    """The process sends itself SIGINT in the middle, as the stop button of a notebook does."""
    store = DuckDBStore(tmp_path / "a.trackdb")
    ingest(write_rows(tmp_path / "a.csv", dividing_cells(n_frames=5, side=2), header=DIVIDING), store)
    db = trackdb.open(store.path, write=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background hear none
    for stage in ("linking", "solving", "saving"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bar.Silent, "start", interrupting(stage))
            with pytest.raises(KeyboardInterrupt):
                db.solve(cost="density")
        assert [s["solution"] for s in db.sql("select solution from solutions").rows.to_pylist()] == ["truth"]
        assert not [problem for problem in check(store) if "not finished" not in problem.what]
    assert db.solve(cost="density").proven
    assert check(store) == []
    shown(db)


def interrupting(stage):
    def start(_self, name, total=None):
        if name == stage:
            os.kill(os.getpid(), signal.SIGINT)

    return start


def test_a_notebook_shows_one_bar_and_then_the_notes(monkeypatch):
    pytest.importorskip("IPython")
    drawn = []
    monkeypatch.setattr(bar, "_in_kernel", lambda: True)
    monkeypatch.setattr("IPython.display.display", lambda html, display_id: Handle(drawn, html))
    monkeypatch.setattr(bar, "EVERY_S", 0)
    with bar.bar_in_notebook() as progress:
        progress.start("<frames>", 3)
        progress.advance()
        progress.note("5 < 6")
        progress.start("reading")  # for nobody knows how long
        assert drawn[-1] == "<progress></progress> reading"
    assert drawn[:2] == ["", '<progress value="0" max="3"></progress> &lt;frames&gt;']
    assert 'value="1"' in drawn[2]
    assert drawn[-1].endswith("5 &lt; 6</div>")
    with pytest.raises(KeyboardInterrupt), bar.bar_in_notebook():
        raise KeyboardInterrupt
    assert "interrupted" in drawn[-1]


class Handle:
    def __init__(self, drawn, html):
        self.drawn = drawn
        self.update(html)

    def update(self, html):
        self.drawn.append(html.data)


EXAMPLES = sorted((ROOT / "examples").glob("*.ipynb"))


@pytest.mark.skipif(importlib.util.find_spec("nbclient") is None, reason="nbclient is not installed")
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_notebooks_run(path, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert not [cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")]
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, startup_timeout=600, kernel_name="python3", resources=where).execute()
    outputs = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    html = [data["text/html"] for data in outputs if "text/html" in data]
    assert any("<svg" in made for made in html)
    assert not any("<script" in made for made in html)
    assert max(len(made.encode()) for made in html) < MOST_BYTES
