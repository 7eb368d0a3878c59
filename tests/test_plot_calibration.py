"""Plots of calibration: what they refuse, what they draw, and that the same figures give the same file."""

import importlib.util
import sys

import numpy as np
import pytest

from trackdb.engine.metrics.calibration import NEW, ParentQuestions
from trackdb.engine.metrics.parents import Asked
from trackdb.engine.metrics.rejection import rejection
from trackdb.engine.plots.calibration import FIGURES, kept_curve, plot_calibration
from trackdb.engine.plots.drawing import require_plottable
from trackdb.engine.posterior.judging import Judged
from trackdb.errors import CalibrationError, ConfigError, FormatError
from trackdb.storage.posteriors import PosteriorInfo

drawn = pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed")


def judged(n=400, seed=0):
    """Daughters with one candidate each, of which a third is unsure."""
    rng = np.random.default_rng(seed)
    p = np.where(rng.random(n) < 0.3, rng.random(n), 0.99)
    true = rng.random(n) < p
    option = np.arange(n)
    questions = ParentQuestions(np.arange(n + 1), p, option, np.where(true, option, NEW))
    asked = Asked(questions, option, option, int(true.sum()), int(true.sum()), 0, 0)
    return Judged(PosteriorInfo(1, 1, 1, 1, "posterior-1", "auto", 1.25, True), asked)


@pytest.fixture
def installed(monkeypatch):
    """An installed matplotlib, for what is asked before it is used."""
    monkeypatch.setitem(sys.modules, "matplotlib", sys)


@drawn
@pytest.mark.parametrize("what", FIGURES)
def test_the_same_figures_give_the_same_file(tmp_path, what):
    for name in ("a.svg", "b.svg", "c.png"):
        plot_calibration(what, judged(), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert b"<svg" in (tmp_path / "a.svg").read_bytes()[:600]
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    plot_calibration(what, judged(seed=1), tmp_path / "d.svg")
    assert (tmp_path / "d.svg").read_bytes() != (tmp_path / "a.svg").read_bytes()


@drawn
def test_nothing_to_judge_is_refused(tmp_path):
    with pytest.raises(CalibrationError, match="no daughter of which posterior-1"):
        plot_calibration("reliability", judged(0), tmp_path / "a.svg")


def test_what_is_kept_after_rejecting_none_to_a_half():
    """Four daughters, the least sure one wrong: .75 of all, all of three, all of two."""
    curve = rejection(np.array([0.1, 0.2, 0.3, 0.4]), np.array([True, True, True, False]))
    share, accuracy = kept_curve(curve)
    assert share.tolist() == [0, 0.25, 0.5]
    assert accuracy.tolist() == [0.75, 1, 1]


@pytest.mark.usefixtures("installed")
def test_other_plots_endings_and_files_that_are_there_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no plot 'trees'; known: reliability, rejection, tree, overlay"):
        require_plottable("trees", tmp_path / "a.svg")
    with pytest.raises(ConfigError, match="SVG or PNG"):
        require_plottable("rejection", tmp_path / "a.jpg")
    (tmp_path / "a.svg").touch()
    with pytest.raises(FormatError, match="exists already"):
        require_plottable("rejection", tmp_path / "a.svg")
    with pytest.raises(FormatError, match=r"there is no folder .*; try: mkdir -p '.*no where'"):
        require_plottable("rejection", tmp_path / "no where" / "b.svg")
    require_plottable("rejection", tmp_path / "b.svg")


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"not installed; try: pip install 'trackdb\[plot\]'"):
        require_plottable("reliability", tmp_path / "a.svg")
