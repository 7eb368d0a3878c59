"""To open a store of someone else runs nothing of theirs, and reads and writes nowhere but in it."""

import json
import os
import pickle
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

import trackdb
from trackdb.engine.check import check
from trackdb.engine.contents import contents_of
from trackdb.errors import QueryError, StoreDamagedError, TrackdbError
from trackdb.storage import tables
from trackdb.storage.arrays import DATA, METADATA, ArrayWriter, read_frame
from trackdb.storage.decision_log import DecisionLog, merge_log
from trackdb.storage.duckdb_store import DuckDBStore
from trackdb.storage.founding import GRAPH
from trackdb.storage.instance import opened
from trackdb.storage.sandbox import ask
from trackdb.storage.unfinished import FinishedParts

from .attacks import bytes_of
from .command_line import refusal
from .movies import own_copy

HIDDEN = "read_text('{secret}')"
PLANTED = {  # what is put into a database, and the word that tells of it
    "a view of ours reads a file": ("create or replace view cells as select content as cell from {hidden}", "view"),
    "a view of ours says something else": ("create or replace view cells as select 1 as cell", "view"),
    "a view of theirs": ("create view mine as from {hidden}", "view"),
    "a view in the place of a table": (
        "alter table detection_set rename to moved; create view detection_set as "
        "select *, (select content from {hidden}) from moved",
        "view in the place of a table",
    ),
    "a macro in the place of a function": (
        "create macro count(x) as (select content from {hidden})",
        "macro in the place of a function",
    ),
    "a macro in the place of what lists tables": (
        "create macro duckdb_tables() as table select content as table_name from {hidden}",
        "macro in the place of a function",
    ),
    "a macro of ours says something else": (
        "create or replace macro descendants(a, b) as table select content as cell from {hidden}",
        "macro that trackdb did not make: descendants",
    ),
    "a macro of theirs": ("create macro mine() as (select content from {hidden})", "macro"),
    "a default": ("alter table meta alter column value set default concat('a', 'b')", "default or a computed"),
    "a computed column": ("create table mine (a int, b int generated always as (a + 1))", "default or a computed"),
    "a check": ("create table mine (a int, check (a > 1))", "check"),
    "a trigger": (
        "create trigger mine after insert on run for each statement insert into meta values ('a', 'b')",
        "trig",
    ),
    "an index that computes": ("create index mine on edge ((t + 1))", "index"),
    "a sequence": ("create sequence mine", "sequence"),
    "a type": ("create type mine as enum ('a')", "type"),
    "a schema": ("create schema mine", "schema"),
}


@pytest.fixture
def secret(tmp_path):
    file = tmp_path / "secret.txt"
    file.write_text("hidden word")
    return file


def planted(store, statements, secret):
    hidden = HIDDEN.format(secret=secret)
    with duckdb.connect(store.path / GRAPH) as connection:
        for statement in statements.format(hidden=hidden).split("; "):
            connection.execute(statement)
    return store


@pytest.mark.parametrize("what", PLANTED)
def test_what_acts_in_a_database_and_is_not_ours_is_refused_by_name(solved, secret, what):
    statements, word = PLANTED[what]
    planted(solved, statements, secret)
    before = bytes_of(solved.path)
    with pytest.raises(StoreDamagedError, match="trackdb did not make") as refused:
        trackdb.open(solved.path)
    assert word in str(refused.value)
    assert "hidden word" not in str(refused.value)
    assert bytes_of(solved.path) == before


def test_tables_of_their_own_do_no_harm(solved, secret):
    planted(solved, "create table mine (a int not null)", secret)
    assert trackdb.open(solved.path).sql("select count(*) as n from cells").rows["n"].to_pylist() == [9]


@pytest.mark.usefixtures("own_home_and_log")
def test_each_command_refuses_such_a_store_with_3(solved, secret):
    planted(solved, PLANTED["a macro in the place of a function"][0], secret)
    for words in (("info",), ("sql", "select 1"), ("solve",), ("lineage", 1), ("link",)):
        command, *rest = words
        assert "a macro in the place of a function" in refusal(command, solved.path, *rest, code=3), command


