"""A user's query is kept in: it reads the store and nothing else, within its limits, and whoever asked goes on."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

import trackdb
from trackdb.errors import QueryError, StoreDamagedError
from trackdb.storage import questions
from trackdb.storage.confined import BATCH_ROWS, DEEPEST, GRACE_S, THREADS
from trackdb.storage.sandbox import Limits, ask

from .attacks import ATTACKS, LIMITS, bytes_of, nested, tried
from .command_line import refusal, run
from .movies import own_copy

COUNT = "select count(*) as n from cells"
BOMB = "select levenshtein(repeat('a', 300000), repeat('b', 300000))"  # pays no heed to the limits of DuckDB
PATIENCE_S = 30.0  # of a machine that does much else
EVERY = int(os.environ.get("TRACKDB_ATTACKS_EVERY", "2"))  # of the attacks, one in so many of each kind is tried


@pytest.fixture(scope="module")
def store(solved_once, tmp_path_factory):
    return own_copy(solved_once, tmp_path_factory.mktemp("sandbox")).path


@pytest.fixture
def db(store):
    return trackdb.open(store)


def at_work():
    """Numbers of the processes that answer a query of ours right now."""
    host = questions._HOST._process
    if host is None:
        return []
    return [int(pid) for pid in Path(f"/proc/{host.pid}/task/{host.pid}/children").read_text().split()]


def when(holds, patience_s=PATIENCE_S):
    """Wait until something holds; return it."""
    deadline = time.monotonic() + patience_s
    while not (found := holds()):
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)
    return found


@pytest.mark.parametrize("kind", ATTACKS)
def test_an_attack_is_stopped_and_whoever_asked_goes_on(db, store, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    a_table_of_the_caller = a_frame_of_the_caller = pa.table({"a": [1]})  # which DuckDB would find if it looked
    before, homes = bytes_of(store), bytes_of(tmp_path)
    for attack in ATTACKS[kind][::EVERY]:
        told, seconds = tried(store, attack)
        assert re.search(attack.told, told) if attack.told else not told, (attack.query[:100], told)
        assert seconds < LIMITS.timeout_s + PATIENCE_S, attack.query[:100]
    assert db.sql(COUNT).arrow()["n"].to_pylist() == [9]
    assert bytes_of(store) == before
    assert bytes_of(tmp_path) == homes
    assert a_table_of_the_caller is a_frame_of_the_caller


def test_the_page_on_reliability_counts_these_attacks():
    page = (Path(__file__).parents[1] / "docs" / "reliability.md").read_text()
    told = dict(re.findall(r"^\| ([^|]+) \| (\d+) \| \d+ \| [\d.]+ \|$", page, flags=re.MULTILINE))
    assert {kind: int(told.get(kind, 0)) for kind in ATTACKS} == {
        kind: len(attacks) for kind, attacks in ATTACKS.items()
    }
    every = [attack for attacks in ATTACKS.values() for attack in attacks]
    assert f"{len(every)} queries, {sum(bool(attack.told) for attack in every)} stopped" in page


def test_keys_of_other_services_are_out_of_reach(store, monkeypatch):
    monkeypatch.setenv("A_SECRET", "hidden")
    questions._HOST.end()  # the next one is started under this environment
    ask(store, COUNT)
    environment = Path(f"/proc/{questions._HOST._process.pid}/environ").read_bytes()
    assert b"A_SECRET" not in environment
    assert b"hidden" not in environment


def test_the_system_ends_what_pays_no_heed_to_its_time(store):
    started = time.perf_counter()
    with pytest.raises(QueryError, match=r"longer than 0\.2 s"):
        ask(store, BOMB, limits=Limits(timeout_s=0.2))
    assert time.perf_counter() - started < PATIENCE_S
    when(lambda: not at_work())


def test_the_system_refuses_memory_that_the_database_would_take(store):
    with pytest.raises(QueryError, match="more than 64 MB; try: --memory"):
        ask(store, "select length(repeat('a', 3000000000))", limits=Limits(memory_mb=64))


def test_no_file_can_be_opened_where_a_query_runs_whatever_the_database_allows(store):
    """The second wall: what the locks of the database let through fails all the same."""
    with pytest.raises(QueryError, match="a query may open no file"):
        ask(store, f"attach '{store / 'graph.duckdb'}' as again")


def test_each_lock_of_the_database_is_on(store):
    settings = dict(ask(store, "select name, value from duckdb_settings()").rows_by_position())
    off = (
        *("enable_external_access", "allow_community_extensions", "allow_unsigned_extensions"),
        *("autoinstall_known_extensions", "autoload_known_extensions", "allow_persistent_secrets"),
        "python_enable_replacements",
    )
    assert {name: settings[name] for name in off} == dict.fromkeys(off, "false")
    assert (settings["lock_configuration"], settings["temp_directory"]) == ("true", "")


def test_the_system_holds_a_query_to_limits_of_each_kind(store):
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(ask, store, BOMB, limits=Limits(timeout_s=PATIENCE_S))
        [pid] = when(at_work)
        held = when(lambda: found if (found := limits_of(pid))["Max address space"] != "unlimited" else None)
        os.kill(pid, signal.SIGKILL)
        assert isinstance(asked.exception(), QueryError)
    assert (held["Max core file size"], held["Max file size"]) == ("0", "0")
    assert int(held["Max cpu time"]) <= THREADS * (PATIENCE_S + GRACE_S) + 1


def limits_of(pid):
    """What the system grants a process, by name."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    return {line[:26].strip(): line[26:].split()[0] for line in lines}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_query_whose_process_dies_is_told(store, db, number):
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(ask, store, BOMB, limits=Limits(timeout_s=PATIENCE_S))
        [pid] = when(at_work)
        time.sleep(0.1)
        os.kill(pid, number)
        with pytest.raises(QueryError, match=f"ended by {number.name}; the store is unchanged"):
            asked.result()
    assert db.sql(COUNT).rows["n"].to_pylist() == [9]


