"""The command line answers SQL, and shows the family of a cell."""

import json
import re

import pyarrow.parquet as pq
import pytest

from trackdb.storage.duckdb_store import DuckDBStore

from .command_line import COUNT, answer, child, refusal, run

pytestmark = pytest.mark.usefixtures("own_home_and_log")


def test_sql_answers_as_a_table_json_csv_and_parquet(movie, tmp_path):
    wanted = [9, 9, 14, 14, 14, 14]
    found = answer("sql", movie.path, COUNT)
    assert set(found) == {"columns", "rows", "truncated", "seconds"}
    assert (found["columns"], [n for _, n in found["rows"]], found["truncated"]) == (["t", "n"], wanted, False)
    said = run("sql", movie.path, COUNT)
    assert [line.split() for line in said.stdout.strip().split("\n")][2:] == [
        [str(t), str(n)] for t, n in enumerate(wanted)
    ]
    assert said.stderr.startswith("6 rows, ")
    said = child("sql", movie.path, COUNT, "--csv")
    assert said.stdout == '"t","n"\n' + "".join(f"{t},{n}\n" for t, n in enumerate(wanted))
    said = run("sql", movie.path, COUNT, "--parquet", tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet")["n"].to_pylist() == wanted
    assert said.stdout == ""


def test_sql_reads_its_query_from_stdin(movie):
    said = run("sql", movie.path, "-", "--json", text="select 1 as one\n")
    assert json.loads(said.stdout)["rows"] == [[1]]


def test_sql_takes_parameters(movie):
    query = "select $a as a, $b as b, $c as c"
    [row] = answer("sql", movie.path, query, "--param", "a=3", "--param", "b=0.5", "--param", "c=it's; drop")["rows"]
    assert row == [3, 0.5, "it's; drop"]
    assert "--param" in refusal("sql", movie.path, query, "--param", "3", code=2)


def test_sql_says_when_there_is_more(movie):
    found = answer("sql", movie.path, "select cell from cells order by cell", "--limit", 3)
    assert (found["rows"], found["truncated"]) == ([[1], [2], [3]], True)
    assert "3 rows, and more" in run("sql", movie.path, "from cells", "--limit", 3).stderr


def test_sql_without_a_query_lists_what_there_is(movie):
    names = {row[0] for row in answer("sql", movie.path)["rows"]}
    assert {"cells", "links", "tracks", "tracked", "divisions"} <= names


@pytest.mark.parametrize(
    ("query", "words", "message"),
    [
        ("selec 1", [], "cannot be answered"),
        ("from cellz", [], "cannot be answered"),
        ("select 1; select 2", [], "one SQL statement"),
        ("drop table run", [], "may not change"),
        ("from '/etc/passwd'", [], "cannot be answered"),
        ("select count(*) from range(10000000000) a, range(100000) b", ["--timeout", "0.2"], "longer than 0.2 s"),
        ("select $a", [], "cannot be answered"),
    ],
)
def test_sql_that_cannot_be_answered_is_bad_input(movie, query, words, message):
    assert message in refusal("sql", movie.path, query, *words, code=1)


def test_a_lineage_is_a_tree_newick_or_json(movie):
    [[mother]] = answer("sql", movie.path, "select min(cell) from divisions where solution = 'ilp-1'")["rows"]
    tree = run("lineage", movie.path, mother).stdout
    assert len(tree.strip().split("\n")) == 3
    assert f"<- cell {mother}" in tree
    assert re.fullmatch(
        r"\(\d+:\d+,\d+:\d+\)\d+:\d+;\n", run("lineage", movie.path, mother, "--format", "newick").stdout
    )
    found = answer("lineage", movie.path, mother)
    assert set(found) == {"cell", "nodes", "edges"}
    assert json.loads(run("lineage", movie.path, mother, "--format", "json").stdout)["edges"] == found["edges"]
    up, down = (answer("lineage", movie.path, mother, way) for way in ("--up", "--down"))
    ids = [{node["cell"] for node in part["nodes"]} for part in (up, down, found)]
    assert ids[0] & ids[1] == {mother}
    assert ids[0] | ids[1] == ids[2]
    assert len(found["edges"]) == len(ids[2]) - 1


def test_a_cell_is_named_by_its_frame_and_label_too(movie):
    [[cell, t, label]] = answer("sql", movie.path, "select cell, t, label from cells order by cell desc limit 1")[
        "rows"
    ]
    assert answer("lineage", movie.path, f"{t}:{label}") == answer("lineage", movie.path, cell)
    said = refusal("lineage", movie.path, f"{t}:99999", code=3)
    assert f"no cell with label 99999 in frame {t}" in said
    assert f"from cells where t = {t}" in said  # what asks for those that are there
    assert "its number, or FRAME:LABEL" in refusal("lineage", movie.path, "Cell17", code=2)


@pytest.mark.parametrize("query", ["select frame from cells", "from cell"])
def test_a_name_that_the_query_has_wrong_is_answered_with_where_names_are(movie, query):
    assert "try     describe cells" in refusal("sql", movie.path, query, code=1)


def test_a_cell_that_is_not_there_is_a_matter_of_the_store(movie):
    assert "cell 9999 is not part of solution ilp-1" in refusal("lineage", movie.path, 9999, code=3)


def test_csv_tells_what_it_does_not_know_as_text(movie):
    said = run("sql", movie.path, "select '\\xff'::blob as b, [1, 2] as l, 'x' as s", "--csv")
    assert said.stdout == '"b","l","s"\n"ff","[1, 2]","x"\n'


def test_csv_keeps_what_a_spreadsheet_would_run_from_running(movie):
    said = run("sql", movie.path, "select '=1+1' as \"=2\", '-5' as b, -5 as c, 'x-1' as d", "--csv")
    assert said.stdout == '"\'=2","b","c","d"\n"\'=1+1","\'-5",-5,"x-1"\n'


def test_dates_beyond_the_years_of_python_are_text_in_lists_and_records_too(movie):
    query = (
        "select [date '290000-01-01', null] as l, {'d': date '290000-01-01'} as r, map([1], ['infinity'::date]) as m"
    )
    [row] = json.loads(run("sql", movie.path, query, "--json").stdout)["rows"]
    assert [type(value) for value in (row[0][0], row[0][1], row[1]["d"], row[2][0][1])] == [str, type(None), str, str]
    assert run("sql", movie.path, query, "--csv").stdout.startswith('"l","r","m"\n')


@pytest.mark.parametrize(
    "query",
    [
        "select 170141183460469231731687303715884105727::hugeint",
        "select time '24:00:00'",
        "select 340282366920938463463374607431768211455::uhugeint",
        "select [{'a': 5::bignum}]",
        "select '101'::bit",
        "select timetz '12:00:00+05:00'",
    ],
)
def test_a_value_that_would_become_another_is_refused_with_what_helps(movie, query):
    assert "cast it: x::varchar" in refusal("sql", movie.path, query, code=1)
    assert run("sql", movie.path, query.replace("select ", "select cast(") + " as varchar)").stdout.count("\n") == 3


def test_a_type_is_not_known_by_the_names_in_it(movie):
    assert "BIT" in run("sql", movie.path, "select 'BIT'::enum('BIT') as \"BIT\", {'BIT': 1} as x").stdout


def test_csv_on_a_terminal_does_not_steer_it_and_is_as_it_is_elsewhere(movie, monkeypatch):
    words = ("sql", movie.path, "select chr(27) || '[31m' as a", "--csv")
    assert run(*words).stdout == '"a"\n"\x1b[31m"\n'
    monkeypatch.setattr("trackdb.cli.query.on_terminal", lambda: True)
    assert run(*words).stdout == '"a"\n"\\x1b[31m"\n'


def test_a_cell_that_is_named_by_frame_and_label_is_found_without_reading_the_others(movie, monkeypatch):
    known = answer("sql", movie.path, "select cell, t, label from cells where t = 2 order by cell")["rows"]
    monkeypatch.setattr(DuckDBStore, "detections", lambda *_: pytest.fail("all detections are read"))
    for cell, t, label in known:
        assert answer("lineage", movie.path, f"{t}:{label}")["cell"] == cell
    for frame, label in ((2, 999), (99, known[0][2]), (10**17, 1), (2, 10**17)):
        said = refusal("lineage", movie.path, f"{frame}:{label}", code=3)
        assert f"no cell with label {label} in frame {frame}" in said
