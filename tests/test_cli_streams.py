"""What the command line writes to which stream, and what it does with signals."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import pytest
import typer

from trackdb.cli import reporting
from trackdb.engine.check import check
from trackdb.storage.duckdb_store import DuckDBStore

from .command_line import COUNT, child, run
from .movies import write_ctc, write_points

pytestmark = pytest.mark.usefixtures("own_home_and_log")


@pytest.mark.parametrize("words", [["info"], ["check"], ["evaluate"], ["sql", COUNT], ["log"]])
def test_what_is_not_a_terminal_gets_no_escape_codes(movie, words):
    said = child(words[0], movie.path, *words[1:])
    assert said.returncode == 0
    assert "\x1b" not in said.stdout + said.stderr
    assert said.stdout or words == ["check"]


def test_a_terminal_with_no_color_gets_no_colour(tmp_path):
    pty = pytest.importorskip("pty")
    write_points(tmp_path / "points.csv")
    ours, theirs = pty.openpty()
    words = ["ingest", str(tmp_path / "points.csv"), "-o", str(tmp_path / "a.trackdb"), "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "trackdb.cli.main", *words],
        env={**os.environ, "NO_COLOR": "1", "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=theirs,
        check=True,
    )
    os.close(theirs)
    shown = b""
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        try:
            while part := terminal.read(4096):
                shown += part
        except OSError:  # the other end is closed
            pass
    assert json.loads(done.stdout)["detections"] == 54
    assert not re.search(rb"\x1b\[[0-9;]*3[0-7]m", shown)


def test_ctrl_c_is_130_and_the_same_command_goes_on(tmp_path):
    """The child sends itself SIGINT in the middle of the frames, as a terminal would."""
    drawn, place = write_ctc(tmp_path / "drawn", images=True), tmp_path / "a.trackdb"
    code = (
        "import os, signal, sys\nfrom trackdb.engine import ingest as engine_ingest\nfrom trackdb.cli.main import run\n"
        "engine_ingest.BATCH_ROWS = 1\nmeasured, calls = engine_ingest._measured, []\n"
        "def interrupted(batch):\n"
        "    calls.append(batch.frame)\n"
        "    if len(calls) == 2: os.kill(os.getpid(), signal.SIGINT)\n"
        "    return measured(batch)\n"
        "engine_ingest._measured = interrupted\n"
        f"sys.argv = ['trackdb', 'ingest', {str(drawn)!r}, '-o', {str(place)!r}]\nrun()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert "interrupted; the same command can be given again" in done.stderr
    assert done.stdout == ""
    store = DuckDBStore(place)
    assert store.detection_sets() == []
    [problem] = check(store)
    assert "ingest drawn was not finished" in problem.what
    said = run("ingest", drawn, "-o", place)
    assert "going on with an unfinished ingest at frame 1" in said.stderr
    assert "9 detections" in said.stdout
    assert check(store) == []


def slow_demo(monkeypatch, *words):
    """Run a command whose steps last until a clock that is fast has told of them; where nothing is told, a moment."""
    monkeypatch.setattr(reporting, "EVERY_S", 0.02)
    told, in_words = set(), reporting.LineReporter.__str__

    def telling(reporter):
        told.add(in_words(reporter))
        return in_words(reporter)

    def until_told(state):
        deadline = time.monotonic() + (0.1 if "-q" in words else 60)
        while state not in told and time.monotonic() < deadline:
            time.sleep(0.01)

    def lasting(folder, *, seed, progress):
        progress.start("frames", 90)
        progress.advance(40)
        until_told("frames, 40 of 90")
        progress.start("solving")
        until_told("solving")
        return iter(())

    monkeypatch.setattr(reporting.LineReporter, "__str__", telling)

    monkeypatch.setattr("trackdb.engine.demo.demo", lasting)
    return run("demo", *words)


def test_names_of_others_do_not_steer_the_terminal(movie, tmp_path, monkeypatch):
    store = DuckDBStore(shutil.copytree(movie.path, tmp_path / "m.trackdb"))
    with store.writing() as connection:
        connection.exec_driver_sql("update solution set name = chr(27) || '[31m' where name <> 'truth'")
        connection.exec_driver_sql(
            "insert into run select * replace (1000 as run_id, chr(27) || '[31m' || chr(8238) as name, "
            "'posterior' as kind, 'done' as state) from run limit 1"
        )
    asked = []
    monkeypatch.setattr(typer, "confirm", lambda question, **_: asked.append(question))
    for said in (run("info", store.path), run("drop", store.path, "solution", "\x1b[31m", "--with-dependents")):
        assert "\\x1b[31m" in said.stdout + said.stderr + "".join(asked)
        assert not set("\x1b\u202e") & set(said.stdout + said.stderr + "".join(asked))


def test_a_bar_takes_any_name(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with reporting.bar_on_terminal(print) as reporter:
        reporter.start("matching [/] \x1b]0;x\x07", 3)
    shown = capsys.readouterr().err
    assert "matching [/] \\x1b]0;x\\x07" in shown
    assert "\x1b]0" not in shown


def test_long_work_tells_now_and_then_how_far_it_is_where_nobody_sees_a_bar(monkeypatch, tmp_path):
    said = slow_demo(monkeypatch, tmp_path / "a", "--json")
    lines = said.stderr.splitlines()
    assert any(re.fullmatch(r"demo: frames, 40 of 90, \d+ s", line) for line in lines)
    assert re.fullmatch(r"demo: solving, \d+ s", lines[-1])
    assert said.stdout.count("\n") == 1
    assert not [thread for thread in threading.enumerate() if thread.name == "progress"]


def test_quiet_work_tells_nothing(monkeypatch, tmp_path):
    assert slow_demo(monkeypatch, tmp_path / "a", "-q").stderr == ""


BEGIN = "import sys\nfrom trackdb.cli.start import run\nsys.argv = ['trackdb', *sys.argv[1:]]\nrun()"
"""What the script `trackdb` does."""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
@pytest.mark.parametrize("begins", [["-c", BEGIN], ["-m", "trackdb.cli.main"]])
def test_where_stderr_cannot_be_written_the_exit_code_is_that_of_the_work(movie, tmp_path, begins):
    ends = {
        0: ["info", movie.path],
        1: ["ingest", tmp_path, "-o", tmp_path / "a.trackdb"],
        2: ["info", "--nothing"],
        3: ["info", tmp_path / "none.trackdb"],
        5: ["evaluate", movie.path, "--fail-under", "edge_f1=2"],
    }
    for code, words in ends.items():
        with open("/dev/full", "w") as full:
            done = subprocess.run([sys.executable, *begins, *map(str, words)], stdout=subprocess.PIPE, stderr=full)
        assert done.returncode == code, words
        assert bool(done.stdout) == (code in (0, 5))


@pytest.mark.parametrize("at", ["typer", "trackdb.cli.main", "trackdb.cli.view"])
def test_ctrl_c_while_commands_are_imported_is_130_and_one_line(at):
    hook = (
        "import os, signal, sys\n"
        "class Now:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {at!r}: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Now())\n"
    )
    done = subprocess.run([sys.executable, "-c", hook + BEGIN, "info"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "interrupted; the same command can be given again\n"


def test_the_script_begins_where_interrupts_are_heeded():
    scripts = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"trackdb": "trackdb.cli.start:run"}