def test_a_query_after_the_process_that_forks_was_killed_is_answered(store, db):
    ask(store, COUNT)
    questions._HOST._process.kill()
    questions._HOST._process.wait()
    assert db.sql(COUNT).rows["n"].to_pylist() == [9]


def test_a_query_that_comes_just_as_the_process_that_forks_goes_is_answered(store, db):
    """It takes the question, and ends before it forks."""
    questions._HOST.end()
    ours, theirs = socket.socketpair()
    questions._HOST._line = ours

    def take_and_go():
        _, handles, *_ = socket.recv_fds(theirs, 1, 2)
        for handle in handles:
            os.close(handle)
        theirs.close()

    with ThreadPoolExecutor() as pool:
        gone = pool.submit(take_and_go)
        assert db.sql(COUNT).rows["n"].to_pylist() == [9]
        gone.result()


def test_queries_of_several_threads_are_answered_side_by_side(db):
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda n: db.sql("select $n as n", n=n).rows["n"].to_pylist(), range(8))
    assert list(answers) == [[n] for n in range(8)]


def test_a_process_that_was_forked_asks_by_itself(store):
    ask(store, COUNT)
    host = questions._HOST._process.pid
    pid = os.fork()
    if pid == 0:
        try:
            ask(store, COUNT)
            os._exit(questions._HOST._process.pid == host)
        finally:
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0
    assert ask(store, COUNT).rows["n"].to_pylist() == [9]
    assert questions._HOST._process.pid == host