def test_an_old_store_is_looked_at_before_it_is_upgraded(tmp_path, secret):
    with tarfile.open(Path(__file__).parent / "fixtures" / "store_v1.tar.xz") as packed:
        packed.extractall(tmp_path, filter="data")
    old = planted(DuckDBStore(tmp_path / "store_v1.trackdb"), "create macro max(x) as 1", secret)
    before = bytes_of(old.path)
    with pytest.raises(StoreDamagedError, match="in the place of a function that trackdb did not make: max"):
        old.check_version()
    assert bytes_of(old.path) == before


def test_a_newer_store_may_have_other_views_but_no_function_of_the_database(solved, secret):
    newer = f"update meta set value = '{tables.SCHEMA_VERSION + 1}' where key = 'schema_version'"
    planted(solved, f"{newer}; create view ours_one_day as select 1; create macro ours_one_day(x) as 1", secret)
    solved.check_version()
    planted(solved, "create macro sum(x) as 1", secret)
    with pytest.raises(StoreDamagedError, match="in the place of a function that trackdb did not make: sum"):
        solved.check_version()


def test_a_database_that_is_put_in_the_place_of_a_known_one_is_looked_at(solved, secret, tmp_path):
    db = trackdb.open(solved.path, write=True)
    other = own_copy(solved, tmp_path / "other")
    planted(other, "create view mine as select 1", secret)
    shutil.copy(other.path / GRAPH, solved.path / GRAPH)
    with pytest.raises(StoreDamagedError, match="mine"):
        trackdb.open(solved.path)
    assert db


def test_a_view_that_reads_a_file_reads_none_where_queries_run(solved, secret):
    """The second wall, behind the comparison of views."""
    planted(solved, PLANTED["a view of ours reads a file"][0], secret)
    with pytest.raises(QueryError, match="file system operations are disabled"):
        ask(solved.path, "from cells")


def test_our_own_connections_reach_no_file_beside_the_store(solved, secret, tmp_path):
    """The same for the connections that the engine itself uses, also a second one in the same process."""
    other = own_copy(solved, tmp_path / "other")
    with opened(solved.path / GRAPH, write=False) as one, opened(other.path / GRAPH, write=True) as two:
        for connection in (one, two):
            for asked in (f"from {HIDDEN.format(secret=secret)}", f"copy meta to '{tmp_path / 'out.csv'}'"):
                with pytest.raises(duckdb.PermissionException):
                    connection.execute(asked)
    assert not (tmp_path / "out.csv").exists()


# ---- files


@pytest.mark.parametrize(
    "name",
    [
        *(GRAPH, f"{GRAPH}.wal", "trackdb.toml", "arrays", "locks", "annotations", "unfinished"),
        *("annotations/ana-20260101.jsonl", "locks/run-1.lock", "unfinished/score-x", "arrays/.tmp-run-1-masks-"),
    ],
)
def test_a_link_that_leads_out_of_the_store_is_not_followed(solved, tmp_path, name):
    outside = tmp_path / "outside"
    place = solved.path / name
    if place.is_dir() or "." not in place.name or ".tmp" in place.name:
        outside.mkdir()
        (outside / "kept.txt").write_text("kept")
    else:
        outside.write_bytes(place.read_bytes() if place.exists() else b"kept")
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(outside)
    before = bytes_of(outside) if outside.is_dir() else outside.read_bytes()
    with pytest.raises(StoreDamagedError, match="leads out of the store"):
        trackdb.open(solved.path)
    with pytest.raises(StoreDamagedError, match="leads out of the store"):
        solved.create()
    assert (bytes_of(outside) if outside.is_dir() else outside.read_bytes()) == before


@pytest.mark.parametrize("name", ["annotations/ana-20260101.jsonl", "trackdb.toml", "locks/run-1.lock"])
def test_a_pipe_holds_nobody(solved, name):
    place = solved.path / name
    place.parent.mkdir(exist_ok=True)
    place.unlink(missing_ok=True)
    os.mkfifo(place)
    with pytest.raises(StoreDamagedError, match="neither a file nor a folder"):
        trackdb.open(solved.path)


