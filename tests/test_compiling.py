"""That kernels are compiled is told once, when it happens and only then."""

import importlib.util
import subprocess
import sys

import pytest

from trackdb.cli.compiling import TOLD, told_of_compiling
from trackdb.cli.view import Face

KERNEL = """
from numba import njit

@njit(cache=True, nogil=True)
def inner(x):
    return x + 1

@njit(cache=True, nogil=True)
def outer(x):
    return inner(x) * 2
"""


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """Return a function that loads kernels as a new process does: compiled only if the folder beside them says so."""
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    path = tmp_path / "kernels_of_a_test.py"
    path.write_text(KERNEL)

    def load():
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def heard(kernels, *values):
    """Return what is told while kernels are called with some values."""
    said = []
    with told_of_compiling(said.append):
        for value in values:
            kernels.outer(value)
    return said


def test_compiling_is_told_once_and_what_was_compiled_before_is_silent(fresh):
    kernels = fresh()
    assert heard(kernels, 1, 2, 1.5) == [TOLD]  # two kernels, for two types
    assert heard(kernels, 1, 2.5) == []
    assert heard(fresh(), 1, 2.5) == []  # read from the folder


def test_nothing_is_told_of_what_is_compiled_after_the_block(fresh):
    assert heard(fresh()) == []
    said = []
    with told_of_compiling(said.append):
        pass
    fresh().outer(1)
    assert said == []


def test_a_quiet_command_does_not_tell(fresh, capsys):
    with Face("solve", quiet=True).progress():
        fresh().outer(1)
    assert capsys.readouterr().err == ""
    with Face("solve", json=True).progress():
        fresh().outer(1.5)
    said = capsys.readouterr()
    assert said.err == f"note: {TOLD}\n"
    assert said.out == ""


@pytest.mark.parametrize("module", ["engine.pipeline", "engine.posterior.stage", "engine.review.asking"])
def test_commands_that_compile_have_loaded_numba_before_they_begin(module):
    code = f"import sys, trackdb.{module}; sys.exit('numba' not in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