def child_asking(store, query):
    heard = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # jobs in the background hear none
    )
    code = f"from pathlib import Path; from trackdb.storage.sandbox import ask; ask(Path({str(store)!r}), {query!r})"
    code = f"{heard}; {code}"
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def descendants(pid):
    """Numbers of the processes below one."""
    try:
        own = [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
    return [*own, *(below for p in own for below in descendants(p))]


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # whoever became its parent may be slow to bury it


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_goes_on_when_whoever_asked_is_gone(store, number):
    with child_asking(store, BOMB) as asking:
        below = when(lambda: found if len(found := descendants(asking.pid)) == 2 else None)
        time.sleep(0.3)
        asking.send_signal(number)
        _, said = asking.communicate(timeout=PATIENCE_S)
    assert ("KeyboardInterrupt" in said) == (number == signal.SIGINT)
    when(lambda: not any(map(alive, below)))


def test_a_process_ends_without_a_word_when_nothing_is_left_to_ask(store):
    with child_asking(store, COUNT) as asking:
        assert asking.communicate(timeout=PATIENCE_S) == ("", "")
        assert asking.returncode == 0


def test_rows_that_say_much_with_few_bytes_are_not_handed_out_packed(store):
    one = "'a'::enum('a', 'b')"
    few = ask(store, f"select {one} as x, [{one}] as l, array_value({one}) as f, {{'k': {one}}} as s").rows
    fields = {"x": pa.string(), "l": pa.list_(pa.string()), "f": pa.list_(pa.string(), 1)}
    assert {name: few.schema.field(name).type for name in fields} == fields
    assert few.schema.field("s").type == pa.struct([("k", pa.string())])
    assert few.to_pylist() == [{"x": "a", "l": ["a"], "f": ["a"], "s": {"k": "a"}}]


def test_lists_are_handed_out_to_a_depth_and_no_deeper(store):
    assert ask(store, nested("[", "]", DEEPEST)).rows.num_rows == 1
    with pytest.raises(QueryError, match="lists within lists more than 30 deep"):
        ask(store, nested("[", "]", DEEPEST + 1))


def test_so_many_rows_and_no_more_are_handed_out_also_where_they_come_in_parts(store):
    for n_rows in (1, BATCH_ROWS, BATCH_ROWS * 3 // 2):
        found = ask(store, "from range($n)", {"n": 3 * BATCH_ROWS}, Limits(max_rows=n_rows))
        assert (found.rows.num_rows, found.truncated) == (n_rows, True)
    found = ask(store, "from range($n)", {"n": 2 * BATCH_ROWS}, Limits(max_rows=2 * BATCH_ROWS))
    assert (found.rows.num_rows, found.truncated) == (2 * BATCH_ROWS, False)


def test_a_date_that_python_does_not_know_is_a_text(store):
    assert ask(store, "select date '20000-01-31' as d, 1 as n").rows_by_position() == [["20000-01-31", 1]]


def test_a_query_is_a_text_of_so_many_letters(store):
    with pytest.raises(QueryError, match="1,000,001 letters; expected: 1,000,000 at most"):
        ask(store, "a" * 1_000_001)
    with pytest.raises(QueryError, match="no text"):
        ask(store, "select '\ud800'")


def test_whoever_answers_can_send_so_much_and_no_more():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"x" * 11)
        with pytest.raises(QueryError, match="larger than was allowed"):
            questions._received(ours, time.monotonic() + PATIENCE_S, most=10)


def test_an_answer_has_so_many_bytes_and_no_more(store):
    query = "select repeat('a', 1000000) as x from range(3)"
    assert ask(store, query, limits=Limits(answer_mb=4)).rows.num_rows == 3
    with pytest.raises(QueryError, match="larger than 2 MB"):
        ask(store, query, limits=Limits(answer_mb=2))


@pytest.mark.parametrize("value", [[1], b"a", time, {"a": 1}])
def test_a_parameter_is_a_number_or_a_text(db, value):
    with pytest.raises(QueryError, match="parameter x is a"):
        db.sql("select $x", x=value)


def test_a_number_of_numpy_is_a_parameter_too(db):
    import numpy as np

    assert db.sql("select $x + $y as z", x=np.int64(2), y=np.float32(0.5)).rows["z"].to_pylist() == [2.5]


def test_what_an_error_quotes_of_a_query_is_no_damage_of_the_store(store):
    for query in ("select error('a corrupt checksum')", "select json_execute_serialized_sql('x')", "from corrupt"):
        with pytest.raises(QueryError):
            ask(store, query)


def test_a_damaged_log_is_told_as_damage(solved):
    folder = solved.path / "annotations"
    folder.mkdir()
    (folder / "ana-20260101.jsonl").write_text("no entry\n")
    with pytest.raises(StoreDamagedError, match=r"ana-20260101.jsonl line 1"):
        ask(solved.path, COUNT)


@pytest.mark.usefixtures("own_home_and_log")
class TestTheCommand:
    """What `trackdb sql` makes of it."""

    @pytest.mark.parametrize(
        ("query", "message"),
        [
            ("from read_text('/etc/passwd')", "file system operations are disabled"),
            ("select length(repeat('a', 3000000000))", "needs more than 2000 MB"),
            ("delete from cells", "may not change the store"),
            ("select repeat('a', 20000000)", "larger than 16 MB"),
        ],
    )
    def test_a_query_that_is_stopped_ends_with_1(self, store, query, message):
        assert message in refusal("sql", store, query, code=1)

    def test_a_long_value_is_cut_in_a_table_for_people_alone(self, store):
        said = run("sql", store, "select repeat('a', 600) as x, 'b' as y")
        assert max(map(len, said.stdout.split("\n"))) < 600
        assert " ..." in said.stdout
        assert json.loads(run("sql", store, "select repeat('a', 600) as x", "--json").stdout)["rows"] == [["a" * 600]]

    def test_a_long_name_of_a_column_is_cut_too(self, store):
        said = run("sql", store, f"select '{'a' * 2000}'")
        assert max(map(len, said.stdout.split("\n"))) < 600

    def test_an_interrupt_ends_it_with_130_and_leaves_nothing_at_work(self, store):
        words = [sys.executable, "-m", "trackdb.cli.main", "sql", str(store), BOMB]
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as asking:
            below = when(lambda: found if len(found := descendants(asking.pid)) == 2 else None)
            time.sleep(0.2)
            asking.send_signal(signal.SIGINT)
            _, said = asking.communicate(timeout=PATIENCE_S)
        assert asking.returncode == 130
        assert "Traceback" not in said
        when(lambda: not any(map(alive, below)))