def test_a_log_that_leads_out_is_not_written_or_read_where_a_store_is_open_already(solved, tmp_path):
    db = trackdb.open(solved.path, write=True)
    outside = tmp_path / "outside.jsonl"
    outside.write_text("kept\n")
    (solved.path / "annotations").mkdir(exist_ok=True)
    (solved.path / "annotations" / "eve-20260101.jsonl").symlink_to(outside)
    for does in (lambda: db.annotate(1, daughters=[], who="ana"), lambda: db.sql("from annotations")):
        with pytest.raises(StoreDamagedError, match="leads out of the store"):
            does()
    assert outside.read_text() == "kept\n"


@pytest.mark.parametrize("name", ["annotations/eve-20260101.jsonl", "trackdb.toml", GRAPH])
@pytest.mark.parametrize(("target", "told"), [("nothing", "leads nowhere"), ("", "leads to itself")])
def test_a_link_that_leads_nowhere_is_refused_by_name(solved, name, target, told):
    place = solved.path / name
    place.parent.mkdir(exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(target or place.name)
    with pytest.raises(TrackdbError, match=f"{told}|is not a store"):
        trackdb.open(solved.path)


def test_a_log_that_leads_nowhere_hides_no_answer(solved):
    db = trackdb.open(solved.path, write=True)
    db.annotate(1, daughters=[], who="ana")
    stray = solved.path / "annotations" / "eve-20260101.jsonl"
    stray.symlink_to("nothing")
    with pytest.raises(StoreDamagedError, match=r"eve-20260101.jsonl"):
        db.annotate(2, daughters=[], who="ben")
    with pytest.raises(StoreDamagedError, match=r"eve-20260101.jsonl cannot be read"):
        DecisionLog(solved.path).follow()
    stray.unlink()
    assert [d.who for d in DecisionLog(solved.path).follow()] == ["ana"]


def test_a_store_that_is_itself_a_link_opens(solved, tmp_path):
    (tmp_path / "link.trackdb").symlink_to(solved.path)
    assert trackdb.open(tmp_path / "link.trackdb").sql("select count(*) as n from cells").rows["n"].to_pylist() == [9]


# ---- pixels


class Harm:
    """What a pickle would do."""

    def __init__(self, file):
        self.file = str(file)

    def __reduce__(self):
        return (open, (self.file, "w"))


def masks_of(store):
    [ref] = [ref for ref in store.arrays(store.detection_set()) if ref.kind == "masks"]
    return ref, store.path / ref.path / DATA


@pytest.mark.parametrize("path", ["../outside", "/etc", "arrays/../../outside", "arrays/short", "locks"])
def test_pixels_stand_in_the_store_under_their_digest(solved, path):
    with solved.writing() as connection:
        connection.exec_driver_sql(f"update array_ref set path = '{path}' where kind = 'masks'")
    ref, _ = masks_of(solved)
    with pytest.raises(StoreDamagedError, match="an array is said to stand in"):
        read_frame(solved.path, ref, 0)


@pytest.mark.parametrize("name", [METADATA, "c/0/0/0"])
def test_a_file_of_pixels_that_leads_out_is_not_read(solved, tmp_path, name):
    ref, folder = masks_of(solved)
    (folder / name).rename(tmp_path / "outside")
    (folder / name).symlink_to(tmp_path / "outside")
    with pytest.raises(StoreDamagedError, match="leads out of the store"):
        read_frame(solved.path, ref, 0)


def test_a_pickle_in_the_place_of_pixels_is_not_opened(solved, tmp_path):
    ref, folder = masks_of(solved)
    shutil.rmtree(folder)
    (folder / "c" / "0").mkdir(parents=True)
    (folder / "c" / "0" / "0").write_bytes(b"x")
    told = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "<u4", "compressor": None, "order": "C"}
    (folder / ".zarray").write_text(json.dumps(told | {"fill_value": 0, "filters": [{"id": "pickle"}]}))
    (folder / "0").write_bytes(pickle.dumps(Harm(tmp_path / "harm"), protocol=2))
    with pytest.raises(StoreDamagedError, match="cannot be read"):
        read_frame(solved.path, ref, 0)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("where", "value", "reason"),
    [
        (
            ("codecs", 0, "configuration", "codecs", 1),
            {"name": "numcodecs.pickle", "configuration": {}},
            "compressed by numcodecs.pickle",
        ),
        (("codecs", 0), {"name": "numcodecs.pickle", "configuration": {}}, "compressed by numcodecs.pickle"),
        (("codecs", 0, "configuration", "index_codecs", 1), {"name": "gzip"}, "compressed by gzip"),
        (("data_type",), "string", "an array of string"),
        (("zarr_format",), 2, "as trackdb does not write it"),
        (("storage_transformers",), [{"name": "x"}], "as trackdb does not write it"),
        (("chunk_grid", "configuration", "chunk_shape"), [1, 10**6, 10**6], r"shards of \[1, 1000000, 1000000\]"),
        (("chunk_grid",), 3, ""),
        (("codecs",), 3, ""),
    ],
)
def test_metadata_of_pixels_that_we_do_not_write_are_refused(solved, where, value, reason):
    ref, folder = masks_of(solved)
    told = json.loads((folder / METADATA).read_text())
    *way, last = where
    place = told
    for step in way:
        place = place[step]
    place[last] = value
    (folder / METADATA).write_text(json.dumps(told))
    with pytest.raises(StoreDamagedError, match=f"cannot be read; reason: .*{reason}"):
        read_frame(solved.path, ref, 0)


