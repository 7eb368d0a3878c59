"""Running commands in tests: in this process or in one of its own, each held to its exit code."""

import json
import re
import subprocess
import sys

from typer.testing import CliRunner

from trackdb.cli.main import app

COUNT = "select t, count(*) n from cells group by t order by t"


def run(*words, code=0, text=None):
    """Run a command in this process, hold it to its exit code, and return its result."""
    result = CliRunner().invoke(app, [str(word) for word in words], input=text)
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def answer(*words, code=0):
    """Run a command with --json and return its one object."""
    result = run(*words, "--json", code=code)
    found = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert found.pop("schema_version") == 1
    return found


def refusal(*words, code):
    """Run a command that must fail, and return what it says: after notes one to four lines, nothing on stdout."""
    result = run(*words, code=code)
    # on a machine with much other work it may tell how far it is, too
    lines = [line for line in result.stderr.strip().split("\n") if not re.match(rf"note: |{words[0]}: .* s$", line)]
    assert result.stdout == ""
    assert 1 <= len(lines) <= 4, result.stderr
    assert lines[0].startswith("error: ")
    assert "Traceback" not in result.stderr
    return result.stderr


def child(*words, **options):
    """Run a command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "trackdb.cli.main", *map(str, words)], capture_output=True, text=True, **options
    )
