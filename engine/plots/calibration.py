"""Figures of how far the probabilities of a posterior can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...errors import CalibrationError
from ..metrics.calibration import N_BINS, reliability
from ..metrics.rejection import Rejection, rejection
from .drawing import entitle, figure_for, require_plottable

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ..metrics.calibration import Answers
    from ..posterior.judging import Judged

FIGURES: Final = ("reliability", "rejection")
MOST_REJECTED: Final = 0.5


def plot_calibration(what: str, judged: Judged, out: Path) -> None:
    """Draw how reliable a posterior is, or what is gained by rejecting its least sure daughters.

    Parameters
    ----------
    what : str
        ``reliability``: accuracy by confidence, bin by bin with 95 % intervals, over the number of daughters.
        ``rejection``: accuracy by the share of daughters that is rejected, the least sure first.
    judged : Judged
        A posterior held against a truth.
    out : Path
        A file ending in .svg or .png that is not there yet. The same figures give the same file.

    Raises
    ------
    ConfigError
        If there is no such plot, the file has another ending, or matplotlib is not installed.
    FormatError
        If the file is there already, or its folder is not.
    CalibrationError
        If there is no daughter to judge.
    """
    require_plottable(what, out)
    if not len(judged.asked.questions):
        raise CalibrationError(f"the truth knows no daughter of which {judged.posterior.name} could be judged")
    with figure_for(out, 4.2, 4.8) as figure:
        (_draw_reliability if what == "reliability" else _draw_rejection)(figure, judged)


def _views(judged: Judged) -> list[tuple[str, Answers]]:
    """Return the two views of the same daughters, the second only where a link was reported."""
    views = [("with new cells", judged.with_new), ("links alone", judged.without_new)]
    return [(name, answers) for name, answers in views if len(answers)]


def _draw_reliability(figure: Any, judged: Judged) -> None:
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    top.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for number, (name, answers) in enumerate(_views(judged)):
        curve = reliability(answers.confidence, answers.right)
        error = np.abs(np.stack([curve.low, curve.high]) - curve.accuracy)
        label = f"{name}: ECE {curve.error:.3f}"
        top.errorbar(
            curve.confidence,
            curve.accuracy,
            error,
            marker="os"[number],
            markersize=4,
            capsize=2,
            linewidth=1,
            label=label,
        )
        edges = np.linspace(0, 1, N_BINS + 1)
        count = np.histogram(answers.confidence, edges)[0]
        bottom.stairs(count, edges, color=f"C{number}")
    bottom.set_yscale("symlog", linthresh=1)
    top.set(ylabel="share that is right", xlim=(0, 1.02), ylim=(0, 1.02))
    entitle(top, _title(judged))
    top.legend(loc="upper left", frameon=False)
    bottom.set(xlabel="confidence", ylabel="daughters")


def _draw_rejection(figure: Any, judged: Judged) -> None:
    axes = figure.subplots()
    answers = judged.with_new
    for name, doubt, style in (
        ("by entropy", answers.entropy, "-"),
        ("by confidence", -answers.confidence, "--"),
        ("errors first", (~answers.right).astype(np.float64), ":"),
    ):
        curve = rejection(doubt, answers.right)
        share, accuracy = kept_curve(curve)
        axes.plot(100 * share, accuracy, style, linewidth=1.2, label=f"{name}: AURC {curve.area:.4f}")
    axes.set(xlabel="least sure daughters that are rejected, %", ylabel="accuracy of the rest")
    entitle(axes, _title(judged))
    axes.legend(loc="lower right", frameon=False)


def kept_curve(curve: Rejection) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the shares that are rejected, from none to a half, and the accuracy of the rest for each."""
    n = len(curve.risk)
    kept = np.arange(n, max(int(np.floor((1 - MOST_REJECTED) * n)), 1) - 1, -1)
    return 1 - kept / n, 1 - curve.risk[kept - 1]


def _title(judged: Judged) -> str:
    posterior = judged.posterior
    return (
        f"{posterior.name} ({posterior.method}, T = {posterior.temperature:.3g}), n = {len(judged.asked.questions):,}"
    )