def test_parts_of_unfinished_work_that_are_pickles_are_not_opened(tmp_path):
    parts = FinishedParts(tmp_path, "score", "key")
    folder = tmp_path / "unfinished" / "score-key"
    np.savez(folder / "000000.npz", scores=np.array([Harm(tmp_path / "harm")], dtype=object))
    assert parts.read(0) is None
    assert not (tmp_path / "harm").exists()


def planted_at(place, tmp_path, what):
    """Put a link to a file, a link to a folder or a pipe at a place, and return what it leads to."""
    outside = tmp_path / "outside"
    if what == "pipe":
        os.mkfifo(place)
    elif what == "folder":
        outside.mkdir()
        place.symlink_to(outside)
    else:
        np.savez(tmp_path / "outside", scores=np.zeros(3))
        place.symlink_to(tmp_path / "outside.npz")
    return outside


@pytest.mark.parametrize("what", ["file", "pipe"])
def test_a_part_of_unfinished_work_that_leads_out_is_not_read(tmp_path, what):
    store = tmp_path / "a.trackdb"
    parts = FinishedParts(store, "score", "key")
    planted_at(store / "unfinished" / "score-key" / "000000.npz", tmp_path, what)
    with pytest.raises(StoreDamagedError, match="leads out" if what == "file" else "neither a file"):
        parts.read(0)


@pytest.mark.parametrize(("place", "what"), [("data/c/1", "folder"), ("data/zarr.json", "pipe"), ("zarr.json", "file")])
def test_unfinished_pixels_that_lead_out_are_not_gone_on_with(tmp_path, place, what):
    store = tmp_path / "a.trackdb"
    how = {"kind": "masks", "channel": "", "shape": (3, 4, 4), "dtype": np.dtype(np.uint16)}
    store.mkdir()
    ArrayWriter(store, "run-1-masks-", **how).write(0, np.ones((4, 4), np.uint16))
    (store / "arrays" / ".tmp-run-1-masks-" / place).unlink(missing_ok=True)
    outside = planted_at(store / "arrays" / ".tmp-run-1-masks-" / place, tmp_path, what)
    with pytest.raises(StoreDamagedError, match="neither a file" if what == "pipe" else "leads out"):
        ArrayWriter(store, "run-1-masks-", **how).write(1, np.ones((4, 4), np.uint16))
    assert not outside.exists() or not list(outside.iterdir())


@pytest.mark.parametrize(
    ("where", "value"), [("shape", [3, 10**6, 10**6]), ("shape", [3, 61, 80]), ("data_type", "float64")]
)
def test_pixels_of_another_size_than_the_store_tells_are_refused(solved, where, value):
    ref, folder = masks_of(solved)
    told = json.loads((folder / METADATA).read_text())
    assert told[where] != value
    told[where] = value
    (folder / METADATA).write_text(json.dumps(told))
    with pytest.raises(StoreDamagedError, match="said to be"):
        read_frame(solved.path, ref, 0)


def test_a_frame_that_the_bytes_behind_it_cannot_make_up_is_refused(solved):
    ref, folder = masks_of(solved)
    told = json.loads((folder / METADATA).read_text())
    shape = [ref.shape[0], *(1500 * n for n in ref.shape[1:])]  # whole shards: what zarr asks for
    told["shape"], told["chunk_grid"]["configuration"]["chunk_shape"] = shape, [1, *shape[1:]]
    (folder / METADATA).write_text(json.dumps(told))
    with pytest.raises(StoreDamagedError, match="promises frames of"):
        read_frame(solved.path, replace(ref, shape=tuple(shape)), 0)


# ---- rows


@pytest.mark.parametrize(
    ("change", "does", "told"),
    [
        ("update run set params = '[1]'", contents_of, "no JSON object"),
        ("update run set params = '3'", lambda store: store.runs(), "no JSON object"),
        ("update run set params = repeat('[', 5000) || repeat(']', 5000)", contents_of, "no JSON"),
        ("update run set params = '{}'", lambda store: store.runs()[0].params["max_gap"], "does not tell max_gap"),
        ("update run set started = timestamp '290000-01-01'", lambda store: store.runs(), "began at no time"),
        ("update dataset set n_frames = 2147483647", lambda store: store.detection_set(), "2147483647 frames"),
        ("update dataset set ndim = 7", lambda store: store.detection_set(), "7 dimensions"),
        ("update dataset set shape = '[-1, 5]'", lambda store: store.detection_set(), "shape"),
        ("update array_ref set shape = '3'", lambda store: store.all_arrays(), "said to have shape 3"),
        ("update detection set y = 'nan'", lambda store: store.detections(store.detection_set()), "no place"),
        ("delete from track", lambda store: store.solution(store.find_solution()[1]), "tracks that are not there"),
    ],
)
def test_rows_that_cannot_be_are_damage_and_no_bug(solved, change, does, told):
    with solved.writing() as connection:
        connection.exec_driver_sql(change)
    with pytest.raises(StoreDamagedError, match=told):
        does(solved)


@pytest.mark.parametrize("change", ["kind = 'x'", "cell = '[1]'", "daughters = '3'"])
def test_a_row_that_is_no_decision_is_damage_and_named_by_check(solved, change):
    trackdb.open(solved.path, write=True).annotate(1, daughters=[], who="ana")
    trackdb.open(solved.path, write=True).annotate(2, daughters=[], who="ana")
    with solved.writing() as connection:
        merge_log(connection, solved.path)
        connection.exec_driver_sql(f"update annotation set {change}")
    with pytest.raises(StoreDamagedError, match="no decision"):
        solved.decisions()
    assert any("no decision" in problem.what for problem in check(solved))


# ---- settings


@pytest.mark.parametrize(
    "settings",
    [
        '[score]\nby = "{model}"',
        '[solve]\ncalibration = "{model}/model.pt"\ncost = "density"',
        '[posterior]\ncalibration = "{model}/model.pt"',
        '[solve]\nlearn_from = "truth@{other}"',
    ],
)
def test_settings_in_a_store_lead_to_nothing_that_runs(solved, tmp_path, settings):
    """They may name files, which are read as numbers and text alone."""
    model, other = tmp_path / "model", own_copy(solved, tmp_path / "other")
    model.mkdir()
    (model / "model.pt").write_bytes(pickle.dumps(Harm(tmp_path / "harm"), protocol=2))
    (model / "config.yaml").write_text("coord_dim: 2\n")
    (model / "train_config.yaml").write_text("features: wrfeat\n")
    with duckdb.connect(other.path / GRAPH) as connection:
        connection.execute("create macro count(x) as 1")
    before = bytes_of(other.path)
    (solved.path / "trackdb.toml").write_text(settings.format(model=model, other=other.path))
    db = trackdb.open(solved.path, write=True)
    with pytest.raises(TrackdbError):
        db.posterior() if "posterior" in settings else db.solve()
    assert not (tmp_path / "harm").exists()
    assert bytes_of(other.path) == before
